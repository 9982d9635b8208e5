"""The words that labels are chosen from: the built-in list, or a file of the user's."""

import re
from pathlib import Path
from typing import NamedTuple

from retrieval.errors import OptionError
from retrieval.labels.lines import read_lines
from retrieval.messages import _

_BUILTIN = Path(__file__).with_name("words.txt")
_MOST_BYTES = 2**20
_MOST_WORDS = 10_000
_LONGEST = 200
_SHOWN = 3
_COMMENT = re.compile(r"(?:^|\s)#.*")


class WordList(NamedTuple):
    """Different words or phrases in the order of their file; ``notes`` say what was left out, one line each."""

    words: tuple[str, ...]
    notes: tuple[str, ...]


def builtin_words() -> WordList:
    """Return the list that comes with sightseek: things, animals, scenes, doings, food and more, in English."""
    return read_words(_BUILTIN)


def read_words(path: Path) -> WordList:
    """Read a word or phrase a line (UTF-8); ``#`` at the start of a line or after a space begins a comment.

    Words that differ in nothing but upper and lower case are one; the first stands.

    Raises:
        OptionError: the file cannot be read, is larger than 1 MB or 10,000 words, a line is longer than 200
            characters, or there is no word in it.
    """
    found: dict[str, str] = {}
    repeated: dict[str, None] = {}
    for number, text in read_lines(path, _MOST_BYTES, "--words"):
        word = " ".join(_COMMENT.sub("", text).split())
        if len(word) > _LONGEST:
            raise OptionError(
                _(
                    "--words {path}, line {number}: longer than {most} characters; give a word or short phrase a line"
                ).format(path=path, number=number, most=_LONGEST)
            )
        if word and found.setdefault(word.casefold(), word) is not word:
            repeated[found[word.casefold()]] = None
    if not found:
        raise OptionError(_("--words {path} holds no word; give a word or phrase a line").format(path=path))
    if len(found) > _MOST_WORDS:
        raise OptionError(
            _("--words {path} holds more than {most:,} words; give fewer").format(path=path, most=_MOST_WORDS)
        )
    return WordList(tuple(found.values()), _repeated_note(path, list(repeated)))


def _repeated_note(path: Path, repeated: list[str]) -> tuple[str, ...]:
    if not repeated:
        return ()
    more = _(" and {count} more").format(count=len(repeated) - _SHOWN) if len(repeated) > _SHOWN else ""
    said = _("{path} has words more than once, each counts once: {words}{more}")
    return (said.format(path=path, words=", ".join(repeated[:_SHOWN]), more=more),)
