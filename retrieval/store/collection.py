"""A collection: one folder that holds what is known of pictures and videos, and finds the nearest of them."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from retrieval.config import IndexChoice, ModelSpec, Sampling
from retrieval.errors import CollectionError, ModelMismatch
from retrieval.messages import _, reason_of
from retrieval.store import durable, manifest, opening, summary
from retrieval.store.facts import facts, item_looks
from retrieval.store.live import LiveIndex
from retrieval.store.lock import WriteLock
from retrieval.store.reader import Reader
from retrieval.store.records import (
    FileFacts,
    FileRecord,
    Frames,
    ItemLooks,
    ItemRow,
    Manifest,
    Problem,
    Source,
    Stats,
    Told,
    WordMatch,
)
from retrieval.store.telling import told
from retrieval.types import FloatMatrix, Keys, Matches, Track, Where

if TYPE_CHECKING:
    from retrieval.store.catalog import Catalog
    from retrieval.store.writer import Writer

CATALOG = "catalog.sqlite"
LOCK = "lock"


class Collection:
    """Files, items and vectors of one folder.

    Reading is safe from any thread and goes on while another process writes. Writing wants ``write=True`` (one process
    at a time) and is done from one thread at a time; inside ``transaction`` the reading methods, ``search`` apart, see
    in that thread what the transaction did so far. Items and vectors are those of the model in ``manifest``: when
    another process has embedded the collection anew, what reads them raises ``ModelMismatch``.

    ``notes`` collects messages for the user, such as that a damaged index was built anew; the index is looked at when
    it is first searched, so they are complete after that.
    """

    folder: Path
    manifest: Manifest
    notes: list[str]

    def __init__(self, folder: Path, lock: WriteLock | None, catalog: "Catalog | None") -> None:
        """Use ``create`` or ``open``."""
        self.folder = folder
        self.notes = []
        self._lock = lock
        self._catalog = catalog
        self._reader = Reader(folder / CATALOG)
        self._index = LiveIndex(folder, self._reader, lock is not None, self.notes)
        self._writing = threading.RLock()
        self._writer: Writer | None = None
        try:
            self.manifest = self._reader.look()
            if lock is not None:
                self._tidy()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, folder: Path, spec: ModelSpec, sampling: Sampling | None = None) -> Self:
        """Make a collection for the vectors of a model and open it for writing.

        The folder is made if need be, for its owner alone.

        Raises:
            CollectionLocked: another process is making one there.
            CollectionError: there is one already, or something else's database, or the folder cannot be used.
        """
        folder = folder.absolute()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = WriteLock(folder / LOCK)
        except OSError as error:
            raise CollectionError(
                _("no collection can be made in {folder} ({reason}); name another").format(
                    folder=folder, reason=reason_of(error)
                )
            ) from error
        try:
            opening.check_vacant(folder / CATALOG)
            from retrieval.store import catalog

            for ending in ("-wal", "-shm", "-journal", ""):
                (folder / (CATALOG + ending)).unlink(missing_ok=True)
            return cls(folder, lock, catalog.create(folder / CATALOG, spec, sampling or Sampling()))
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, folder: Path, *, write: bool = False) -> Self:
        """Open a collection; one of an earlier version is migrated first.

        Raises:
            CollectionNotFound: there is none.
            CollectionTooNew: a newer version wrote it.
            CollectionCorrupt: its catalog is damaged.
            CollectionLocked: ``write``, or a migration, while another process is writing.
        """
        folder = folder.absolute()
        path = folder / CATALOG
        due = opening.check_version(path) < opening.SCHEMA_VERSION
        lock = _locked(folder) if write or due else None
        try:
            catalog = None
            if lock is not None:
                from retrieval.store.catalog import Catalog

                catalog = Catalog(path)
                if opening.check_version(path) < opening.SCHEMA_VERSION:
                    catalog.migrate()
            if write:
                return cls(folder, lock, catalog)
            if catalog is not None and lock is not None:
                catalog.close()
                lock.release()
            return cls(folder, None, None)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    def close(self) -> None:
        """Let go of all files and of the write lock. Calling it again does nothing."""
        self._reader.close()
        catalog, self._catalog = self._catalog, None
        if catalog is not None:
            catalog.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the model --------------------------------------------------------------------------------------------------

    def check_model(self, spec: ModelSpec) -> None:
        """Make sure that vectors of a model may be compared with those stored.

        Raises:
            ModelMismatch: they may not.
        """
        ours = self.manifest.spec
        if ours.fingerprint() == spec.fingerprint():
            return
        if ours.name == spec.name:
            raise ModelMismatch(
                _(
                    "model {name} has changed since the collection was made; embed anew: sightseek index --reembed"
                ).format(name=spec.name)
            )
        raise ModelMismatch(
            _(
                "the collection was made with {name}, not {other}; use --model {name}, or embed it "
                "anew: sightseek index --model {other} --reembed"
            ).format(name=ours.name, other=spec.name)
        )

    @property
    def building(self) -> ModelSpec | None:
        """The model of a re-embedding that was begun and not finished."""
        found = self._reader.building()
        return found and found[0]

    @property
    def building_sampling(self) -> Sampling | None:
        """The sampling of a re-embedding that was begun and not finished."""
        found = self._reader.building()
        return found and found[1]

    # -- reading ----------------------------------------------------------------------------------------------------

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
        return told(self._reader, file_ids)

    def vectors(self, keys: Sequence[int] | Keys) -> FloatMatrix:
        """Return the vectors of these keys, ``(n, dim) float32``, in their order.

        Raises:
            KeyError: there is no such item, or it was removed since it was found.
        """
        return self._reader.vectors(keys)

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
        return facts(self._reader, where)

    def item_looks(self, where: Where | None = None) -> ItemLooks:
        """Return what the items of these files look like, some 400 bytes an item.

        Raises:
            QueryError: a filter that cannot be understood.
        """
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

    def sources(self) -> list[Source]:
        """Return the root folders, ordered by path."""
        return self._reader.sources()

    def failed(self) -> Iterator[tuple[Path, str]]:
        """Yield the files that could not be read and are not gone, with the reasons, ordered by path."""
        for record in self._reader.records(summary.FAILED):
            yield record.path, record.reason

    def stats(self) -> Stats:
        """Return the collection's figures."""
        return summary.stats(self.folder, self._reader, self.manifest)

    # -- writing ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Writer"]:
        """Hand out a writer; its changes are committed together at the end of the block, or dropped if it fails.

        The index in memory follows when it is next searched or saved.

        Raises:
            CollectionError: the collection is open for reading only, or the disk is full.
            RuntimeError: a transaction is under way.
        """
        catalog = self._writable()
        with self._writing:
            if self._writer is not None:
                raise RuntimeError("a transaction is under way")
            with catalog.transaction() as writer:
                self._writer = writer
                self._reader.use_in_this_thread(catalog.dbapi)
                try:
                    yield writer
                finally:
                    self._writer = None
                    self._reader.use_in_this_thread(None)

    def add_source(self, path: Path) -> Source:
        """Add a root folder (absolute), or find it if it is known."""
        with self._joined() as writer:
            return writer.add_source(path)

    def set_offline(self, source_id: int, offline: bool) -> None:
        """Mark a source as missing, or as present again; its files stay and can be found."""
        with self._joined() as writer:
            writer.set_offline(source_id, offline)

    def forget(self, path: Path) -> int:
        """Drop a file, or all files below a folder and the sources among them; returns how many files."""
        with self._joined() as writer:
            return writer.forget(path)

    def purge(self) -> int:
        """Drop files that are gone or on sources that are offline; returns how many. The sources stay."""
        with self._joined() as writer:
            return writer.purge()

    def save_index(self) -> None:
        """Write the vector index to disk, as of the last commit.

        Raises:
            CollectionError: it cannot be written; the former file stays, and nothing is lost.
        """
        catalog = self._writable()
        with self._writing:
            catalog.prune(self._index.save().generation)

    def fit_index(self, choice: IndexChoice | None = None, questions: Callable[[], FloatMatrix] | None = None) -> bool:
        """Train the vector index anew where the number of items asks for it; returns whether anything was changed.

        ``choice`` names the kind it has from now on, ``auto`` one by size: exact while that is quick, approximate
        above; ``None`` leaves that as it was. ``questions()`` gives vectors of texts, ``(q, dim) float32``, to tune it
        by beside pictures.

        Raises:
            CollectionError: it cannot be written; the former file stays, and nothing is lost.
        """
        catalog = self._writable()
        with self._writing:
            spec = self._index.fit(choice, questions or (lambda: np.empty((0, self.manifest.spec.dim), np.float32)))
            if spec is not None:
                catalog.set_index_spec(spec)
                catalog.prune(self._index.save(anew=True).generation)
                self.manifest = self._reader.look()
                manifest.write(self.folder, self.manifest)
        return spec is not None

    def begin_reembed(self, spec: ModelSpec, sampling: Sampling | None = None) -> None:
        """Let writers store vectors of another model beside the present ones; searches go on with the present.

        One with the same model and sampling that was interrupted is resumed; another one is dropped, with a note.
        """
        sampling = sampling or self.manifest.sampling
        under_way = self._reader.building()
        if under_way is not None:
            if under_way[0].fingerprint() == spec.fingerprint() and under_way[1] == sampling:
                return
            self.notes.append(_("the unfinished re-embedding with {name} was dropped").format(name=under_way[0].name))
        with self._joined() as writer:
            writer.begin_reembed(spec, sampling)

    def cancel_reembed(self) -> None:
        """Drop what a re-embedding has written so far; without one, do nothing."""
        with self._joined() as writer:
            writer.cancel_reembed()

    def finish_reembed(self) -> None:
        """Switch to the new model in one transaction, then write index and manifest.

        Files without vectors of the new model wait to be embedded, or have failed if they did under the new model.

        Raises:
            CollectionError: no re-embedding is under way, or the disk is full.
        """
        with self.transaction() as writer:
            writer.finish_reembed()
        self.manifest = self._reader.look()
        manifest.write(self.folder, self.manifest)
        self.save_index()

    def rename_model(self, name: str) -> None:
        """Note under which name the model is opened from now on, as when its folder has moved; its vectors stay.

        Raises:
            CollectionError: the collection is open for reading only, or the disk is full.
        """
        with self.transaction() as writer:
            writer.rename_model(name)
        self.manifest = self._reader.look()
        manifest.write(self.folder, self.manifest)

    def verify(self, repair: bool = False) -> list[Problem]:
        """Check everything against the catalog and the catalog against itself; returns what is wrong.

        ``repair`` (open for writing) puts right what the catalog can tell: it builds the index anew, and lets files
        whose vectors are damaged be embedded again by the next ``index``.
        """
        from retrieval.store.verify import Repair, verify

        if not repair:
            return verify(self.folder, self._reader, self.manifest, None)
        with self._writing:
            cures = Repair(self._joined, self._writable().reindex, self._index.rebuild)
            return verify(self.folder, self._reader, self.manifest, cures)

    # -- beneath ----------------------------------------------------------------------------------------------------

    def _writable(self) -> "Catalog":
        if self._catalog is None:
            raise CollectionError(
                _("{folder} is open for reading only; open it with write=True").format(folder=self.folder)
            )
        return self._catalog

    @contextlib.contextmanager
    def _joined(self) -> Iterator["Writer"]:
        """Use this thread's transaction, or one of its own."""
        with self._writing:
            if self._writer is not None:
                yield self._writer
                return
            with self.transaction() as writer:
                yield writer

    def _tidy(self) -> None:
        """Put right what a killed writer left."""
        for temporary in self.folder.glob(f"*{durable.TEMPORARY}"):
            with contextlib.suppress(OSError):
                temporary.unlink()
        manifest.write(self.folder, self.manifest)


def _locked(folder: Path) -> WriteLock:
    try:
        return WriteLock(folder / LOCK)
    except OSError as error:
        raise CollectionError(
            _("cannot write to {folder} ({reason}); allow writing there").format(folder=folder, reason=reason_of(error))
        ) from error
