"""Text on a terminal's grid: how wide it is, where it may be broken, and columns that line up.

A Chinese character takes two cells, and a line may be broken between any two of them, except that no line begins with
a mark that closes and none ends with one that opens (the short form of the rules of JIS X 4051 and GB/T 15834).
"""

import re
import unicodedata
from collections.abc import Iterator

_CLOSING = "，。、；：！？）》」』】”’％…"
_OPENING = "（《「『【“‘"
# A run of spaces; one wide character with the marks that hold on to it; or a word.
_WIDE = r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]"
_PIECES = rf" +|[{_OPENING}]*{_WIDE}[{_CLOSING}]*|(?:(?!{_WIDE})[^ ])+[{_CLOSING}]*"


def cells(text: str) -> int:
    """Return how many cells of a terminal the text takes."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return the text with spaces up to ``width`` cells, after it or (``right``) before it."""
    spaces = " " * (width - cells(text))
    return spaces + text if right else text + spaces


def wrapped(text: str, width: int) -> list[str]:
    """Break a paragraph into lines of at most ``width`` cells (a longer word stays whole)."""
    lines, line = [], ""
    for piece in re.findall(_PIECES, text):
        if cells(line) + cells(piece.rstrip()) > width and line.strip():
            lines.append(line.rstrip())
            line = ""
        line += piece if line or piece.strip() else ""
    return [*lines, line.rstrip()] if line.strip() else lines


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text, each as one line."""
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        # Lines of English are joined by a space; between two Chinese characters there is none.
        yield re.sub(rf"(?<={_WIDE}) (?={_WIDE})", "", " ".join(lines))
