"""What can be read from a collection: the nearest items, and what the catalog holds of files and items."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.config import Device
from retrieval.store.live import LiveIndex
from retrieval.store.reader import Reader
from retrieval.store.records import (
    FileFacts,
    FileRecord,
    Frames,
    ItemLooks,
    ItemRow,
    Manifest,
    Source,
    Stats,
    Told,
    WordMatch,
)
from retrieval.types import FloatMatrix, Keys, Matches, Track, Where

if TYPE_CHECKING:
    from retrieval.store.standing import Census


class Contents:
    """The reading half of a ``Collection``, which opens it and writes to it."""

    folder: Path
    manifest: Manifest
    notes: list[str]
    _reader: Reader
    _index: LiveIndex

    def search(self, queries: FloatMatrix, k: int, where: Where | None = None) -> Matches:
        """Return the k best items of each query, ``(q, dim) float32``, by score and then by key.

        ``where`` narrows the choice; files that are gone never appear. What other processes committed is taken in.

        Raises:
            ValueError: queries of another shape or not finite, or k < 1.
            QueryError: a filter that cannot be understood.
            ModelMismatch: the collection was meanwhile embedded anew with another model.
        """
        rows = np.ascontiguousarray(queries, np.float32)
        dim = self.manifest.spec.dim
        if rows.ndim != 2 or rows.shape[1] != dim:
            raise ValueError(f"queries must be of shape (q, {dim}), not {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("queries must be finite")
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        return self._index.search(rows, k, where, self._reader.model_id)

    def use(self, device: Device, *, briefly: bool = False) -> None:
        """Say what compares vectors: GPUs of FAISS where there are some (``auto``, ``cuda``), else the processor.

        A collection that is searched quickly as it is stays on the processor. Where a GPU is asked for and missing,
        the first search leaves a line in ``notes``. ``briefly`` is for a process that only reads, asks a query or two
        and ends: they are answered by the processor, without importing FAISS where that can be spared.
        """
        self._index.device = device
        self._index.briefly = briefly and device != "cuda"

    def find_words(
        self, wanted: Sequence[str], unwanted: Sequence[str] = (), most: int = 1000, where: Where | None = None
    ) -> list[WordMatch]:
        """Return at most ``most`` files that can be found by words of the texts, best first; equal ones by path.

        The words are those of file names, folders, titles, descriptions and keywords, compared by their stems where
        they are English; files are ordered by BM25 (Robertson and Zaragoza, 2009). Files that hold all words of an
        unwanted text one after the other are left out. ``where`` narrows the choice; files that are gone never appear.

        Raises:
            QueryError: a filter that cannot be understood.
        """
        return self._reader.find_words(wanted, unwanted, most, where)

    def refresh(self) -> None:
        """Take in what was committed since the last look; ``search`` does so itself."""
        self._index.refresh()

    def count(self, where: Where | None = None) -> int:
        """Return how many items a search with this filter chooses from.

        Raises:
            QueryError: a filter that cannot be understood.
        """
        return self._reader.count(where)

    def growth(self) -> tuple[int, int]:
        """Return a number that tells the collection from others, and one that rises as items are added."""
        return self._reader.growth()

    def hits(self, per_video: int, where: Where | None = None) -> int:
        """Return how many hits a search with this filter can have when a video counts at most ``per_video`` times.

        Raises:
            QueryError: a filter that cannot be understood.
        """
        return self._reader.hits(per_video, where)

    def sample(self, count: int, where: Where | None = None) -> FloatMatrix:
        """Return the vectors of at most ``count`` of the items that a search with this filter chooses from.

        ``(n, dim) float32``, spread evenly, and the same ones as long as nothing changes.

        Raises:
            QueryError: a filter that cannot be understood.
            KeyError: an item was removed by another process between two looks.
        """
        return self._reader.sample(count, where)

    def keys(self, where: Where | None = None) -> Keys:
        """Return the keys of the items that a search with this filter chooses from, ``(n,) int64``, by path and time.

        Raises:
            QueryError: a filter that cannot be understood.
        """
        return self._reader.keys(where)

    def file_ids(self, where: Where) -> frozenset[int]:
        """Return the ids of the files that a filter selects, those that failed or are gone too.

        Raises:
            QueryError: a filter that cannot be understood.
        """
        return self._reader.file_ids(where)

    def items(self, keys: Sequence[int] | Keys) -> list[ItemRow]:
        """Return the items of these keys, in their order.

        Raises:
            KeyError: there is no such item, or it was removed since it was found.
        """
        return self._reader.items(keys)

    def told(self, file_ids: Sequence[int]) -> dict[int, Told]:
        """Return what is known of these files besides their paths, by their ids; one that is gone has no entry."""
        from retrieval.store.telling import told

        return told(self._reader, file_ids)

    def vectors(self, keys: Sequence[int] | Keys) -> FloatMatrix:
        """Return the vectors of these keys, ``(n, dim) float32``, in their order.

        Raises:
            KeyError: there is no such item, or it was removed since it was found.
        """
        return self._reader.vectors(keys)

    def items_with_vectors(self, keys: Sequence[int] | Keys) -> tuple[list[ItemRow], FloatMatrix]:
        """Return the items of these keys and their vectors ``(n, dim) float32``, in their order.

        Raises:
            KeyError: there is no such item, or it was removed since it was found.
        """
        return self._reader.items_with_vectors(keys)

    def frames(self, file_id: int) -> Frames:
        """Return the items of a file in time order; none if there is no such file."""
        return self._reader.frames(file_id)

    def track(self, file_id: int) -> Track | None:
        """Return what a video looks like from moment to moment; ``None`` for a picture, or where it is not known."""
        return self._reader.track(file_id)

    def signatures(self, keys: Sequence[int] | Keys) -> list[bytes]:
        """Return the signatures of these keys (see ``Item``), in their order.

        Raises:
            KeyError: there is no such item, or it was removed since it was found.
        """
        return self._reader.signatures(keys)

    def digests(self, file_ids: Sequence[int]) -> list[bytes | None]:
        """Return the digests of these files' contents, in their order; ``None`` where one is not known.

        Raises:
            KeyError: there is no such file, or it was removed since it was found.
        """
        return self._reader.digests(file_ids)

    def facts(self, where: Where | None = None) -> list[FileFacts]:
        """Return what tells files from their copies, ordered by the bytes of their paths; files that are gone are not.

        Raises:
            QueryError: a filter that cannot be understood.
        """
        from retrieval.store.facts import facts

        return facts(self._reader, where)

    def item_looks(self, where: Where | None = None) -> ItemLooks:
        """Return what the items of these files look like, some 400 bytes an item.

        Raises:
            QueryError: a filter that cannot be understood.
        """
        from retrieval.store.facts import item_looks

        return item_looks(self._reader, where)

    def find_file(self, path: Path) -> FileRecord | None:
        """Return the file of exactly this absolute path."""
        return self._reader.find_file(path)

    def find_item(self, path: Path, at_s: float | None = None) -> ItemRow | None:
        """Return the item of a file whose time (seconds) is nearest; its first one when no time is given."""
        return self._reader.find_item(path, at_s)

    def files_with_digest(self, digest: bytes) -> list[FileRecord]:
        """Return the files whose content has this digest, ordered by path."""
        return self._reader.files_with_digest(digest)

    def records(self, source_id: int | None = None) -> Iterator[FileRecord]:
        """Yield all files, or those of one source, ordered by the bytes of their paths."""
        if source_id is None:
            return self._reader.records()
        return self._reader.records("f.source_id = ?", source_id)

    def records_at(self, raws: Iterable[bytes]) -> list[FileRecord]:
        """Return the files of these absolute paths, given as bytes, ordered by them."""
        from retrieval.store import standing

        return standing.records_at(self._reader, raws)

    def records_within(self, top: Path) -> Iterator[FileRecord]:
        """Yield the file of exactly this absolute path and all files below it, ordered by the bytes of their paths."""
        from retrieval.store import standing

        return standing.records_within(self._reader, top)

    def records_of_sizes(self, sizes: Sequence[int]) -> Iterator[FileRecord]:
        """Yield the files that have one of these sizes in bytes, ordered by the bytes of their paths."""
        from retrieval.store import standing

        return standing.records_of_sizes(self._reader, sizes)

    def census(self) -> "Census":
        """Return what tells how the files stand, from one path to another, as long as nobody writes."""
        from retrieval.store import standing

        return standing.Census(self._reader)

    def holds(self, top: Path) -> bool:
        """Return whether any file is known at this absolute path or below it."""
        from retrieval.store import standing

        return standing.holds(self._reader, top)

    def sources_with_files(self) -> frozenset[int]:
        """Return the ids of the sources of which any file is known."""
        from retrieval.store import standing

        return standing.sources_with_files(self._reader)

    def sources(self) -> list[Source]:
        """Return the root folders, ordered by path."""
        return self._reader.sources()

    def failed(self) -> Iterator[tuple[Path, str]]:
        """Yield the files that could not be read and are not gone, with the reasons, ordered by path."""
        from retrieval.store import summary

        for record in self._reader.records(summary.FAILED):
            yield record.path, record.reason

    def stats(self) -> Stats:
        """Return the collection's figures."""
        from retrieval.store import summary

        return summary.stats(self.folder, self._reader, self.manifest)
