"""The parts of a query as vectors: stored ones where the collection knows the file, else embedded anew."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from retrieval.errors import MediaError, QueryError
from retrieval.messages import _, retold
from retrieval.query import Crop, ItemName, read_item
from retrieval.ranking import MAX_PROBES, Embedded, thin
from retrieval.reading.arrays import read_vectors
from retrieval.reading.regions import cut_out, target_of
from retrieval.reading.texts import Texts
from retrieval.types import FloatMatrix, Part, Pixels, Sample, Track

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.store import Collection, Frames


Prepare = Callable[[Pixels], Pixels]
"""Makes the pixels of a picture those that the model takes."""


class _Rows(NamedTuple):
    """The vectors of a part; where it is a clip, the times of its frames in seconds, and its track."""

    vectors: FloatMatrix
    at_s: tuple[float, ...] = ()
    track: Track | None = None

    @classmethod
    def of(cls, frames: "Frames", track: Track | None) -> "_Rows":
        return cls(frames.vectors, () if np.isnan(frames.at_s).any() else tuple(frames.at_s.tolist()), track)


class _Looked(NamedTuple):
    """Preprocessed pixels with their times in seconds, ``None`` for a picture; the track where it is a clip."""

    seen: list[tuple[Pixels, float | None]]
    track: Track | None


class Reading:
    """Embeds the parts of one query; ``own`` are the real paths of its files, ``notes`` what the user should know."""

    def __init__(self, collection: "Collection | None", embedder: "Embedder", texts: Texts) -> None:
        """Read files with a model, from a collection where it knows them; words are among ``texts``."""
        self._collection, self._embedder, self._texts = collection, embedder, texts
        self._paths: set[str] = set()
        self._alone = False
        self.notes: list[str] = []

    @property
    def own(self) -> frozenset[str]:
        """The real paths of the pictures and clips among the parts."""
        return frozenset(self._paths)

    def embed(self, parts: Sequence[Part]) -> list[Embedded]:
        """Return the parts as vectors, in their order.

        Raises:
            QueryError: a part that is not to be found, or a file of vectors that cannot be used.
            MediaError: a picture or clip that cannot be read.
            ModelError: the model has no vector for words.
        """
        said = (note for part in parts if part.kind == "text" for note in self._texts.of(part.value).notes)
        self.notes += dict.fromkeys(said)
        self._alone = len(parts) == 1  # only then a clip is looked for as an excerpt
        return [self._embedded(part) for part in parts]

    def _embedded(self, part: Part) -> Embedded:
        if part.kind == "text":
            return Embedded(self._texts.of(part.value).vector, part.weight, "text")
        if part.kind == "vector":
            vectors, notes = read_vectors(part.value, self._embedder.spec)
            self.notes += notes
            return Embedded(vectors, part.weight, "vector")
        seen = self._item(part.value) if part.kind == "item" else self._file(part.value)
        return Embedded(seen.vectors, part.weight, "picture", at_s=seen.at_s, track=seen.track)

    def _file(self, value: str) -> _Rows:
        """Return the vectors of a picture, or of keyframes of a clip: stored ones if it is indexed and unchanged."""
        path, real = _places(value)
        named = read_item(value)
        if named.path != value and not _is_file(path):
            return self._item(value)
        self._paths.add(str(real))
        stored = _stored_file(self._collection, (path, real)) if self._collection is not None else None
        return self._decoded(path, ItemName(value)) if stored is None else stored

    def _item(self, value: str) -> _Rows:
        """Return the vector of a stored item, or of the frame or the region of a file that is named."""
        for named in dict.fromkeys((ItemName(value), read_item(value))):
            path, real = _places(named.path)
            seen = None
            if named.crop is None and self._collection is not None:
                seen = _stored_item(self._collection, (path, real), named.at_s)
            if seen is None and (named.at_s is not None or named.crop is not None) and _is_file(path):
                seen = self._decoded(path, named)
            if seen is not None:
                self._paths.add(str(real))
                return seen
        raise _missing(value)

    def _decoded(self, path: Path, named: ItemName) -> _Rows:
        from retrieval.embedding.base import usable

        try:
            seen, track = self._looked_at(path, named)
        except MediaError as error:
            message = _("{path} cannot be used to search with: {reason}; give another file")
            raise MediaError(message.format(path=path, reason=retold(str(error)))) from None
        if seen:
            vectors = self._embedder.embed_pixels(np.stack([pixels for pixels, _at_s in seen]))
            good = usable(vectors)
            if good.any():
                times = (at_s for (_pixels, at_s), kept in zip(seen, good, strict=True) if kept)
                return _Rows(vectors[good], tuple(at_s for at_s in times if at_s is not None), track)
        message = _("{path} cannot be used to search with: the model gives no vector for it; give another file")
        raise MediaError(message.format(path=path))

    def _looked_at(self, path: Path, named: ItemName) -> _Looked:
        """Return the preprocessed pixels of a picture, or of frames of a video with their times in seconds.

        Times are those of a clip's frames; of the one frame that was named there is none, and no track either.
        """
        from retrieval.config import Sampling
        from retrieval.media import open_media

        how = self._embedder.spec.preprocessing
        target = max(how.height, how.width)
        prepare: Prepare = self._embedder.preprocess
        if named.crop is not None:
            target, prepare = _cropping(path, named.crop, target, prepare)
        with open_media(path, Sampling(), target, dense=self._alone and named.at_s is None) as media:
            if named.at_s is not None:
                seen: list[tuple[Pixels, float | None]] = [(prepare(one), None) for one in media.at([named.at_s])]
            else:
                seen = [(one.pixels, one.item.at_s) for one in _evenly(media, prepare, MAX_PROBES)]
            self.notes += [f"{path}: {retold(note)}" for note in media.notes]
            return _Looked(seen, media.info.track if named.at_s is None else None)


def _cropping(path: Path, crop: Crop, target: int, prepare: Prepare) -> tuple[int, Prepare]:
    """Return how large a file must be decoded for a region of it, and what cuts and prepares the region.

    Raises:
        QueryError: the region lies outside the picture.
        MediaError: the file cannot be read.
    """
    from retrieval.config import Sampling
    from retrieval.media import open_media

    with open_media(path, Sampling("keyframes"), target) as media:
        size = media.info.width, media.info.height
    return target_of(path, crop, size, target), lambda pixels: prepare(cut_out(pixels, crop, size))


def _stored_file(collection: "Collection", names: Iterable[Path]) -> _Rows | None:
    """Return the vectors of a file that is indexed and unchanged, whichever of its names the collection knows."""
    for known in dict.fromkeys(names):
        record = collection.find_file(known)
        if record and record.status == "ok" and _unchanged(known, record.size_bytes, record.mtime_ns):
            stored = collection.frames(record.id)
            if len(stored.vectors):
                return _Rows.of(stored, collection.track(record.id))
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
            return _Rows.of(frames, collection.track(row.file_id))
    return None


def _evenly(samples: Iterable[Sample], prepare: Prepare, most: int) -> list[Sample]:
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


def _places(name: str) -> tuple[Path, Path]:
    """Return a file's absolute path with its links as they are, and its real one."""
    try:
        possible = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise _missing(name)
    return Path(os.path.abspath(name)), Path(os.path.realpath(name))  # noqa: PTH100 - takes ".." out and keeps links


def _unchanged(path: Path, size_bytes: int, mtime_ns: int) -> bool:
    """Say whether a file is as it was when it was indexed; one that is away counts as it was."""
    try:
        found = path.stat()
    except OSError:
        return True
    return (found.st_size, found.st_mtime_ns) == (size_bytes, mtime_ns)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - False for a name too long


def _missing(value: str) -> QueryError:
    if "#xywh=" in value or "&xywh=" in value:
        message = _(
            "there is no file for the region {value!r}; name a picture as photo.jpg#xywh=LEFT,TOP,WIDTH,HEIGHT in "
            "pixels, or #xywh=percent:25,25,50,50"
        )
    else:
        message = _(
            "there is no file and no indexed item {value!r}; give the path of a picture or clip, "
            "or an item as a.mp4#t=12.5"
        )
    return QueryError(message.format(value=value[:200]))
