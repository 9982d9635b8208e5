"""A collection: one folder that holds what is known of pictures and videos, and finds the nearest of them."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from retrieval.config import IndexChoice, ModelSpec, Sampling
from retrieval.errors import CollectionError, ModelMismatch
from retrieval.messages import _, reason_of
from retrieval.store import durable, manifest, opening
from retrieval.store.contents import Contents
from retrieval.store.live import LiveIndex
from retrieval.store.lock import WriteLock
from retrieval.store.reader import Reader
from retrieval.store.records import (
    Problem,
    Source,
)
from retrieval.types import FloatMatrix

if TYPE_CHECKING:
    from retrieval.store.catalog import Catalog
    from retrieval.store.writer import Writer

CATALOG = "catalog.sqlite"
LOCK = "lock"


class Collection(Contents):
    """Files, items and vectors of one folder.

    Reading is safe from any thread and goes on while another process writes. Writing wants ``write=True`` (one process
    at a time) and is done from one thread at a time; inside ``transaction`` the reading methods, ``search`` apart, see
    in that thread what the transaction did so far. Items and vectors are those of the model in ``manifest``: when
    another process has embedded the collection anew, what reads them raises ``ModelMismatch``.

    ``notes`` collects messages for the user, such as that a damaged index was built anew; the index is looked at when
    it is first searched, so they are complete after that.
    """

    def __init__(self, folder: Path, lock: WriteLock | None, catalog: "Catalog | None") -> None:
        """Use ``create`` or ``open``."""
        self.folder = folder
        self.notes = []
        self._lock = lock
        self._catalog = catalog
        self._reader = Reader(folder / CATALOG)
        self._index = LiveIndex(folder, self._reader, lock is not None, self.notes)
        self._writing = threading.RLock()
        self._fitting = threading.Lock()
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
            if lock is not None and opening.check_version(path) < opening.SCHEMA_VERSION:
                from retrieval.store.catalog import Catalog

                with contextlib.closing(Catalog(path)) as catalog:
                    catalog.migrate()
            if write:
                return cls(folder, lock, None)
            if lock is not None:
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
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

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
        if ours == spec or ours.fingerprint() == spec.fingerprint():
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
                self._reader.use_in_this_thread(catalog.dbapi, writer.settle)
                try:
                    yield writer
                finally:
                    self._writer = None
                    self._reader.use_no_more()

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

    def is_settled(self) -> bool:
        """Say whether ``fit_index`` and ``save_index`` surely have nothing to do; neither model nor index is loaded.

        A file that is damaged behind its end is not noticed; ``search`` and ``verify`` notice it.
        """
        return self._index.is_settled()

    def save_index(self, *, meanwhile: bool = False) -> None:
        """Write the vector index to disk, as of the last commit.

        ``meanwhile`` says that more will be written: an exact index is then not taken into memory for it.

        Raises:
            CollectionError: it cannot be written; the former file stays, and nothing is lost.
        """
        catalog = self._writable()
        with self._writing:
            catalog.prune(self._index.prunable(self._index.save(meanwhile=meanwhile)))

    def fit_index(
        self,
        choice: IndexChoice | None = None,
        questions: Callable[[], FloatMatrix] | None = None,
        memory_mb: int | None = None,
        recall: float | None = None,
    ) -> bool:
        """Train the vector index anew where what it holds asks for it; returns whether anything was changed.

        That is so when it holds four times what it was trained on, when much was removed, or when what was added lies
        elsewhere. Searches go on with the old one meanwhile, and so does writing in other threads; a process that is
        killed leaves the old one.

        ``choice`` names the kind it has from now on, ``auto`` one by size: exact while that is quick, approximate
        above; ``None`` leaves that as it was. ``questions()`` gives vectors of texts, ``(q, dim) float32``, to tune it
        by beside pictures. ``auto`` chooses what ``memory_mb`` has room for (0: no limit), and an approximate index is
        tuned to find ``recall`` of the ten nearest (0.5 to 0.999); both stay until others are given.

        Raises:
            ValueError: a recall or an amount of memory out of range.
            CollectionError: it cannot be written; the former file stays, and nothing is lost.
        """
        if not (recall is None or 0.5 <= recall <= 0.999) or (memory_mb or 0) < 0:
            raise ValueError("recall is 0.5 to 0.999, memory_mb 0 or more")
        catalog = self._writable()
        with self._fitting:
            asked = questions or (lambda: np.empty((0, self.manifest.spec.dim), np.float32))
            with self._writing:
                catalog.shrink()
            spec = self._index.fit(choice, asked, memory_mb, recall)
            if spec is None:
                return False
            with self._writing:
                at = self._index.save(anew=True)
                catalog.set_index_spec(spec)
                catalog.prune(self._index.prunable(at))
                self.manifest = self._reader.look()
                manifest.write(self.folder, self.manifest)
            return True

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
        """Return the writing connection, which is opened when something is first written."""
        if self._lock is None:
            raise CollectionError(
                _("{folder} is open for reading only; open it with write=True").format(folder=self.folder)
            )
        with self._writing:
            if self._catalog is None:
                from retrieval.store.catalog import Catalog

                self._catalog = Catalog(self.folder / CATALOG)
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
