"""Chinese characters and pairs of neighbours, which a second text tower reads beside the features of the sentence.

The features are of the whole sentence and of a hundred languages; which characters stand in it says more exactly what
is named. A Chinese word has mostly one or two, so that no list of words is needed.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

MOST = 64
"""Characters and pairs of one text that are read; a text of 32 different characters has as many."""
_FIRST, _LAST = "\u4e00", "\u9fff"
_KANA = ("\u3041", "\u30ff")
_HANGUL = ("\uac00", "\ud7a3")


def pieces(text: str) -> list[str]:
    """Return the Chinese characters of a text and the pairs that stand together, each once, as they first come.

    A text with kana or hangul has none: its characters are words of another language.
    """
    if any(_KANA[0] <= sign <= _KANA[1] or _HANGUL[0] <= sign <= _HANGUL[1] for sign in text):
        return []
    found: dict[str, None] = {}
    before = ""
    for sign in text:
        if not _FIRST <= sign <= _LAST:
            before = ""
            continue
        if before:
            found[before + sign] = None
        found[sign] = None
        before = sign
    return list(found)


class Characters:
    """The characters and pairs that a tower knows, by their place."""

    def __init__(self, known: Iterable[str]) -> None:
        """Number what is known, in this order."""
        self.known = tuple(known)
        self._place = {piece: place for place, piece in enumerate(self.known)}

    def rows(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return ``(n, MOST)`` places of what is known of each text, filled up with ``len(known)``."""
        out = np.full((len(texts), MOST), len(self.known), dtype=np.int64)
        for row, text in enumerate(texts):
            places = [self._place[piece] for piece in pieces(text) if piece in self._place][:MOST]
            out[row, : len(places)] = places
        return out
