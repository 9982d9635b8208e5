"""Patterns over short texts (names of cameras, keywords) and over the words of longer ones, whatever the script.

Both ignore upper and lower case. ``*`` stands for any characters, ``?`` for one; in a longer text they stay within a
word. No pattern can make the matching blow up: all pieces but the last are matched once, where they first fit.
"""

import re
import unicodedata
from functools import lru_cache

HAN_AND_KANA = "\u2e80-\u2fdf\u3005-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
# Compiled when they are first used: most queries need neither.
_WORD = rf"[{HAN_AND_KANA}]|[^\W{HAN_AND_KANA}]+"
_WORD_PATTERN = rf"[{HAN_AND_KANA}]|(?:[^\W{HAN_AND_KANA}]|[*?])+"


def text_matches(pattern: str, text: str) -> bool:
    """Say whether the pattern fits the whole text."""
    return _expression(pattern).fullmatch(folded(text)) is not None


def words_match(pattern: str, text: str) -> bool:
    """Say whether the words of the pattern occur in the text one after the other.

    A word is a run of letters and digits; in scripts that are written without spaces, each character is one.
    """
    wanted = _wanted(pattern)
    words = re.findall(_WORD, folded(text))
    return bool(wanted) and any(
        all(one.fullmatch(word) for one, word in zip(wanted, words[at:], strict=False))
        for at in range(len(words) - len(wanted) + 1)
    )


def folded(text: str) -> str:
    """Return text such that what differs in case alone, or in how accents are put together, is the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    pieces = [re.escape(piece).replace(r"\?", ".") for piece in folded(pattern).split("*")]
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece)
    return re.compile(f"{pieces[0]}{middle}.*{pieces[-1]}", re.DOTALL)


@lru_cache(maxsize=64)
def _wanted(pattern: str) -> tuple[re.Pattern[str], ...]:
    found = re.findall(_WORD_PATTERN, folded(pattern))
    if any(re.match(f"[{HAN_AND_KANA}]", word) for word in found):
        # Where each character is a word, a star at the end of some would ask for one more.
        found = [word for word in found if word.strip("*")]
    return tuple(map(_expression, found))
