"""From the probes of a query to the hits of a collection in the order of their scores."""

import os
import sys
from bisect import bisect_left, insort
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking import best_scores, moments
from retrieval.search.found import Found
from retrieval.search.look import Look
from retrieval.types import FloatMatrix, Matches, Where

if TYPE_CHECKING:
    from retrieval.store import Collection, ItemRow

_FIRST_FETCH = 64
_MARGIN = 8
_EDGE = 2e-6  # scores this near to one another may round to the same ``DECIMALS``


class Ranked:
    """The hits of one query, best first, as many as are asked for; what was fetched is remembered.

    ``searched`` is how many items the filter left to choose from.
    """

    def __init__(
        self, collection: "Collection", probes: FloatMatrix, where: Where | None, own: frozenset[str], per_video: int
    ) -> None:
        """Look for ``probes`` ``(m, dim)``; the files of the real paths ``own`` are left out."""
        self._collection, self._probes, self._where = collection, probes, where
        self.per_video = per_video
        self._ranking = _Ranking(collection, probes, own, per_video)
        self.searched = collection.count(where)
        self.notes: list[str] = []
        self._fetch = 0
        self._taken: Matches | None = None

    def look(self, need: int) -> Look | None:
        """Return what ``best(need)`` will look up first; ``None`` when that is nothing."""
        fetch = max(self._fetch, _FIRST_FETCH, 2 * need)
        return Look(self._probes, min(fetch, self.searched), self._where) if self.searched else None

    def take(self, matches: Matches) -> None:
        """Take what was found for ``look``, instead of looking it up."""
        self._taken = matches

    def best(self, need: int) -> list[Found]:
        """Return the best ``need`` hits in order, or all there are.

        Many items may fall to one hit, so more are fetched until enough hits lie clearly above everything not fetched.
        Scores are held to 1, which those of stored vectors exceed by their rounding.

        Raises:
            KeyError: an item was removed by another process between two looks.
        """
        if not self.searched:
            return []
        self._fetch = max(self._fetch, _FIRST_FETCH, 2 * need)
        while True:
            matches = self._matches(min(self._fetch, self.searched))
            width = matches.keys.shape[1]
            # Where hits are pictures, the rows of the first few are all that needs to be read.
            for read in dict.fromkeys((min(width, need + _MARGIN), width)):
                last = float(matches.scores[:, read - 1].max()) + _EDGE if read < self.searched else -np.inf
                found = self._ranking.above(last, matches.keys[:, :read], need)
                if len(found) >= need or not np.isfinite(last):
                    return [_held_to_1(one) for one in found[:need]]
            self._fetch *= 4

    def hits_of(self, keys: NDArray[np.int64]) -> list[Found]:
        """Return all hits of the files that these items are of, in order.

        Raises:
            KeyError: an item was removed by another process meanwhile.
        """
        return self._ranking.above(-np.inf, keys, sys.maxsize)

    def _matches(self, k: int) -> Matches:
        taken = self._taken
        if taken is not None and taken.keys.shape[1] >= k:
            return Matches(taken.keys[:, :k], taken.scores[:, :k])
        self._taken = None
        return self._collection.search(self._probes, k, self._where)


def _held_to_1(one: Found) -> Found:
    return one if -1.0 <= one.score <= 1.0 else one._replace(score=min(1.0, max(-1.0, one.score)))


class _Group(NamedTuple):
    """What was fetched of one file: its best score, and any of its items."""

    score: float
    row: "ItemRow"


class _Ranking:
    """Turns matches into hits; remembers the moments of videos between one fetch and the next."""

    def __init__(self, collection: "Collection", probes: FloatMatrix, own: frozenset[str], per_video: int) -> None:
        self._collection, self._probes, self._own, self._per_video = collection, probes, own, per_video
        self._of_file: dict[int, list[Found]] = {}

    def above(self, least: float, keys: NDArray[np.int64], need: int) -> list[Found]:
        """Return the hits with a score above ``least`` in order; no more than it takes to know the best ``need``."""
        found: list[Found] = []
        scores: list[float] = []  # of ``found``, negative, ascending
        for group in self._groups(np.unique(keys[keys >= 0])):
            if group.score <= least or bisect_left(scores, -group.score - _EDGE) >= need:
                break
            for one in self._hits(group):
                if one.score > least:
                    found.append(one)
                    insort(scores, -one.score)
        return sorted(found, key=lambda one: one.place)

    def _groups(self, keys: NDArray[np.int64]) -> list[_Group]:
        """Return the files of these items, best first."""
        rows, vectors = self._collection.items_with_vectors(keys)
        scores = best_scores(vectors, self._probes)
        groups: dict[int, _Group] = {}
        for score, row in zip(scores.tolist(), rows, strict=True):
            if row.file_id not in groups or score > groups[row.file_id].score:
                groups[row.file_id] = _Group(score, row)
        return sorted(groups.values(), key=lambda group: -group.score)

    def _hits(self, group: _Group) -> list[Found]:
        row = group.row
        if row.file_id not in self._of_file:
            if self._own and os.path.realpath(row.path) in self._own:
                hits = []
            elif row.kind == "image":
                hits = [Found(group.score, row, row.key, None, None, None)]
            else:
                hits = self._moments(row)
            self._of_file[row.file_id] = hits
        return self._of_file[row.file_id]

    def _moments(self, row: "ItemRow") -> list[Found]:
        frames = self._collection.frames(row.file_id)
        if not len(frames.keys):
            raise KeyError(row.file_id)
        scores = best_scores(frames.vectors, self._probes)
        found = moments(scores, frames.at_s, frames.start_s, frames.end_s, self._per_video, frames.shots)
        return [Found(one.score, row, int(frames.keys[one.frame]), one.at_s, one.start_s, one.end_s) for one in found]
