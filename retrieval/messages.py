"""What is said to people, in the language of the command line; the library used from Python speaks English.

Messages are written in English, with named fields in braces, and looked up by that text in a catalog of GNU gettext::

    raise OptionError(_("device {name!r} is not known; use auto, cpu or cuda").format(name=text))

``_`` translates where the text is written. ``N_`` only marks a text that has to stay English where it is written,
because it is kept (the reason why a file failed) or compared; ``retold`` translates it where it is shown. What programs
read is English always: JSON, columns with tabs, names of options, logs.

The catalogs lie in ``locale/LANGUAGE/LC_MESSAGES``: ``sightseek.po`` is written by people, ``sightseek.mo`` made of it.
"""

import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrieval.spoken import LANGUAGES

if TYPE_CHECKING:
    from gettext import NullTranslations

DOMAIN = "sightseek"
FOLDER = Path(__file__).parent / "locale"

_language = LANGUAGES[0]
_catalog: "NullTranslations | None" = None
"""None for English."""

_RETOLD_FIELDS = ("reason", "description")
_LEAST_LETTERS = 5
"""A text with fewer letters outside its fields would be recognised in what it is not."""


def _(message: str) -> str:
    """Return the message in the language in use; fields in braces stay, for ``str.format``."""
    return message if _catalog is None else _catalog.gettext(message)


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for it
    """Return the message as it is; marks it as one that ``retold`` translates where it is shown."""
    return message


def ngettext(singular: str, plural: str, number: int) -> str:
    """Return the form of a message that goes with a number, in the language in use."""
    if _catalog is None:
        return singular if number == 1 else plural
    return _catalog.ngettext(singular, plural, number)


def use(language: str) -> None:
    """Speak one of ``LANGUAGES`` from now on, in the whole process."""
    global _language, _catalog
    if language == _language:
        return
    if language == LANGUAGES[0]:
        _catalog = None
    else:
        import gettext  # not needed for English

        _catalog = gettext.translation(DOMAIN, FOLDER, [language])
    _language = language
    _templates.cache_clear()


def current() -> str:
    """Return the language in use."""
    return _language


class _Template(NamedTuple):
    """A message with fields: how a text begins that is made of it, its letters outside fields, and its pattern."""

    head: str
    letters: int
    message: str

    def values(self, text: str) -> dict[str, str] | None:
        """Return what stands in the fields when the text is made of this message."""
        if not text.startswith(self.head):
            return None
        found = re.fullmatch(_pattern(self.message), text, re.DOTALL)
        return None if found is None else found.groupdict()


def retold(text: str) -> str:
    """Return an English text in the language in use, or as it is when it is not one of the messages.

    The text may be a message with its fields already filled in. What stands in a field ``reason`` or
    ``description`` is retold as well.
    """
    if _catalog is None or not text:
        return text
    for known in (text, text.capitalize() if " " in text else text):  # what the system says is kept in small letters
        whole = _catalog.gettext(known)
        if whole != known:
            return whole
    for template in _templates():
        values = template.values(text)
        if values is not None:
            values |= {name: retold(values[name]) for name in _RETOLD_FIELDS if name in values}
            return "".join(
                literal + (values[name] if name is not None else "")
                for literal, name in _pieces(_catalog.gettext(template.message))
            )
    return text


def reason_of(error: OSError) -> str:
    """Return what the system says went wrong, without the path, in the language in use."""
    return retold(error.strerror or str(error) or type(error).__name__)


SYSTEM_REASONS = (
    N_("No such file or directory"),
    N_("Permission denied"),
    N_("Operation not permitted"),
    N_("Is a directory"),
    N_("Not a directory"),
    N_("File exists"),
    N_("Directory not empty"),
    N_("No space left on device"),
    N_("Disk quota exceeded"),
    N_("Read-only file system"),
    N_("Input/output error"),
    N_("File name too long"),
    N_("Too many levels of symbolic links"),
    N_("Too many open files"),
    N_("Stale file handle"),
    N_("Connection refused"),
    N_("Resource temporarily unavailable"),
)
"""What the system says most often, as C libraries have it."""


@cache
def _templates() -> list[_Template]:
    """Return the messages with fields, those that say most outside them first."""
    found = []
    for message in vars(_catalog)["_catalog"]:
        pieces = list(_pieces(message)) if isinstance(message, str) and "{" in message else []
        letters = sum(character.isalpha() for literal, _field in pieces for character in literal)
        if letters >= _LEAST_LETTERS:
            found.append(_Template(pieces[0][0], letters, message))
    return sorted(found, key=lambda one: -one.letters)


def _pattern(message: str) -> str:
    """Return the regular expression of the texts that a message makes, with its fields as named groups."""
    seen: set[str] = set()
    made = []
    for literal, name in _pieces(message):
        made.append(re.escape(literal))
        if name is not None:
            made.append(f"(?P={name})" if name in seen else f"(?P<{name}>.+?)")
            seen.add(name)
    return "".join(made)


def _pieces(message: str) -> Iterator[tuple[str, str | None]]:
    """Yield the literal texts of a message, each with the name of the field that follows it, or None."""
    for literal, name, _format, _conversion in string.Formatter().parse(message):
        yield literal, name
