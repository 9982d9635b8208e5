"""A collection beside a dictionary: whatever is done to both, they say the same, and search is brute force."""

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from retrieval.config import ModelSpec, Preprocessing
from retrieval.store import Collection, Entry
from retrieval.types import Item, MediaInfo, Term

DIM = 4
SPEC = ModelSpec("small", DIM, "0", Preprocessing(8, 8))
PICTURE = MediaInfo("image", 1, 1, None, None, "")
NAMES = st.sampled_from(["a/1", "a/2", "a_/1", "b/%", "b/_", "c"]).map(lambda name: f"/m/{name}.jpg")


class Held(NamedTuple):
    keys: tuple[int, ...]
    rows: np.ndarray
    digest: bytes
    gone: bool = False


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.collection = Collection.create(Path(self.home.name) / "c", SPEC)
        self.model: dict[str, Held] = {}
        self.highest = 0
        self.rng = np.random.default_rng(0)

    def teardown(self) -> None:
        try:
            self.collection.save_index()
            assert self.collection.verify() == []
        finally:
            self.collection.close()
            self.home.cleanup()

    @initialize(seed=st.integers(0, 100))
    def begin(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.source = self.collection.add_source(Path("/m"))

    def id_of(self, name: str) -> int:
        record = self.collection.find_file(Path(name))
        assert record is not None
        return record.id

    def new(self, n: int) -> np.ndarray:
        # Few directions, so that ties are common.
        rows = np.eye(DIM, dtype=np.float32)[self.rng.integers(0, DIM, n)]
        return rows * np.where(self.rng.random((n, 1)) < 0.5, -1, 1).astype(np.float32)

    @rule(files=st.lists(st.tuples(NAMES, st.integers(1, 3)), max_size=4), fails=st.booleans())
    def put(self, files: list[tuple[str, int]], fails: bool) -> None:
        before = dict(self.model)
        try:
            with self.collection.transaction() as writer:
                for name, n in files:
                    rows, digest = self.new(n), self.rng.bytes(4)
                    keys = writer.put(self.source.id, Entry(Path(name), 1, 1), PICTURE, digest, [Item()] * n, rows)
                    assert keys.min() > self.highest or fails
                    self.model[name] = Held(tuple(keys.tolist()), rows, digest)
                if fails:
                    raise InterruptedError
        except InterruptedError:
            self.model = before
        self.highest = max([self.highest, *(key for held in self.model.values() for key in held.keys)])

    @rule(name=NAMES)
    def put_failed(self, name: str) -> None:
        with self.collection.transaction() as writer:
            writer.put_failed(self.source.id, Entry(Path(name), 1, 1), "no", b"bad")
        self.model[name] = Held((), self.new(0), b"bad")

    @precondition(lambda self: self.model)
    @rule(data=st.data(), target_name=NAMES)
    def move(self, data: st.DataObject, target_name: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        with self.collection.transaction() as writer:
            writer.move(self.id_of(name), self.source.id, Entry(Path(target_name), 1, 1))
        self.model[target_name] = self.model.pop(name)._replace(gone=False)

    @precondition(lambda self: len(self.model) > 1)
    @rule(data=st.data())
    def rotate(self, data: st.DataObject) -> None:
        names = data.draw(st.lists(st.sampled_from(sorted(self.model)), min_size=2, unique=True))
        ids = [self.id_of(name) for name in names]
        held = [self.model[name]._replace(gone=False) for name in names]
        with self.collection.transaction() as writer:
            for file_id, name in zip(ids, names[1:] + names[:1], strict=True):
                writer.move(file_id, self.source.id, Entry(Path(name), 1, 1))
        self.model |= dict(zip(names[1:] + names[:1], held, strict=True))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), target_name=NAMES)
    def copy(self, data: st.DataObject, target_name: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        with self.collection.transaction() as writer:
            keys = writer.copy(self.id_of(name), self.source.id, Entry(Path(target_name), 1, 1))
        assert name == target_name or not len(keys) or keys.min() > self.highest
        self.highest = max([self.highest, *keys.tolist()])
        self.model[target_name] = self.model[name]._replace(keys=tuple(keys.tolist()), gone=False)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), gone=st.booleans())
    def set_gone(self, data: st.DataObject, gone: bool) -> None:
        names = data.draw(st.lists(st.sampled_from(sorted(self.model)), unique=True))
        ids = [self.id_of(name) for name in names]
        with self.collection.transaction() as writer:
            writer.set_gone(ids, gone)
        self.model |= {name: self.model[name]._replace(gone=gone) for name in names}

    @rule(place=st.sampled_from(["/m/a", "/m/b", "/m/b/%.jpg", "/m/c.jpg", "/m/%"]))
    def forget(self, place: str) -> None:
        doomed = [name for name in self.model if name == place or name.startswith(place + "/")]
        assert self.collection.forget(Path(place)) == len(doomed)
        for name in doomed:
            del self.model[name]

    @rule()
    def purge(self) -> None:
        doomed = [name for name, held in self.model.items() if held.gone]
        assert self.collection.purge() == len(doomed)
        for name in doomed:
            del self.model[name]

    @rule()
    def save(self) -> None:
        self.collection.save_index()

    @rule(spoil=st.sampled_from(["keep", "delete", "cut"]))
    def reopen(self, spoil: str) -> None:
        path = self.collection.folder / "vectors.faiss"
        self.collection.close()
        if spoil == "delete":
            path.unlink(missing_ok=True)
        elif spoil == "cut" and path.exists():
            os.truncate(path, path.stat().st_size // 2)
        self.collection = Collection.open(self.collection.folder, write=True)

    @rule(where=st.sampled_from([None, Term("path", ":", "a/*"), Term("path", ":", "m/*/?.jpg")]), k=st.integers(1, 30))
    def search(self, where: Term | None, k: int) -> None:
        chosen = {"a/*": lambda name: "/a/" in name, "m/*/?.jpg": lambda name: name.count("/") == 3}
        wanted = chosen[str(where.value)] if where else lambda _: True
        held = [one for name, one in self.model.items() if wanted(name) and not one.gone]
        keys = np.array([key for one in held for key in one.keys], np.int64)
        rows = np.concatenate([self.new(0), *(one.rows for one in held)])
        assert self.collection.count(where) == len(keys)
        queries = np.concatenate([self.new(2), np.full((1, DIM), 0.5, np.float32)])
        found = self.collection.search(queries, k, where)
        for query, found_keys, found_scores in zip(queries, found.keys, found.scores, strict=True):
            scores = rows @ query
            order = np.lexsort((keys, -scores))[:k]
            np.testing.assert_array_equal(found_keys[: len(order)], keys[order])
            np.testing.assert_array_equal(found_scores[: len(order)], scores[order])
            assert (found_keys[len(order) :] == -1).all()

    @invariant()
    def the_catalog_says_what_the_model_says(self) -> None:
        records = {str(record.path): record for record in self.collection.records()}
        assert list(records) == sorted(self.model)
        for name, held in self.model.items():
            record = records[name]
            assert (record.gone, record.digest, record.embedded) == (held.gone, held.digest, bool(held.keys))
            frames = self.collection.frames(record.id)
            assert tuple(frames.keys.tolist()) == held.keys
            np.testing.assert_array_equal(frames.vectors, held.rows)


TestModel = Machine.TestCase
TestModel.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
