"""Hits that are copies of a better hit, or like it, are folded into that one."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Level
from retrieval.ranking.near import OUTLINE_ALIKE, OUTLINE_WIDTH, SIGNATURE_BYTES, SIMILAR, looks, outlines, unlikeness
from retrieval.search.found import Found
from retrieval.types import Keys

if TYPE_CHECKING:
    from retrieval.store import Collection

WINDOW = 200
"""How many hits after a hit are looked at to count what is folded into it."""


class Folded:
    """The hits of one query without those that are like a better one.

    Hits are gone through in order; one that is like a hit shown before is folded into the first such, any other is
    shown. So which are shown does not depend on the page, and nothing chains: what is folded is like the very hit it is
    folded into. Pictures are compared with pictures, moments with moments. ``exact``: files of the same bytes, and of
    videos the same time; ``identical``: the same look (see ``ranking.near``); ``similar``: or vectors as near as those
    of similar pictures.
    """

    def __init__(self, collection: "Collection", best: Callable[[int], list[Found]], level: Level) -> None:
        """Fold what ``best(n)``, the first n hits in order, gives."""
        self._best = best
        self._seen = _Seen(collection, level)
        self._shown: list[int] = []  # their ranks, from 0
        self._into: dict[int, list[int]] = {}

    def page(self, offset: int, k: int) -> list[Found]:
        """Return shown hits ``offset`` to ``offset + k``, each with what is folded into it of the next ``WINDOW`` hits.

        Raises:
            KeyError: an item was removed by another process between two looks.
        """
        need = offset + k + WINDOW
        while True:
            found = self._best(need)
            self._fold(found)
            wanted = self._shown[: offset + k]
            if len(found) < need or (len(wanted) == offset + k and wanted[-1] + WINDOW < need):
                break
            need = max(2 * need, wanted[-1] + WINDOW + 1)
        return [
            found[rank]._replace(also=tuple(found[one] for one in self._into[rank] if one <= rank + WINDOW))
            for rank in wanted[offset:]
        ]

    def _fold(self, found: list[Found]) -> None:
        """Go through the hits that were not seen yet."""
        first = len(self._seen.sizes)
        if first < len(found):
            self._seen.take(found[first:])
        for rank in range(first, len(found)):
            alike = self._seen.alike(rank, np.array(self._shown, np.int64))
            if alike.any():
                self._into[self._shown[int(alike.argmax())]].append(rank)
            else:
                self._shown.append(rank)
                self._into[rank] = []


class _Seen:
    """What hits are compared by, in their order."""

    def __init__(self, collection: "Collection", level: Level) -> None:
        self._collection, self._level = collection, level
        self._contents: list[tuple[object, ...]] = []
        self._videos = np.empty(0, bool)
        self._signatures = np.empty((0, SIGNATURE_BYTES), np.uint8)
        self._known = np.empty(0, bool)
        self._outlines = np.empty((0, OUTLINE_WIDTH), np.float32)
        self._vectors = np.empty((0, collection.manifest.spec.dim), np.float32)
        self.sizes = np.empty((0, 2), np.int64)

    def take(self, found: list[Found]) -> None:
        """Take in more hits."""
        digests = self._collection.digests([one.row.file_id for one in found])
        for one, digest in zip(found, digests, strict=True):
            self._contents.append((one.row.file_id if digest is None else digest, one.at_s))
        sizes = np.array([(one.row.width, one.row.height) for one in found], np.int64)
        self.sizes = np.concatenate([self.sizes, sizes])
        self._videos = np.append(self._videos, [one.row.kind == "video" for one in found])
        keys = [one.key for one in found]
        if self._level != "exact":
            told = self._collection.signatures(keys)
            known = np.array([len(each) == SIGNATURE_BYTES for each in told], bool)
            filled = b"".join(each if len(each) == SIGNATURE_BYTES else bytes(SIGNATURE_BYTES) for each in told)
            rows = np.frombuffer(filled, np.uint8).reshape(-1, SIGNATURE_BYTES)
            self._known = np.append(self._known, known)
            self._signatures = np.concatenate([self._signatures, rows])
            self._outlines = np.concatenate([self._outlines, outlines(looks(rows, sizes))])
        if self._level == "similar":
            self._vectors = np.concatenate([self._vectors, self._collection.vectors(keys)])

    def alike(self, rank: int, others: Keys) -> NDArray[np.bool_]:
        """Return which of some hits one of them is alike to."""
        found = np.array([self._contents[other] == self._contents[rank] for other in others], bool)
        if self._level == "exact":
            return found
        near = self._outlines[others] @ self._outlines[rank] >= OUTLINE_ALIKE
        maybe = np.flatnonzero(near & self._known[others] & self._known[rank] & ~found)
        if len(maybe):
            mine = looks(self._signatures[[rank] * len(maybe)], self.sizes[[rank] * len(maybe)])
            theirs = looks(self._signatures[others[maybe]], self.sizes[others[maybe]])
            found[maybe] = unlikeness(mine, theirs) <= 1
        if self._level == "similar":
            found |= np.einsum("nd,d->n", self._vectors[others], self._vectors[rank]) >= SIMILAR
        same: NDArray[np.bool_] = found & (self._videos[others] == self._videos[rank])
        return same
