"""Globs over paths, as regular expressions that take polynomial time whatever the pattern."""

import re
import unicodedata
from functools import lru_cache

from retrieval.errors import QueryError
from retrieval.messages import _

_TOKEN = re.compile(r"(?<![^/])\*\*+/|\*\*+|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)
_DEEP = ".*?"
_FOLDERS = "(?:.*?/)??"
_STAR = "*"


def path_matches(pattern: str, path_text: str) -> bool:
    """Say whether a glob matches the path, or any end of it that begins at a folder.

    ``*`` and ``?`` stay within one name, ``**`` crosses folders, ``**/`` may stand for no folder at all, ``[a-z]`` and
    ``[!a-z]`` match one character. A pattern that begins with a slash matches whole paths. ASCII letters match in upper
    and lower case. The pattern is brought to Unicode normal form C; the path is expected in it.
    """
    return expression(pattern).search(path_text) is not None


@lru_cache(maxsize=64)
def expression(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of ``path_matches``; use it with ``search``.

    Raises:
        QueryError: a bracket that holds an impossible range.
    """
    glob = unicodedata.normalize("NFC", pattern)
    parts = _split(glob)
    start = r"\A" if glob.startswith("/") else r"(?:\A|(?<=/))"
    out = [start]
    # The leftmost match of a piece leaves the most for those after it, so only the last one need ever be retried: the
    # others are atomic groups, and no pattern can make the matching blow up.
    for position, (deep, piece) in enumerate(parts):
        last = position == len(parts) - 1
        body = deep + _piece(piece, last)
        out.append(body if last or not deep else f"(?>{body})")
    try:
        return re.compile("".join(out) + r"\Z", re.DOTALL | re.IGNORECASE | re.ASCII)
    except re.error as error:
        raise QueryError(
            _("path:{pattern} is no pattern ({reason}); write [[] for a bracket that is meant").format(
                pattern=pattern, reason=error.msg
            )
        ) from None


def _split(glob: str) -> list[tuple[str, list[str]]]:
    """Cut a glob where it crosses folders: ``(what crosses, tokens after it)``, the first crossing nothing."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for token in _TOKEN.findall(glob):
        if token.startswith("**"):
            parts.append((_FOLDERS if token.endswith("/") else _DEEP, []))
        else:
            parts[-1][1].append(token)
    return parts


def _piece(tokens: list[str], last: bool) -> str:
    runs = [""]
    for token in tokens:
        if token == _STAR:
            runs.append("")
        else:
            runs[-1] += _one(token)
    out = [runs[0]]
    for position, run in enumerate(runs[1:], start=1):
        ends = last and position == len(runs) - 1
        out.append(f"[^/]*{run}" if ends else f"(?>[^/]*?{run})")
    return "".join(out)


def _one(token: str) -> str:
    """Return the expression of a token that stands for one character."""
    if token == "?":
        return "[^/]"
    if len(token) == 1:
        return re.escape(token)
    inverted = token.startswith("[!")
    inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", token[2:-1] if inverted else token[1:-1])
    return f"(?!/)[{'^' if inverted else ''}{inside}]"
