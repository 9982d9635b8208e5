"""The hits of a query whose parts each find a list of their own, fused by score or by rank."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.config import SearchOptions
from retrieval.messages import N_
from retrieval.ranking import MAX_PROBES, best_scores, thin
from retrieval.ranking.fusion import DEPTH, RECALL, Scores, fuse_anew, fuse_ranks, fuse_scores
from retrieval.reading import ReadQuery
from retrieval.search.found import Found
from retrieval.search.look import Look
from retrieval.search.ranked import Ranked
from retrieval.types import FloatMatrix, Keys, Matches, Share, Where

if TYPE_CHECKING:
    from retrieval.store import Collection

_DECIMALS = 9  # so that the same vector has the same score whatever stands beside it


class Fused:
    """The hits of one query by ``rrf``, ``scores`` or ``hybrid`` fusion.

    They are found once, to a fixed depth, so that pages join; there are no more beyond it. Moments are cut from videos
    as for ``early``, by the sum of the parts, and each counts by its best frame. Of a clip the best keyframe counts, of
    one that is taken away too.
    """

    def __init__(self, collection: "Collection", read: ReadQuery, where: Where | None, options: SearchOptions) -> None:
        """Look for a query whose parts are vectors, in what a filter leaves."""
        self._collection, self._read, self._where, self._options = collection, read, where, options
        self._ranked = Ranked(collection, read.mixed.probes, where, read.own, options.per_video)
        self._probes = [thin(part.vectors, MAX_PROBES) for part in read.embedded]
        self.searched = self._ranked.searched
        self.notes: list[str] = []
        self._taken: Matches | None = None
        self._ordered: list[Found] | None = None

    def look(self, need: int) -> Look | None:
        """Return what is looked up: the list of each part, or what the whole query recalls (``hybrid``)."""
        if not self.searched or self._ordered is not None:
            return None
        if self._options.fusion == "hybrid":
            return Look(self._read.mixed.probes, min(RECALL, self.searched), self._where)
        return Look(np.concatenate(self._probes), min(DEPTH, self.searched), self._where)

    def take(self, matches: Matches) -> None:
        """Take what was found for ``look``, instead of looking it up."""
        self._taken = matches

    def best(self, need: int) -> list[Found]:
        """Return the best ``need`` hits in order, or all there are down to the fixed depth.

        Raises:
            KeyError: an item was removed by another process between two looks.
        """
        if self._ordered is None:
            look = self.look(need)
            if look is None:
                return []
            matches = self._taken or self._collection.search(*look)
            self._ordered = self._recalled(matches) if self._options.fusion == "hybrid" else self._fused(matches)
            if len(self._ordered) < need and look.k < self.searched:
                note = N_("--fusion {fusion} looks no deeper than the best {count} items; --fusion early finds more")
                self.notes = [note.format(fusion=self._options.fusion, count=look.k)]
        return self._ordered[:need]

    def _recalled(self, matches: Matches) -> list[Found]:
        hits = self._ranked.hits_of(_found(matches.keys))
        scores = self._scores(self._collection.vectors([hit.key for hit in hits]))
        return self._in_order(hits, scores, fuse_anew(scores.best, self._weights))

    def _fused(self, matches: Matches) -> list[Found]:
        lists = self._lists(matches)
        wanted = [one.keys for one, weight in zip(lists, self._weights, strict=True) if weight > 0]
        hits = self._ranked.hits_of(np.unique(np.concatenate(wanted)))
        scores = self._scores(self._collection.vectors([hit.key for hit in hits]))
        fuse = fuse_ranks if self._options.fusion == "rrf" else fuse_scores
        return self._in_order(hits, scores, fuse(scores.best, [one.scores for one in lists], self._weights))

    @property
    def _weights(self) -> list[float]:
        return [part.weight for part in self._read.embedded]

    def _lists(self, matches: Matches) -> list["_List"]:
        """Return the list of each part: a file counts once, by its best item; files of the query do not count."""
        ends = np.cumsum([0, *(len(rows) for rows in self._probes)])
        keys = _found(matches.keys)
        files = self._files(keys)
        scores = self._scores(self._collection.vectors(keys)).best
        lists = []
        for part, (start, end) in enumerate(pairwise(ends)):
            mine = np.isin(keys, matches.keys[start:end]) & (files >= 0)
            lists.append(_List(keys[mine], _best_of_each(scores[mine, part], files[mine])))
        return lists

    def _files(self, keys: Keys) -> NDArray[np.int64]:
        """Return the file of each item, -1 for files that are part of the query."""
        rows = self._collection.items(keys)
        own = self._read.own
        paths = {row.file_id: Path(row.path) for row in rows} if own else {}
        real = dict(zip(paths, _real_paths(paths.values()), strict=True))
        left_out = {file_id for file_id, path in real.items() if path in own}
        return np.array([-1 if row.file_id in left_out else row.file_id for row in rows], np.int64)

    def _scores(self, vectors: FloatMatrix) -> "_Scored":
        """Return the scores of vectors for each part, and which of its vectors is best."""
        best = [np.round(best_scores(vectors, probes), _DECIMALS) for probes in self._probes]
        return _Scored(np.stack(best, axis=1), vectors)

    def _in_order(self, hits: Sequence[Found], scores: "_Scored", added: Scores) -> list[Found]:
        found = [
            hit._replace(score=float(row.sum()), shares=self._shares(row, vector) if self._options.explain else ())
            for hit, row, vector in zip(hits, added, scores.vectors, strict=True)
        ]
        return sorted(found, key=lambda one: one.place)

    def _shares(self, added: Scores, vector: NDArray[np.float32]) -> tuple[Share, ...]:
        """Return what each part added to a hit; where it is a clip, the time of the keyframe that is best."""
        shares = []
        for part, known, value in zip(self._read.parts, self._read.embedded, added.tolist(), strict=True):
            at_s = known.at_s[int((known.vectors @ vector).argmax())] if known.at_s else None
            shares.append(Share(part, value, at_s))
        return tuple(shares)


class _List(NamedTuple):
    """What a part finds: the keys of items, and the best score of each file."""

    keys: Keys
    scores: Scores


class _Scored(NamedTuple):
    """Vectors ``(n, dim)``, and their scores for each part ``(n, parts)``."""

    best: Scores
    vectors: FloatMatrix


def _real_paths(paths: Iterable[Path]) -> Iterator[str]:
    """Yield what ``os.path.realpath`` gives for each path, looking at each folder once."""
    folders: dict[Path, Path] = {}
    for path in paths:
        folder = path.parent
        if folder not in folders:
            folders[folder] = Path(os.path.realpath(folder))
        within = folders[folder] / path.name
        yield os.path.realpath(within) if within.is_symlink() else str(within)


def _found(keys: Keys) -> Keys:
    return np.unique(keys[keys >= 0])


def _best_of_each(scores: Scores, files: NDArray[np.int64]) -> Scores:
    """Return the best score of each file."""
    if not len(files):
        return np.empty(0)
    order = np.lexsort((-scores, files))
    first = np.append(True, np.diff(files[order]) != 0)
    best: Scores = scores[order][first]
    return best
