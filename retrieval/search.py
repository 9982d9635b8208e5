"""Finding: a query's parts become probes, the collection's nearest items become hits, best first."""

import os
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CollectionError, MediaError, QueryError
from retrieval.query import check_parts, format_item, split_item
from retrieval.ranking import MAX_PROBES, Embedded, best_scores, blend, moments, spread, thin
from retrieval.types import FloatMatrix, Hit, Hits, Kind, Part, Pixels, Query, Sample, Where

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.store import Collection, ItemRow

Sort = Literal["score", "date", "path"]

_FIRST_FETCH = 64
_SPREAD_OVER = 1000
_DECIMALS = 6
_EDGE = 2e-6  # scores this near to one another may round to the same ``_DECIMALS``
_ATTEMPTS = 5
_MISSING = "there is no file and no indexed item {!r}; give the path of a picture or clip, or an item as a.mp4#t=12.5"


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

    def search(self, query: Query, k: int = 10, *, offset: int = 0, sort: Sort = "score", per_video: int = 3) -> Hits:
        """Return hits ``offset`` to ``offset + k`` of the order by score; fewer only when no more exist.

        A hit is a picture, or a moment of a video (at most ``per_video`` of one). Its score is the cosine with the
        query's best probe; equal scores (to six decimals) are ordered by path, then time, so that pages join without a
        gap or repetition. An indexed file that is itself part of the query is left out, whatever name it is given by;
        other files of the same bytes are hits. ``sort`` puts those k in another order, by path, or newest first (by the
        wall-clock time that the filter ``date`` compares); ``rank`` stays the place by score. Files on sources that are
        offline can be found, files that are gone cannot.

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
                reading = _Reading(self.collection, self.embedder)
                probes = self._probes(reading.embed(query.parts))
                found, searched = self._ranked(probes, query.where, reading.own, offset + k, per_video)
                break
            except KeyError:  # an item was removed by another process between two looks
                if attempt == _ATTEMPTS - 1:
                    raise CollectionError("the collection changes faster than it can be read; try again") from None
        ranked = enumerate(found[offset : offset + k], offset + 1)
        hits = tuple(_hit(rank, one) for rank, one in _sorted(ranked, sort))
        return Hits(query, hits, searched, tuple(reading.notes))

    def _probes(self, parts: Sequence[Embedded]) -> FloatMatrix:
        if len({part.modality for part in parts}) > 1:
            parts = self._with_spread(parts)
        try:
            return blend(parts)
        except ValueError:
            raise QueryError("the parts of the query cancel one another out; change a weight or take one out") from None

    def _with_spread(self, parts: Sequence[Embedded]) -> list[Embedded]:
        """Measure over the collection how far each part's scores spread."""
        rows = [thin(part.vectors, MAX_PROBES) for part in parts]
        count = min(_SPREAD_OVER, self.collection.count())
        if count < 1:
            return list(parts)
        scores = self.collection.search(np.concatenate(rows), count).scores
        ends = np.cumsum([len(part) for part in rows])
        return [
            part._replace(spread=spread(scores[end - len(row) : end]))
            for part, row, end in zip(parts, rows, ends, strict=True)
        ]

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


