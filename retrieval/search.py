"""Finding: a query's parts become probes, the collection's nearest items become hits, best first."""

import os
from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CollectionError, QueryError
from retrieval.query import check_parts, format_item
from retrieval.ranking import best_scores, moments
from retrieval.reading import read_query
from retrieval.types import FloatMatrix, Hit, Hits, Kind, Query, Share, Where

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.store import Collection, ItemRow

Sort = Literal["score", "date", "path"]

_FIRST_FETCH = 64
_DECIMALS = 6
_EDGE = 2e-6  # scores this near to one another may round to the same ``_DECIMALS``
_ATTEMPTS = 5


class Searcher:
    """Answers queries over a collection; safe to use from many threads."""

    def __init__(self, collection: "Collection", embedder: "Embedder") -> None:
        """Use a collection with the model it was made with.

        Raises:
            ModelMismatch: it was made with another one.
        """
        collection.check_model(embedder.spec)
        self.collection = collection
        self.embedder = embedder

    def search(
        self,
        query: Query,
        k: int = 10,
        *,
        offset: int = 0,
        sort: Sort = "score",
        per_video: int = 3,
        explain: bool = False,
    ) -> Hits:
        """Return hits ``offset`` to ``offset + k`` of the order by score; fewer only when no more exist.

        A hit is a picture, or a moment of a video (at most ``per_video`` of one). Its score is the cosine with the
        query's best probe; equal scores (to six decimals) are ordered by path, then time, so that pages join without a
        gap or repetition. An indexed file that is itself part of the query is left out, whatever name it is given by;
        other files of the same bytes are hits. ``sort`` puts those k in another order, by path, or newest first (by the
        wall-clock time that the filter ``date`` compares); ``rank`` stays the place by score. Files on sources that are
        offline can be found, files that are gone cannot. With ``explain``, hits say what each part of the query added
        to their score.

        Raises:
            QueryError: a part that is not to be found, parts that cancel one another out, k < 1, or a bad filter.
            MediaError: a file of the query cannot be read.
            ModelMismatch: the collection was meanwhile embedded anew with another model.
        """
        if k < 1 or offset < 0 or per_video < 1:
            raise QueryError("k and the hits per video are 1 or more, the offset 0 or more")
        check_parts(query.parts)
        self.collection.check_model(self.embedder.spec)
        for attempt in range(_ATTEMPTS):
            try:
                read = read_query(query, self.embedder, self.collection)
                found, searched = self._ranked(read.mixed.probes, query.where, read.own, offset + k, per_video)
                found = found[offset:]
                told = (
                    read.shares(self.collection.vectors([one.key for one in found])) if explain else [()] * len(found)
                )
                break
            except KeyError:  # an item was removed by another process between two looks
                if attempt == _ATTEMPTS - 1:
                    raise CollectionError("the collection changes faster than it can be read; try again") from None
        ranked = enumerate((one._replace(shares=each) for one, each in zip(found, told, strict=True)), offset + 1)
        hits = tuple(_hit(rank, one) for rank, one in _sorted(ranked, sort))
        return Hits(query, hits, searched, read.notes)

    def _ranked(
        self, probes: FloatMatrix, where: Where | None, own: frozenset[str], need: int, per_video: int
    ) -> tuple[list["_Found"], int]:
        """Return the best ``need`` hits in order (or all there are), and how many items were chosen from.

        Many items may fall to one hit, so more are fetched until enough hits lie clearly above everything not fetched.
        """
        searched = self.collection.count(where)
        if not searched:
            return [], 0
        ranking = _Ranking(self.collection, probes, own, per_video)
        fetch = max(_FIRST_FETCH, 2 * need)
        while True:
            matches = self.collection.search(probes, min(fetch, searched), where)
            last = float(matches.scores[:, -1].max()) + _EDGE if fetch < searched else -np.inf
            found = ranking.above(last, matches.keys, need)
            if len(found) >= need or not np.isfinite(last):
                return found[:need], searched
            fetch *= 4


class _Found(NamedTuple):
    """A hit before it has a rank; ``row`` is an item of its file."""

    score: float
    row: "ItemRow"
    key: int
    at_s: float | None
    start_s: float | None
    end_s: float | None
    shares: tuple[Share, ...] = ()

    @property
    def place(self) -> tuple[float, bytes, float]:
        """What hits are ordered by."""
        return (-round(self.score, _DECIMALS), os.fsencode(self.row.path), self.at_s or 0.0)


class _Group(NamedTuple):
    """What was fetched of one file: its best score, and any of its items."""

    score: float
    row: "ItemRow"


class _Ranking:
    """Turns matches into hits; remembers the moments of videos between one fetch and the next."""

    def __init__(self, collection: "Collection", probes: FloatMatrix, own: frozenset[str], per_video: int) -> None:
        self._collection, self._probes, self._own, self._per_video = collection, probes, own, per_video
        self._of_file: dict[int, list[_Found]] = {}

    def above(self, least: float, keys: NDArray[np.int64], need: int) -> list[_Found]:
        """Return the hits with a score above ``least`` in order; no more than it takes to know the best ``need``."""
        found: list[_Found] = []
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
        rows = self._collection.items(keys)
        scores = best_scores(self._collection.vectors(keys), self._probes)
        groups: dict[int, _Group] = {}
        for score, row in zip(scores.tolist(), rows, strict=True):
            if row.file_id not in groups or score > groups[row.file_id].score:
                groups[row.file_id] = _Group(score, row)
        return sorted(groups.values(), key=lambda group: -group.score)

    def _hits(self, group: _Group) -> list[_Found]:
        row = group.row
        if row.file_id not in self._of_file:
            if self._own and os.path.realpath(row.path) in self._own:
                hits = []
            elif row.kind == "image":
                hits = [_Found(group.score, row, row.key, None, None, None)]
            else:
                hits = self._moments(row)
            self._of_file[row.file_id] = hits
        return self._of_file[row.file_id]

    def _moments(self, row: "ItemRow") -> list[_Found]:
        frames = self._collection.frames(row.file_id)
        if not len(frames.keys):
            raise KeyError(row.file_id)
        scores = best_scores(frames.vectors, self._probes)
        return [
            _Found(moment.score, row, int(frames.keys[moment.frame]), moment.at_s, moment.start_s, moment.end_s)
            for moment in moments(scores, frames.at_s, frames.start_s, frames.end_s, self._per_video)
        ]


def _hit(rank: int, found: _Found) -> Hit:
    row = found.row
    path = os.fspath(row.path)
    kind: Kind = row.kind
    return Hit(
        rank,
        min(1.0, max(-1.0, found.score)),  # stored vectors are of length 1 but for rounding
        path,
        kind,
        found.start_s,
        found.end_s,
        found.at_s,
        format_item(path, found.at_s),
        row.width,
        row.height,
        row.taken_at,
        found.key,
        found.shares,
    )


def _sorted(ranked: Iterable[tuple[int, _Found]], sort: Sort) -> list[tuple[int, _Found]]:
    """Return what is in order of score in the order asked for."""
    if sort == "path":
        return sorted(ranked, key=lambda one: (os.fsencode(one[1].row.path), one[1].at_s or 0.0))
    if sort == "date":
        return sorted(ranked, key=lambda one: _wall_clock(one[1].row), reverse=True)
    return list(ranked)


def _wall_clock(row: "ItemRow") -> str:
    """Return when a file was taken as the filter ``date`` sees it: without its offset, else the file's time."""
    if row.taken_at:
        return row.taken_at[: len("2024-05-01T12:30:00")]
    try:
        return datetime.fromtimestamp(row.mtime_ns // 1_000_000_000).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
