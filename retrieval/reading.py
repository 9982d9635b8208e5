"""Reading a query: its parts become vectors, from the collection where it knows them, and are mixed to probes."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from retrieval.errors import MediaError, QueryError
from retrieval.query import check_parts, split_item
from retrieval.ranking import MAX_PROBES, Embedded, Mix, mix, shares, spread, thin
from retrieval.types import FloatMatrix, Part, Pixels, Query, Sample, Share

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.store import Collection, Frames

_SPREAD_OVER = 1000
_MISSING = "there is no file and no indexed item {!r}; give the path of a picture or clip, or an item as a.mp4#t=12.5"


class ReadQuery(NamedTuple):
    """A query as the engine reads it: its parts as vectors, and the probes they are mixed to.

    ``own`` are the real paths of the query's files, ``notes`` what the user should know.
    """

    parts: tuple[Part, ...]
    embedded: tuple[Embedded, ...]
    mixed: Mix
    own: frozenset[str]
    notes: tuple[str, ...]

    def shares(self, vectors: FloatMatrix) -> list[tuple[Share, ...]]:
        """Return what each part adds to the score of each of the vectors ``(n, dim)``; see ``ranking.shares``."""
        found, best = shares(vectors, self.mixed)
        return [
            tuple(
                Share(part, float(value), known.at_s[row] if known.at_s and row >= 0 else None)
                for part, known, value, row in zip(self.parts, self.embedded, values, rows, strict=True)
            )
            for values, rows in zip(found, self.mixed.rows[best], strict=True)
        ]


def read_query(query: Query, embedder: "Embedder", collection: "Collection | None" = None) -> ReadQuery:
    """Embed the parts of a query and mix them; without a collection, files are decoded and spreads are not known.

    Raises:
        QueryError: a part that is not to be found, or parts that cancel one another out.
        MediaError: a file of the query cannot be read.
    """
    check_parts(query.parts)
    reading = _Reading(collection, embedder)
    embedded = reading.embed(query.parts)
    if collection is not None and len({part.modality for part in embedded}) > 1:
        embedded = _with_spread(embedded, collection)
    try:
        mixed = mix(embedded)
    except ValueError:
        raise QueryError("the parts of the query cancel one another out; change a weight or take one out") from None
    return ReadQuery(query.parts, tuple(embedded), mixed, reading.own, tuple(reading.notes))


def _with_spread(parts: Sequence[Embedded], collection: "Collection") -> list[Embedded]:
    """Measure over the collection how far each part's scores spread."""
    rows = [thin(part.vectors, MAX_PROBES) for part in parts]
    count = min(_SPREAD_OVER, collection.count())
    if count < 1:
        return list(parts)
    scores = collection.search(np.concatenate(rows), count).scores
    ends = np.cumsum([len(part) for part in rows])
    return [
        part._replace(spread=spread(scores[end - len(row) : end]))
        for part, row, end in zip(parts, rows, ends, strict=True)
    ]


class _Rows(NamedTuple):
    """The vectors of a part, and the times of its frames in seconds where it is a clip."""

    vectors: FloatMatrix
    at_s: tuple[float, ...] = ()

    @classmethod
    def of(cls, frames: "Frames") -> "_Rows":
        return cls(frames.vectors, () if np.isnan(frames.at_s).any() else tuple(frames.at_s.tolist()))


