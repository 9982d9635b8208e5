"""Which language people are spoken to in, found out before anything is imported that would take time."""

LANGUAGES = ("en", "zh")
"""English, which the messages are written in, and Chinese in simplified characters."""

_SAMPLES = {"zh": "中文，"}
"""What a terminal must be able to show for a language."""
_AFTER_A_CODE = "_.@-"

# Importing what describes these types would take longer than all that is done here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def language_of(environ: "Mapping[str, str]") -> str:
    """Return the language that an environment asks for, as one of ``LANGUAGES``.

    ``SIGHTSEEK_LANG`` decides alone. Else it is the locale (``LC_ALL``, ``LC_MESSAGES``, ``LANG``; the first that is
    set) or, where that names a language at all, the first known one in the list ``LANGUAGE``, as GNU gettext has it.
    """
    named = environ.get("SIGHTSEEK_LANG", "")
    if not named:
        named = next((found for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (found := environ.get(name))), "C")
        if named.partition(".")[0] not in ("C", "POSIX"):
            named = environ.get("LANGUAGE", "") or named
    known = (_known(one) for one in named.split(":"))
    return next((language for language in known if language), LANGUAGES[0])


def language_for(environ: "Mapping[str, str]", streams: "Iterable[object]") -> str:
    """Return the language to speak: what the environment asks for, if all the streams can show it."""
    wanted = language_of(environ)
    for stream in streams:
        try:
            _SAMPLES.get(wanted, "").encode(getattr(stream, "encoding", None) or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return LANGUAGES[0]
    return wanted


def _known(name: str) -> str | None:
    """Return the language of a locale's name such as ``zh_CN.UTF-8``, or None."""
    code = name.strip().lower()
    for sign in _AFTER_A_CODE:
        code = code.partition(sign)[0]
    return code if code in LANGUAGES else None