class _Reading:
    """Embeds the parts of one query; ``own`` are the real paths of its files, ``notes`` what the user should know."""

    def __init__(self, collection: "Collection", embedder: "Embedder") -> None:
        self._collection, self._embedder = collection, embedder
        self._paths: set[str] = set()
        self.notes: list[str] = []

    @property
    def own(self) -> frozenset[str]:
        return frozenset(self._paths)

    def embed(self, parts: Sequence[Part]) -> list[Embedded]:
        """Return the parts as vectors, in their order."""
        words = [part.value for part in parts if part.kind == "text"]
        rows = iter(self._embedder.embed_texts(words) if words else ())
        self.notes += dict.fromkeys(note for text in words for note in self._embedder.text_notes(text))
        return [
            Embedded(np.asarray(next(rows))[None], part.weight, "text")
            if part.kind == "text"
            else Embedded(
                self._item(part.value) if part.kind == "item" else self._file(part.value), part.weight, "picture"
            )
            for part in parts
        ]

    def _file(self, value: str) -> FloatMatrix:
        """Return the vectors of a picture, or of keyframes of a clip: stored ones if it is indexed and unchanged."""
        path, real = _places(value)
        self._paths.add(str(real))
        for known in dict.fromkeys((path, real)):
            record = self._collection.find_file(known)
            if record and record.status == "ok" and _unchanged(known, record.size_bytes, record.mtime_ns):
                stored = self._collection.frames(record.id).vectors
                if len(stored):
                    return stored
        return self._decoded(path, None)

    def _item(self, value: str) -> FloatMatrix:
        """Return the vector of a stored item, or of the frame at that time of a file that is not indexed."""
        for name, at_s in dict.fromkeys(((value, None), split_item(value))):
            path, real = _places(name)
            self._paths.add(str(real))
            for known in dict.fromkeys((path, real)):
                row = self._collection.find_item(known, at_s)
                if row is not None:
                    if row.kind == "image" or at_s is not None:
                        return self._collection.vectors([row.key])
                    return self._frames(row.file_id)
            if at_s is not None and os.path.isfile(path):  # noqa: PTH113 - False for a name too long
                return self._decoded(path, at_s)
        raise QueryError(_MISSING.format(value[:200]))

    def _frames(self, file_id: int) -> FloatMatrix:
        vectors = self._collection.frames(file_id).vectors
        if not len(vectors):
            raise KeyError(file_id)
        return vectors

    def _decoded(self, path: Path, at_s: float | None) -> FloatMatrix:
        from retrieval.config import Sampling
        from retrieval.embedding.base import usable
        from retrieval.media import open_media

        prepare = self._embedder.preprocess
        pre = self._embedder.spec.preprocessing
        try:
            with open_media(path, Sampling(), max(pre.height, pre.width)) as media:
                pixels = _evenly(media, prepare, MAX_PROBES) if at_s is None else _nearest(media, prepare, at_s)
                self.notes += [f"{path}: {note}" for note in media.notes]
        except MediaError as error:
            raise MediaError(f"{path} cannot be used to search with: {error}; give another file") from None
        if pixels:
            vectors = self._embedder.embed_pixels(np.stack(pixels))
            good: FloatMatrix = vectors[usable(vectors)]
            if len(good):
                return good
        raise MediaError(f"{path} cannot be used to search with: the model gives no vector for it; give another file")


def _evenly(samples: Iterable[Sample], prepare: Callable[[Pixels], Pixels], most: int) -> list[Pixels]:
    """Return the pixels of at most ``most`` samples, about evenly from first to last; memory is bounded."""
    kept: list[Pixels] = []
    stride = 1
    for place, sample in enumerate(samples):
        if place % stride == 0:
            kept.append(prepare(sample.pixels))
        if len(kept) == 4 * most:
            kept, stride = kept[::2], 2 * stride
    places = thin(np.arange(len(kept), dtype=np.float32)[:, None], most)[:, 0]
    return [kept[int(place)] for place in places]


def _nearest(samples: Iterable[Sample], prepare: Callable[[Pixels], Pixels], at_s: float) -> list[Pixels]:
    """Return the pixels of the sample nearest in time; of a picture's only one."""
    best = min(samples, key=lambda sample: abs((sample.item.at_s or 0.0) - at_s), default=None)
    return [] if best is None else [prepare(best.pixels)]


def _places(name: str) -> tuple[Path, Path]:
    """Return a file's absolute path with its links as they are, and its real one."""
    try:
        possible = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise QueryError(_MISSING.format(name[:200]))
    return Path(os.path.abspath(name)), Path(os.path.realpath(name))  # noqa: PTH100 - takes ".." out and keeps links


def _unchanged(path: Path, size_bytes: int, mtime_ns: int) -> bool:
    """Say whether a file is as it was when it was indexed; one that is away counts as it was."""
    try:
        found = path.stat()
    except OSError:
        return True
    return (found.st_size, found.st_mtime_ns) == (size_bytes, mtime_ns)


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
