"""What is to be labelled: files and items by name, or all that a collection has, with the vectors stored for them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from retrieval.config import Sampling
from retrieval.embedding import Embedder
from retrieval.embedding.base import usable
from retrieval.embedding.stream import Embedded, Job, embed_stream
from retrieval.errors import MediaError, QueryError
from retrieval.media import open_media
from retrieval.messages import N_, _
from retrieval.query import split_item
from retrieval.types import FloatMatrix, Item, Keys, Kind, Sample, Where

if TYPE_CHECKING:
    from retrieval.store import Collection
    from retrieval.store.records import FileRecord, Frames


class FileVectors(NamedTuple):
    """A picture, or frames of a video in time order, with their vectors ``(n, dim) float32``, rows of length 1."""

    path: str
    kind: Kind
    items: tuple[Item, ...]
    vectors: FloatMatrix
    notes: tuple[str, ...] = ()


class Unread(NamedTuple):
    """A file that gave no vectors; ``reason`` is one line without the path."""

    path: str
    reason: str


class _Wanted(NamedTuple):
    """A file or item as given: where it is, and the time within it, if one was named."""

    path: Path
    at_s: float | None


def in_collection(collection: "Collection", where: Where | None = None) -> Iterator[FileVectors]:
    """Yield all files that ``where`` selects, ordered by path, with the vectors the collection holds of them.

    Files on sources that are offline are there, files that are gone are not.

    Raises:
        QueryError: a filter that cannot be understood.
        ModelMismatch: the collection was meanwhile embedded anew with another model.
    """
    chosen = _chosen(collection, where)
    for record in collection.records():
        if record.gone or not record.embedded or record.kind is None:
            continue
        frames = collection.frames(record.id)
        if len(frames.keys) and _holds(chosen, int(frames.keys[0])):
            yield _stored(record.path, record.kind, frames)


def of_files(
    names: Sequence[str], embedder: Embedder, collection: "Collection | None" = None
) -> Iterator[FileVectors | Unread]:
    """Yield what each name stands for, in the order given: a file, or an item such as ``film.mp4#t=12.5``.

    Vectors come from the collection where it holds the unchanged file (it must be of the embedder's model); other files
    are decoded and embedded, and nothing is stored.

    Raises:
        QueryError: there is no such file or item, or it is a folder.
        ModelMismatch: the collection is of another model.
        ModelError: the model cannot be run.
    """
    if collection is not None:
        collection.check_model(embedder.spec)
    wanted = [_wanted(name, collection) for name in names]
    known = [_known(one, collection) for one in wanted]
    rest = {place: one for place, one in enumerate(wanted) if known[place] is None}
    stream = _embed([(place, one.path) for place, one in rest.items() if one.at_s is None], embedder)
    early: dict[int, FileVectors | Unread] = {}
    for place, one in enumerate(wanted):
        found = known[place]
        if found is not None:
            yield found
        elif one.at_s is not None:
            yield _frame(one.path, one.at_s, embedder)
        else:
            while place not in early:
                done, result = next(stream)
                early[done] = result
            yield early.pop(place)


def _chosen(collection: "Collection", where: Where | None) -> Keys:
    """Return the keys a search would choose from: whatever the query, all of them are the nearest of so many."""
    count = collection.count(where)
    if not count:
        return np.empty(0, dtype=np.int64)
    query = np.zeros((1, collection.manifest.spec.dim), dtype=np.float32)
    query[0, 0] = 1.0
    keys = collection.search(query, count, where).keys[0]
    return np.sort(keys[keys >= 0])


def _holds(keys: Keys, key: int) -> bool:
    place = int(np.searchsorted(keys, key))
    return place < len(keys) and int(keys[place]) == key


def _wanted(name: str, collection: "Collection | None") -> _Wanted:
    """Tell a file from an item of one; a file of exactly that name comes first.

    Raises:
        QueryError: it is neither.
    """
    for text, at_s in dict.fromkeys(((name, None), split_item(name))):
        path = _absolute(text)
        if path is None or not text:
            continue
        if os.path.isdir(path):  # noqa: PTH112 - False for a name too long
            advice = _("{name!r} is a folder; index it, then label what is below it with: --where 'path:{folder}/**'")
            raise QueryError(advice.format(name=name[:200], folder=name[:200].rstrip("/")))
        if os.path.isfile(path) or (collection is not None and collection.find_item(path, at_s)):  # noqa: PTH113
            return _Wanted(path, at_s)
    raise QueryError(
        _("there is no file and no indexed item {name!r}; give a picture or clip, or an item as a.mp4#t=12.5").format(
            name=name[:200]
        )
    )


def _absolute(name: str) -> Path | None:
    """Return the absolute path with its links as they are; None when no file can have that name."""
    try:
        possible = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        possible = False
    return Path(os.path.abspath(name)) if possible else None  # noqa: PTH100 - takes ".." out and keeps links


def _known(one: _Wanted, collection: "Collection | None") -> FileVectors | None:
    """Return what the collection holds of a file or item, if it is as it was when it was indexed, or away."""
    if collection is None:
        return None
    for path in dict.fromkeys((one.path, Path(os.path.realpath(one.path)))):
        record = collection.find_file(path)
        if record is None or record.status != "ok" or record.kind is None or not _unchanged(record):
            continue
        frames = collection.frames(record.id)
        if not len(frames.keys):
            continue
        found = _stored(one.path, record.kind, frames)
        return found if one.at_s is None else _nearest(found, one.at_s)
    return None


def _unchanged(record: "FileRecord") -> bool:
    try:
        found = record.path.stat()
    except OSError:
        return True
    return (found.st_size, found.st_mtime_ns) == (record.size_bytes, record.mtime_ns)


def _stored(path: Path, kind: Kind, frames: "Frames") -> FileVectors:
    times = zip(frames.at_s.tolist(), frames.start_s.tolist(), frames.end_s.tolist(), strict=True)
    known = ([None if np.isnan(value) else value for value in row] for row in times)
    items = tuple(Item(at_s, start_s, end_s) for at_s, start_s, end_s in known)
    return FileVectors(os.fspath(path), kind, items, frames.vectors)


def _nearest(file: FileVectors, at_s: float) -> FileVectors:
    place = min(range(len(file.items)), key=lambda i: abs((file.items[i].at_s or 0.0) - at_s))
    return file._replace(items=file.items[place : place + 1], vectors=file.vectors[place : place + 1])


def _embed(files: list[tuple[int, Path]], embedder: Embedder) -> Iterator[tuple[int, FileVectors | Unread]]:
    jobs = (Job(path, place) for place, path in files)
    for result in embed_stream(jobs, embedder, digest=False):
        place, path = result.job.tag, os.fspath(result.job.path)
        assert isinstance(place, int)
        if isinstance(result, Embedded):
            yield place, FileVectors(path, result.info.kind, result.items, result.vectors, result.notes)
        else:
            yield place, Unread(path, result.reason)


def _frame(path: Path, at_s: float, embedder: Embedder) -> FileVectors | Unread:
    """Embed the frame of a file that is nearest to a time; of a picture its only one."""
    size = embedder.spec.preprocessing
    try:
        with open_media(path, Sampling(), max(size.height, size.width)) as media:
            best: Sample | None = min(media, key=lambda one: abs((one.item.at_s or 0.0) - at_s), default=None)
            kind, notes = media.info.kind, tuple(media.notes)
    except MediaError as error:
        return Unread(os.fspath(path), str(error))
    if best is None:
        return Unread(os.fspath(path), N_("there is no picture in it"))
    vectors = embedder.embed_pixels(embedder.preprocess(best.pixels)[None])
    if not usable(vectors).all():
        return Unread(os.fspath(path), N_("the model gives no usable vector for it"))
    return FileVectors(os.fspath(path), kind, (best.item,), vectors, notes)