class _Reading:
    """Embeds the parts of one query; ``own`` are the real paths of its files, ``notes`` what the user should know."""

    def __init__(self, collection: "Collection | None", embedder: "Embedder") -> None:
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
        found = []
        for part in parts:
            if part.kind == "text":
                found.append(Embedded(np.asarray(next(rows))[None], part.weight, "text"))
            else:
                seen = self._item(part.value) if part.kind == "item" else self._file(part.value)
                found.append(Embedded(seen.vectors, part.weight, "picture", at_s=seen.at_s))
        return found

    def _file(self, value: str) -> _Rows:
        """Return the vectors of a picture, or of keyframes of a clip: stored ones if it is indexed and unchanged."""
        path, real = _places(value)
        self._paths.add(str(real))
        stored = _stored_file(self._collection, (path, real)) if self._collection is not None else None
        return self._decoded(path, None) if stored is None else stored

    def _item(self, value: str) -> _Rows:
        """Return the vector of a stored item, or of the frame at that time of a file that is not indexed."""
        for name, at_s in dict.fromkeys(((value, None), split_item(value))):
            path, real = _places(name)
            self._paths.add(str(real))
            stored = _stored_item(self._collection, (path, real), at_s) if self._collection is not None else None
            if stored is not None:
                return stored
            if at_s is not None and os.path.isfile(path):  # noqa: PTH113 - False for a name too long
                return self._decoded(path, at_s)
        raise QueryError(_MISSING.format(value[:200]))

    def _decoded(self, path: Path, at_s: float | None) -> _Rows:
        from retrieval.config import Sampling
        from retrieval.embedding.base import usable
        from retrieval.media import open_media

        prepare = self._embedder.preprocess
        pre = self._embedder.spec.preprocessing
        try:
            with open_media(path, Sampling(), max(pre.height, pre.width)) as media:
                seen = _evenly(media, prepare, MAX_PROBES) if at_s is None else _nearest(media, prepare, at_s)
                self.notes += [f"{path}: {note}" for note in media.notes]
        except MediaError as error:
            raise MediaError(f"{path} cannot be used to search with: {error}; give another file") from None
        if seen:
            vectors = self._embedder.embed_pixels(np.stack([sample.pixels for sample in seen]))
            good = usable(vectors)
            if good.any():
                times = (sample.item.at_s for sample, kept in zip(seen, good, strict=True) if kept and at_s is None)
                return _Rows(vectors[good], tuple(time for time in times if time is not None))
        raise MediaError(f"{path} cannot be used to search with: the model gives no vector for it; give another file")


def _stored_file(collection: "Collection", names: Iterable[Path]) -> _Rows | None:
    """Return the vectors of a file that is indexed and unchanged, whichever of its names the collection knows."""
    for known in dict.fromkeys(names):
        record = collection.find_file(known)
        if record and record.status == "ok" and _unchanged(known, record.size_bytes, record.mtime_ns):
            stored = collection.frames(record.id)
            if len(stored.vectors):
                return _Rows.of(stored)
    return None


def _stored_item(collection: "Collection", names: Iterable[Path], at_s: float | None) -> _Rows | None:
    """Return the vector of an item, or those of all frames of a video when no time is given."""
    for known in dict.fromkeys(names):
        row = collection.find_item(known, at_s)
        if row is not None:
            if row.kind == "image" or at_s is not None:
                return _Rows(collection.vectors([row.key]))
            frames = collection.frames(row.file_id)
            if not len(frames.keys):
                raise KeyError(row.file_id)
            return _Rows.of(frames)
    return None


def _evenly(samples: Iterable[Sample], prepare: Callable[[Pixels], Pixels], most: int) -> list[Sample]:
    """Return at most ``most`` samples, prepared, about evenly from first to last; memory is bounded."""
    kept: list[Sample] = []
    stride = 1
    for place, sample in enumerate(samples):
        if place % stride == 0:
            kept.append(sample._replace(pixels=prepare(sample.pixels)))
        if len(kept) == 4 * most:
            kept, stride = kept[::2], 2 * stride
    places = thin(np.arange(len(kept), dtype=np.float32)[:, None], most)[:, 0]
    return [kept[int(place)] for place in places]


def _nearest(samples: Iterable[Sample], prepare: Callable[[Pixels], Pixels], at_s: float) -> list[Sample]:
    """Return the sample nearest in time, prepared; of a picture the only one."""
    best = min(samples, key=lambda sample: abs((sample.item.at_s or 0.0) - at_s), default=None)
    return [] if best is None else [best._replace(pixels=prepare(best.pixels))]


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
