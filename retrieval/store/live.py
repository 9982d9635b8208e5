"""The vector index in memory, kept in step with the catalog."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.config import Device, IndexChoice, IndexSpec
from retrieval.errors import CollectionError, ModelMismatch
from retrieval.messages import _, ngettext, reason_of
from retrieval.store import committed as catalog
from retrieval.store import exact, seal
from retrieval.store.listed import SINGLE, Listed
from retrieval.store.lock import SharedLock
from retrieval.store.nearest import LARGE, nearest
from retrieval.store.reader import OTHER_MODEL, Reader
from retrieval.store.records import Mark
from retrieval.store.seal import IndexDamaged, Seal
from retrieval.types import FloatMatrix, Keys, Matches, Where

if TYPE_CHECKING:
    from retrieval.store.approximate import Approximate
    from retrieval.store.building import Wanted
    from retrieval.store.flat import Flat
    from retrieval.store.gpu import OnGpu
    from retrieval.store.nearest import Allowed, VectorIndex

FILE = "vectors.faiss"


class LiveIndex:
    """Searches the vectors of a catalog, following its changes.

    The file is read when first needed. The catalog decides: a file that lags is caught up in memory, one that is
    missing, damaged or another collection's is built anew, and what was found is said in ``notes``. Only a writer
    (``writable``) moves a damaged file aside and writes a new one; a file that cannot be read just now stays.
    """

    def __init__(self, folder: Path, reader: Reader, writable: bool, notes: list[str]) -> None:
        self.path = folder / FILE
        self._reader = reader
        self._writable = writable
        self._notes = notes
        self._lock = SharedLock()
        self._index: Flat | Approximate | Listed | None = None
        self._at: Mark | None = None
        self._training: int | None = None  # the generation that is being trained on
        self._asked = 0  # how many queries
        self.device: Device = "cpu"
        self.briefly = False  # few will be asked, and FAISS is left out where it can be
        self._copied: OnGpu | None = None
        self._copying = threading.Lock()
        self._passed_over: IndexSpec | None = None  # a training of another process whose file was of no use

    def search(self, queries: FloatMatrix, k: int, where: Where | None, model_id: int) -> Matches:
        """Return the k best items of each query among those the filter selects and whose files are not gone.

        Raises:
            ModelMismatch: the active model is no longer ``model_id``, so the queries are vectors of another space.
        """
        with self._reader.snapshot() as connection:
            state = self._reader.state(connection)
            at = state.mark
            if at.model_id != model_id:
                raise ModelMismatch(OTHER_MODEL)
            if where is None:
                gone, selected = state.gone, None
            else:
                gone, selected = None, catalog.selected_keys(connection, where)
            self._asked += len(queries)
            if self._asked > SINGLE:
                self._stay()
            self._adopt(state.index, at)
            while True:
                self._follow(connection, at)
                with self._lock.shared():
                    if self._index is None or self._at is None:  # another thread failed to take it further
                        continue
                    if self._at.model_id != model_id:
                        raise ModelMismatch(OTHER_MODEL)
                    allowed = _allowed(self._index.keys, gone, selected)
                    return nearest(self._quickest(self._index), queries, k, allowed)

    def _stay(self) -> None:
        """Take FAISS after all: more is asked than was expected."""
        if self.briefly:
            self.briefly = False
            with self._lock.exclusive():
                if isinstance(self._index, Listed):
                    self._index = self._at = None

    def _quickest(self, index: "Flat | Approximate | Listed") -> "VectorIndex":
        """Return the index, or what stands for it on a GPU; one below ``LARGE`` is quick enough as it is."""
        if self.device == "cpu" or len(index) < LARGE or isinstance(index, Listed):
            return index
        from retrieval.store import gpu

        with self._copying:
            if self.device == "cuda" and gpu.missing():
                self._notes.append(gpu.missing())
            if not gpu.gpus():
                self.device = "cpu"
            elif self._copied is None or self._copied.index is not index or self._copied.behind:
                self._copied = None  # let go of the memory first
                self._copied = gpu.on_gpu(index)
            return self._copied or index

    def refresh(self) -> None:
        """Take in what was committed since the last look."""
        with self._reader.snapshot() as connection:
            self._follow(connection, catalog.mark(connection))

    def save(self, anew: bool = False, meanwhile: bool = False) -> Mark:
        """Write the index to its file, as of the catalog's present generation, which is returned.

        A file that holds as many vectors of that generation is left alone, unless the index was trained ``anew``.
        ``meanwhile`` says that this is not the end: an exact index that nobody asked here is not taken into memory.

        Raises:
            CollectionError: it cannot be written; the former file stays.
        """
        from retrieval.store import vectors

        if meanwhile and (passed := self._passed_through()) is not None:
            return passed
        self.refresh()
        with self._lock.shared():
            assert self._index is not None
            assert not isinstance(self._index, Listed)  # which is for those who only read
            assert self._at is not None
            now = Seal(self._at.lineage, self._at.model_id, self._at.generation, self._index.total, self._index.dim)
            if anew or self._sealed() != now:
                vectors.save(self.path, self._index, self._at)
            if anew:
                self._training = None
            return self._at

    def _passed_through(self) -> Mark | None:
        """Write an exact index block by block from the catalog; ``None`` where one is held, or more is to be done."""
        from retrieval.store import vectors

        with self._reader.snapshot() as connection, self._lock.shared():
            at, sealed = catalog.mark(connection), self._sealed()
            ours = sealed.belongs(at) if sealed is not None else not self.path.exists()
            if self._at is not None or not ours or catalog.index_spec(connection).kind != "flat":
                return None
            count = catalog.tally(connection, at)[0]
            if sealed == Seal(at.lineage, at.model_id, at.generation, count, at.dim):
                return at
            done = vectors.pass_through(self.path, count, catalog.stored_vectors(connection, at), at)
            return at if done else None

    def is_settled(self) -> bool:
        """Say whether the file is of the catalog's present state and surely no other index is due; it is not read."""
        with self._reader.snapshot() as connection:
            at, spec = catalog.mark(connection), catalog.index_spec(connection)
            count = catalog.tally(connection, at)[0]
        if self._sealed() != Seal(at.lineage, at.model_id, at.generation, count, at.dim):
            return False
        if spec.kind == "flat":
            return spec.chosen or (count < LARGE and not spec.memory_mb)
        return count == spec.trained_on and self.path.with_name(exact.FILE).exists()

    def fit(
        self,
        choice: IndexChoice | None,
        questions: Callable[[], FloatMatrix],
        memory_mb: int | None = None,
        recall: float | None = None,
    ) -> IndexSpec | None:
        """Train another index where that suits what is held now, or the user's choice; ``None`` where it does not.

        Searches go on with the old one until the new one is ready; the file is written by ``save``. ``questions`` gives
        vectors of texts to tune by.

        Raises:
            CollectionError: the vectors beside it cannot be written.
        """
        from retrieval.store import building

        with self._reader.snapshot() as connection:
            at, before = catalog.mark(connection), catalog.index_spec(connection)
            spec = replace(
                before,
                memory_mb=before.memory_mb if memory_mb is None else memory_mb,
                promised=before.promised if recall is None else recall,
            )
            due = self._due(spec, connection, at, choice)
            if choice not in (None, "auto", due.kind):
                message = _("too few items for {kind}, which needs {count}; the search is exact")
                self._notes.append(message.format(kind=choice, count=building.SMALL))
                choice = None
            spec = replace(spec, chosen=spec.chosen if choice is None else choice != "auto")
            if not due.anew and (due.kind == "flat" or spec.promised == before.promised):
                return None if spec == before else spec
            fresh = IndexSpec(due.kind, chosen=spec.chosen, memory_mb=spec.memory_mb, promised=spec.promised)
            found = self._trained(fresh, connection, at, questions).spec
            self._notes += building.remarks(found, at.dim)
            return replace(found, memory_mb=spec.memory_mb, promised=spec.promised)

    def _due(self, spec: IndexSpec, connection: sqlite3.Connection, at: Mark, choice: IndexChoice | None) -> "Wanted":
        """Say which index suits what the catalog holds, which is taken in unless another is trained from it anyway."""
        from retrieval.store import building

        if self._at is None and (spec.kind == "flat" or not self.path.exists()):
            unbuilt = building.Unbuilt(catalog.tally(connection, at)[0], at.dim)
            due = building.wanted(spec, unbuilt, choice)
            if due.kind != "flat":
                return due
        self._follow(connection, at)
        with self._lock.shared():
            assert self._index is not None
            return building.wanted(spec, self._index, choice)

    def _trained(
        self, fresh: IndexSpec, connection: sqlite3.Connection, at: Mark, questions: Callable[[], FloatMatrix]
    ) -> "Flat | Approximate":
        """Train an index while searches go on, then put it in the place of the old one."""
        from retrieval.store import building

        self._training = at.generation
        try:
            if not self._asked:  # nobody searches here: let go of the memory first
                with self._lock.exclusive():
                    self._index = self._at = None
            index = building.train(fresh, connection, at, self._beside, questions)
            with self._lock.exclusive():
                self._index, self._at = index, at
            return index
        except BaseException:
            self._training = None
            raise

    def prunable(self, saved: Mark) -> int:
        """Return up to which generation removals need no longer be on record, given what the file was saved as."""
        return saved.generation if self._training is None else min(saved.generation, self._training)

    @property
    def _beside(self) -> Path | None:
        """Where the vectors of an approximate index lie; in memory for those who only read."""
        return self.path.with_name(exact.FILE) if self._writable else None

    def rebuild(self, why: str) -> None:
        """Keep the file aside, build the index anew from the catalog and write it."""
        with self._reader.snapshot() as connection, self._lock.exclusive():
            at = catalog.mark(connection)
            why += self._move_aside()
            self._rebuild(connection, at, why)
            self._at = at

    def _sealed(self) -> Seal | None:
        with contextlib.suppress(OSError, IndexDamaged):
            return seal.read(self.path)
        return None

    def _follow(self, connection: sqlite3.Connection, at: Mark) -> None:
        if self._is_current(at):
            return
        with self._lock.exclusive():
            if self._is_current(at):
                return
            held = self._at
            try:
                if held is None or held.model_id != at.model_id or held.generation < at.pruned:
                    self._load(connection, at)
                else:
                    self._catch_up(connection, at, held.generation)
                self._at = at
            except BaseException:
                self._index = self._at = None  # how far it came is not known
                raise

    def _adopt(self, told: IndexSpec, at: Mark) -> None:
        """Take over what another process trained since, in the place of what is held; searches go on meanwhile."""
        from retrieval.store import vectors

        index = self._index
        if self._writable or index is None or _same(told, index.spec) or told == self._passed_over:
            return
        self._passed_over = told
        try:
            if not seal.read(self.path).belongs(at):
                return
            index, sealed = vectors.load(self.path, at, told)
        except (OSError, IndexDamaged):
            return
        if _same(told, index.spec):
            with self._lock.exclusive():
                self._index, self._at = index, at._replace(generation=sealed.generation)

    def _is_current(self, at: Mark) -> bool:
        # Another thread may have gone further than this snapshot: there is no way back, nor need for one.
        held = self._at
        return held is not None and held.model_id == at.model_id and held.generation >= at.generation

    def _catch_up(self, connection: sqlite3.Connection, at: Mark, generation: int) -> None:
        assert self._index is not None
        self._index.remove(catalog.removed_keys(connection, generation))
        for keys, rows in catalog.stored_vectors(connection, at, generation):
            self._index.add(keys, rows)

    def _load(self, connection: sqlite3.Connection, at: Mark) -> None:
        """Take the file if it can be caught up, else build the index anew."""
        from retrieval.store import vectors

        try:
            sealed = seal.read(self.path)
            if not sealed.belongs(at):
                with self.path.open("rb") as file:
                    seal.check(file)
                other = sealed.lineage != at.lineage
                self._rebuild(connection, at, _("the file was another collection's") if other else "")
                return
            load = vectors.load_briefly if self.briefly and not self._writable else vectors.load
            self._index, sealed = load(self.path, at, catalog.index_spec(connection))
        except FileNotFoundError:
            self._rebuild(connection, at)
            return
        except IndexDamaged as error:
            self._rebuild(connection, at, self._damaged(error))
            return
        except OSError as error:
            self._rebuild(
                connection, at, _("the file cannot be read ({reason})").format(reason=reason_of(error)), write=False
            )
            return
        self._catch_up(connection, at, sealed.generation)
        if self._reader.state(connection).tally != (len(self._index), int(self._index.keys.sum())):
            self._rebuild(connection, at, _("the file did not hold the catalog's items"))

    def _rebuild(self, connection: sqlite3.Connection, at: Mark, why: str = "", write: bool = True) -> None:
        from retrieval.store import building, vectors

        self._index = self._at = None  # let go of the memory first
        index = building.build(catalog.index_spec(connection), connection, at, self._beside if write else None)
        self._index = index
        if why:
            if write and self._writable:
                said = _("the vector index was built anew from the catalog, since {reason}")
            else:
                said = _(
                    "the vector index was built anew from the catalog, since {reason}; to mend it for good: "
                    "sightseek verify --repair"
                )
            self._notes.append(said.format(reason=why))
        damaged = catalog.tally(connection, at)[0] - len(index)
        if damaged:
            said = ngettext(
                "{count} item has a damaged vector; run: sightseek verify --repair",
                "{count} items have damaged vectors; run: sightseek verify --repair",
                damaged,
            )
            self._notes.append(said.format(count=damaged))
        if write and self._writable and len(index):
            try:
                vectors.save(self.path, index, at)
            except CollectionError as error:
                self._notes.append(str(error))

    def _damaged(self, error: IndexDamaged) -> str:
        """Move the file aside, and return what is wrong with it."""
        kept = self._move_aside()
        if kept:
            return _("the file is damaged ({reason}) and kept as {name}").format(reason=error, name=kept)
        return _("the file is damaged ({reason})").format(reason=error)

    def _move_aside(self) -> str:
        """Return the name it is kept under; empty when it stays where it is."""
        if not self._writable:
            return ""
        number = 1
        while (kept := self.path.with_name(f"{FILE}.corrupt-{number}")).exists():
            number += 1
        with contextlib.suppress(OSError):
            self.path.rename(kept)
            return kept.name
        return ""


def _same(one: IndexSpec, other: IndexSpec) -> bool:
    """Say whether two specs are of one training."""
    return (one.kind, one.lists, one.trained_on) == (other.kind, other.lists, other.trained_on)


def _allowed(keys: Keys, gone: Keys | None, selected: Keys | None) -> "Allowed | None":
    """Return which keys may be found; ``None`` when all may."""
    if selected is None and (gone is None or not len(gone)):
        return None
    size = int(keys[-1]) + 1 if len(keys) else 1
    allowed = np.full(size, selected is None)
    if selected is not None:
        allowed[selected[selected < size]] = True
    if gone is not None:
        allowed[gone[gone < size]] = False
    return allowed
