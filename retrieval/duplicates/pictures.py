"""Which pictures look alike, among any number of them."""

import numpy as np
from numpy.typing import NDArray

from retrieval.duplicates.records import Counted
from retrieval.ranking.groups import Edges
from retrieval.ranking.near import OUTLINE_ALIKE, OUTLINE_WIDTH, SIMILAR, looks, outlines, unlikeness
from retrieval.types import FloatMatrix, Keys

NEIGHBOURS = 24
"""How many neighbours of each picture are looked at; larger groups are joined through their members."""
_PAIRS_AT_ONCE = 8192


class Outlines:
    """The outlines of pictures as rows for an index, made when they are read."""

    dim = OUTLINE_WIDTH

    def __init__(self, signatures: NDArray[np.uint8], sizes: NDArray[np.int64]) -> None:
        self._signatures, self._sizes = signatures, sizes

    def __len__(self) -> int:
        return len(self._signatures)

    def read(self, first: int, last: int) -> FloatMatrix:
        """Return the outlines of some."""
        return outlines(looks(self._signatures[first:last], self._sizes[first:last]))


class Halves:
    """Vectors in half precision, as they are stored, as rows for an index."""

    def __init__(self, vectors: NDArray[np.float16]) -> None:
        self.dim = vectors.shape[1]
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def read(self, first: int, last: int) -> FloatMatrix:
        """Return some of the vectors."""
        return self._vectors[first:last].astype(np.float32)


class Pictures:
    """Pictures to be compared: ``signatures`` ``(n, 384)`` where ``known``, ``sizes`` ``(n, 2)`` width and height.

    ``vectors`` ``(n, dim) float16`` are only needed where similar pictures count.
    """

    def __init__(
        self,
        signatures: NDArray[np.uint8],
        known: NDArray[np.bool_],
        sizes: NDArray[np.int64],
        vectors: NDArray[np.float16] | None = None,
    ) -> None:
        self._signatures, self._known, self._sizes = signatures, known, sizes
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self._signatures)

    def edges(self, progress: Counted) -> Edges:
        """Return pairs that look identical, or (with vectors) are similar."""
        from retrieval.store.neighbours import near_pairs

        places = np.flatnonzero(self._known)
        total = len(places) + (0 if self.vectors is None else len(self))
        rows = Outlines(self._signatures[places], self._sizes[places])
        maybe = near_pairs(rows, OUTLINE_ALIKE, NEIGHBOURS, progress=lambda done, _: progress(done, total))
        one, other = places[maybe.one], places[maybe.other]
        same = self.pairs_identical(one, other)
        one, other = one[same], other[same]
        if self.vectors is not None:
            near = near_pairs(
                Halves(self.vectors),
                SIMILAR,
                NEIGHBOURS,
                progress=lambda done, _: progress(len(places) + done, total),
            )
            one, other = np.concatenate([one, near.one]), np.concatenate([other, near.other])
        return Edges(one, other)

    def identical(self, centre: int, places: Keys) -> NDArray[np.bool_]:
        """Return which of some pictures look identical to one of them."""
        return self.pairs_identical(np.full(len(places), centre), places)

    def alike(self, centre: int, places: Keys) -> NDArray[np.bool_]:
        """Return which of some pictures look identical, or (with vectors) are similar, to one of them."""
        found = self.identical(centre, places)
        if self.vectors is not None:
            found |= self.vectors[places].astype(np.float32) @ self.vectors[centre].astype(np.float32) >= SIMILAR
        return found

    def pairs_identical(self, one: Keys, other: Keys) -> NDArray[np.bool_]:
        """Return of pairs of pictures, as many of ``one`` as of ``other``, which look identical."""
        found = np.zeros(len(one), bool)
        for first in range(0, len(one), _PAIRS_AT_ONCE):
            these = slice(first, first + _PAIRS_AT_ONCE)
            a, b = one[these], other[these]
            mine, theirs = (looks(self._signatures[places], self._sizes[places]) for places in (a, b))
            found[these] = (unlikeness(mine, theirs) <= 1) & self._known[a] & self._known[b]
        return found
