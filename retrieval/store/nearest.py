"""What a collection asks of a vector index, and the same best k of any of them; no FAISS."""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.types import FloatMatrix, Keys, Matches

Allowed = NDArray[np.bool_]
"""``(largest key + 1,) bool``: whether a key may be found; keys beyond its end may not."""

LARGE = 60_000
"""From so many vectors on an exact search takes longer than about ten milliseconds."""
_EXTRA = 16
_ROUNDING = 4e-6
FEW = 4096
"""Up to so many selected vectors of a flat index are compared one by one rather than through its own scan."""
FEW_OF_MANY = 16_384
"""The same of an approximate index."""
_WIDE = 64
"""Up to so many neighbours a query costs what it was tuned for; beyond, more lists are looked at."""


class VectorIndex(Protocol):
    """What a collection asks of an index. Keys are ascending and never used twice."""

    dim: int

    @property
    def few(self) -> int:
        """Up to so many selected vectors are compared one by one rather than through the index's own scan."""

    def __len__(self) -> int:
        """Return the number of vectors."""

    @property
    def total(self) -> int:
        """The number of vectors its file holds, those removed and only masked too."""

    @property
    def keys(self) -> Keys:
        """All keys, ascending."""

    def add(self, keys: Keys, vectors: FloatMatrix) -> None:
        """Take in vectors, ``(n, dim) float32``."""

    def remove(self, keys: Keys) -> None:
        """Let go of vectors; keys that are not there do not matter."""

    def rows(self, keys: Keys) -> FloatMatrix:
        """Return the vectors of keys, all of which are there, ``(n, dim) float32``."""

    def candidates(self, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
        """Return the k best of each query, ``(q, k)``, best first, -1 where there are no more."""


def nearest(index: VectorIndex, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
    """Return the k best of each query, ordered by score, then by key: the same whatever else is asked beside it.

    The index proposes a few more than k, until those at the edge are clearly worse; the proposed are scored again, row
    by row, in one fixed order of additions. ``allowed`` narrows what may be found.
    """
    keys = index.keys
    if allowed is not None:
        keys = keys[keys < len(allowed)]
        keys = keys[allowed[keys]]
    matches = Matches(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32))
    if not len(keys) or not len(queries):
        return matches
    few = keys if len(keys) <= index.few and allowed is not None else None
    waiting = np.arange(len(queries))
    width = min(len(keys), k + _EXTRA)
    while len(waiting):
        found = (
            _scan(index, few, queries[waiting], width)
            if few is not None
            else index.candidates(queries[waiting], width, allowed)
        )
        slack = _ROUNDING * np.linalg.norm(queries[waiting], axis=1)
        settled = np.full(len(waiting), width == len(keys))
        if width > k:
            settled |= found.scores[:, -1] < found.scores[:, k - 1] - slack
        for row in np.flatnonzero(settled):
            place = int(waiting[row])
            near = found.keys[row][found.scores[row] >= found.scores[row, min(k, width) - 1] - slack[row]]
            _settle(index, queries[place], near, matches, place)
        waiting = waiting[~settled]
        width = min(len(keys), 4 * width)
    return matches


def reach_of(probes: int, k: int, share: float) -> int:
    """Return how many lists or nodes to look at for k neighbours among a share of the vectors."""
    return math.ceil(probes * max(1.0, math.sqrt(k / _WIDE)) / share)


def best_of(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return where the k best scores stand, best first, or all of them where there are fewer."""
    width = min(k, len(scores))
    best = np.argpartition(-scores, width - 1)[:width] if width else np.empty(0, np.int64)
    return best[np.argsort(-scores[best], kind="stable")]


def _scan(index: VectorIndex, keys: Keys, queries: FloatMatrix, width: int) -> Matches:
    scores = queries @ index.rows(keys).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    return Matches(keys[best], np.take_along_axis(scores, best, axis=1))


def _settle(index: VectorIndex, query: NDArray[np.float32], keys: Keys, matches: Matches, row: int) -> None:
    """Write the final order of one query's candidates into its row."""
    keys = keys[keys >= 0]
    scores = np.einsum("kd,d->k", index.rows(keys), query)
    order = np.lexsort((keys, -scores))[: matches.keys.shape[1]]
    matches.keys[row, : len(order)] = keys[order]
    matches.scores[row, : len(order)] = scores[order]
