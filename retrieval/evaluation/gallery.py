"""The files of a collection as evaluation needs them: where a dataset's pictures are in it, and all its vectors."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.embedding.stream import content_digest
from retrieval.errors import CollectionError, DatasetError
from retrieval.evaluation.protocols import Dataset
from retrieval.messages import N_, _
from retrieval.types import FloatMatrix, Where

if TYPE_CHECKING:
    from retrieval.store import Collection, FileRecord

_AT_ONCE = 2000


class Gallery(NamedTuple):
    """The vectors ``(n, dim)`` that may be found, those of a file side by side from ``starts`` ``(f,)`` on."""

    vectors: FloatMatrix
    starts: NDArray[np.intp]
    paths: tuple[Path, ...]


def places_of(dataset: Dataset, collection: "Collection") -> tuple[list[list[Path]], tuple[tuple[Path, str], ...]]:
    """Return for each picture the paths under which the collection holds it, and the pictures it could not read.

    Raises:
        DatasetError: a picture is not in the collection.
    """
    found: list[list[Path]] = []
    failed: list[tuple[Path, str]] = []
    missing: list[Path] = []
    for path in dataset.paths:
        records = _known_as(path, collection)
        sound = [record.path for record in records if record.status == "ok" and not record.gone]
        if not records:
            missing.append(path)
        elif not sound:
            failed.append((path, records[0].reason or N_("it is gone or waits to be embedded")))
        found.append(sound)
    if missing:
        raise DatasetError(
            _(
                "{count:,} of {total:,} pictures are not in the collection, such as {path}; run: "
                "sightseek index {folder} -c {collection}"
            ).format(
                count=len(missing),
                total=len(dataset.paths),
                path=missing[0],
                folder=dataset.folder,
                collection=collection.folder,
            )
        )
    return found, tuple(failed)


def _known_as(path: Path, collection: "Collection") -> list["FileRecord"]:
    """Return the records of a file: those of its bytes, whatever their path."""
    for place in dict.fromkeys((path.absolute(), path.resolve())):
        record = collection.find_file(place)
        if record is not None and record.size_bytes == path.stat().st_size:
            return collection.files_with_digest(record.digest) or [record] if record.digest else [record]
    try:
        return collection.files_with_digest(content_digest(path))
    except OSError:
        return []


def read_gallery(collection: "Collection", where: Where | None) -> Gallery:
    """Read all vectors that a search with this filter chooses from, straight from the catalog.

    Raises:
        CollectionError: the collection cannot be read, or changed meanwhile.
    """
    from retrieval.store.collection import CATALOG
    from retrieval.store.committed import gone_keys, mark, selected_keys, stored_vectors
    from retrieval.store.reader import Reader

    reader = Reader(collection.folder / CATALOG)
    try:
        dim = reader.look().spec.dim
        with reader.snapshot() as connection:
            gone = gone_keys(connection)
            chosen = None if where is None else selected_keys(connection, where)
            blocks = [(np.empty(0, np.int64), np.empty((0, dim), np.float32))]
            for keys, vectors in stored_vectors(connection, mark(connection)):
                kept = ~np.isin(keys, gone) if chosen is None else np.isin(keys, chosen)
                blocks.append((keys[kept], vectors[kept]))
        keys = np.concatenate([block[0] for block in blocks])
        items = [one for start in range(0, len(keys), _AT_ONCE) for one in reader.items(keys[start : start + _AT_ONCE])]
    except KeyError:
        raise CollectionError(_("the collection changed while it was read; try again")) from None
    finally:
        reader.close()
    files = np.array([item.file_id for item in items], np.int64)
    order = np.argsort(files, kind="stable")
    starts = np.flatnonzero(np.diff(files[order], prepend=-1))
    paths = tuple(items[order[start]].path for start in starts)
    whole = np.concatenate([block[1] for block in blocks])
    del blocks
    return Gallery(whole[order], starts, paths)


def name_of(path: Path, folder: Path) -> str:
    """Return a path as the captions name it, where it is below the folder of the pictures."""
    root = folder.absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def fingerprint(collection: "Collection") -> dict[str, Any]:
    """Return what says which index answered: kind, generation and state, and how much it holds."""
    stats = collection.stats()
    return {**stats.index, "items": stats.items, "files": stats.files}
