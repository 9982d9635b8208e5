"""When an approximate index is trained anew, and what searches, writers and a killed process see of it."""

import json
import signal
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from retrieval.config import IndexKind, ModelSpec, Preprocessing
from retrieval.store import Collection, Entry, building, durable, exact
from retrieval.types import Item, MediaInfo, Term

KINDS: tuple[IndexKind, ...] = ("ivfpq", "rabitq", "hnsw")
DIM = 32
SPEC = ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))


def lying(seed: int, n: int, side: int) -> np.ndarray:
    """Vectors in ten clusters that lie in one half of the dimensions, or in the other."""
    rng = np.random.default_rng(seed)
    scale = np.full(DIM, 0.05)
    scale[side * DIM // 2 : (side + 1) * DIM // 2] = 1.0
    centres = np.random.default_rng(side).standard_normal((10, DIM)) * scale
    rows = centres[rng.integers(0, 10, n)] + 0.4 * scale * rng.standard_normal((n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def add(collection: Collection, first: int, vectors: np.ndarray) -> None:
    source = collection.add_source(Path("/media"))
    with collection.transaction() as writer:
        for number, row in enumerate(vectors, first):
            info = MediaInfo("video" if number % 3 else "image", 4, 3, None, None, "")
            writer.put(source.id, Entry(Path(f"/media/{number:06d}"), 1, 1), info, None, [Item()], row[None])


def exactly(collection: Collection, queries: np.ndarray, k: int) -> np.ndarray:
    keys = collection.keys()
    scores = queries @ collection.vectors(keys).T
    return keys[np.argsort(-scores, axis=1, kind="stable")[:, :k]]


def share(found: np.ndarray, right: np.ndarray) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, right, strict=True)]))


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A collection of 800 vectors with inverted lists over them."""
    with Collection.create(tmp_path / "c", SPEC) as made:
        add(made, 0, lying(1, 800, 0))
        assert made.fit_index("ivfpq")
    return tmp_path / "c"


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_trained_anew_when_what_was_added_lies_elsewhere(tmp_path, kind):
    with Collection.create(tmp_path / "c", SPEC) as collection:
        add(collection, 0, lying(1, 1000, 0))
        assert collection.fit_index(kind)
        before = collection.manifest.index
        assert before.newest == 1000
        assert before.strain > 0
        add(collection, 1000, lying(2, 500, 0))
        assert not collection.fit_index()  # more of the same
        add(collection, 3000, lying(4, 600, 1))
        assert collection.fit_index()
        after = collection.manifest.index
        assert (after.kind, after.newest, after.trained_on) == (kind, 2100, 2100)
        assert not collection.fit_index()
        for side in (0, 1):
            queries = lying(5, 50, side)
            assert share(collection.search(queries, 10).keys, exactly(collection, queries, 10)) >= building.PROMISED
        assert collection.verify() == []


def test_searches_and_writing_go_on_while_it_is_trained(trained):
    begun, go_on = threading.Event(), threading.Event()

    def questions() -> np.ndarray:
        begun.set()
        assert go_on.wait(60)
        return lying(6, 20, 1)

    with Collection.open(trained, write=True) as collection:
        queries = lying(7, 20, 0)
        right = collection.search(queries, 5)
        add(collection, 1000, lying(8, 2400, 1))
        thread = threading.Thread(target=lambda: collection.fit_index(None, questions))
        thread.start()
        assert begun.wait(60)
        try:
            meanwhile = collection.search(queries, 5)
            np.testing.assert_array_equal(meanwhile.keys, right.keys)
            gone = collection.items(right.keys[0][:1])[0]
            collection.forget(gone.path)
            add(collection, 9000, queries[:1])
            collection.save_index()
            assert collection.search(queries[:1], 1).keys[0, 0] == 3201
            assert collection.manifest.index.trained_on == 800
        finally:
            go_on.set()
            thread.join()
        assert collection.manifest.index.trained_on == 3200
        found = collection.search(queries, 5)
        assert found.keys[0, 0] == 3201
        assert gone.key not in found.keys
        assert share(found.keys, exactly(collection, queries, 5)) >= building.PROMISED
        assert collection.verify() == []
    with Collection.open(trained) as reader:
        np.testing.assert_array_equal(reader.search(queries, 5).keys, found.keys)
        assert reader.notes == []


def test_a_process_killed_while_training_leaves_the_old_index(trained, child):
    with Collection.open(trained, write=True) as collection:
        add(collection, 1000, lying(8, 2400, 1))
        collection.save_index()
        before = collection.manifest.index
    process = child(
        """
import sys, time
from pathlib import Path
from retrieval.store import Collection
def questions():
    print("training", flush=True)
    time.sleep(600)
with Collection.open(Path(sys.argv[1]), write=True) as collection:
    collection.fit_index(None, questions)
""",
        trained,
    )
    assert process.stdout.readline().strip() == "training"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert list(trained.glob(f"*{durable.TEMPORARY}"))
    queries = lying(9, 20, 0)
    with Collection.open(trained) as reader:
        assert reader.manifest.index == before
        assert share(reader.search(queries, 5).keys, exactly(reader, queries, 5)) >= 0.9
        assert reader.notes == []
    with Collection.open(trained, write=True) as writer:
        assert not list(trained.glob(f"*{durable.TEMPORARY}"))
        assert writer.verify() == []
        assert writer.fit_index()
        assert writer.manifest.index.trained_on == 3200


def test_a_process_that_goes_on_takes_over_what_another_has_trained(trained):
    queries = lying(10, 30, 1)
    with Collection.open(trained) as reader, Collection.open(trained, write=True) as writer:
        reader.search(queries, 5)
        add(writer, 1000, lying(8, 2400, 1))
        reader.search(queries, 5)
        assert reader._index._index.spec.trained_on == 800
        assert writer.fit_index()
        found = reader.search(queries, 5)
        assert reader._index._index.spec == writer.manifest.index
        np.testing.assert_array_equal(found.keys, writer.search(queries, 5).keys)
        add(writer, 9000, queries[:1])
        assert reader.search(queries[:1], 1).keys[0, 0] == 3201
        assert reader.notes == []


def test_an_index_the_catalog_does_not_tell_of_yet_serves_and_is_trained_anew(trained):
    """Both files are there, and the process was killed before the catalog said so."""
    with Collection.open(trained, write=True) as collection:
        told = {"kind": "ivfpq", "lists": 7, "probes": 2, "candidates": 64, "trained_on": 300, "chosen": True}
        queries = lying(11, 30, 0)
        right = exactly(collection, queries, 10)
    raw = sqlite3.connect(trained / "catalog.sqlite")
    raw.execute("UPDATE meta SET index_spec = ?", (json.dumps(told),))
    raw.commit()
    raw.close()
    with Collection.open(trained) as reader:
        assert share(reader.search(queries, 10).keys, right) >= building.PROMISED
        assert reader.notes == []
    with Collection.open(trained, write=True) as writer:
        assert writer.fit_index()
        assert writer.manifest.index.trained_on == 800
        assert share(writer.search(queries, 10).keys, right) >= building.PROMISED
        assert writer.notes == []
        assert writer.verify() == []


@pytest.mark.parametrize("few", [0, 10**6])
@pytest.mark.parametrize("kind", KINDS)
def test_where_much_was_removed_all_there_is_still_comes_and_keys_stay(tmp_path, monkeypatch, kind, few):
    monkeypatch.setattr("retrieval.store.approximate.FEW", few)
    rows = lying(12, 900, 0)
    queries = lying(13, 20, 0)
    with Collection.create(tmp_path / "c", SPEC) as collection:
        add(collection, 0, rows)
        assert collection.fit_index(kind)
        away = np.random.default_rng(0).permutation(900)[:300]
        with collection.transaction() as writer:
            for number in away:
                writer.forget(Path(f"/media/{number:06d}"))
        left = np.setdiff1d(np.arange(900), away) + 1
        for trained_anew in (False, True):
            found = collection.search(queries, 10).keys
            assert np.isin(found, left).all()
            assert share(found, exactly(collection, queries, 10)) >= 0.9
            assert (np.sort(collection.search(queries[:2], 600).keys, axis=1) == left).all()
            films = collection.search(queries, 10, Term("kind", "=", "video")).keys
            assert np.isin(films, left[(left - 1) % 3 > 0]).all()
            np.testing.assert_array_equal(collection.vectors(left), rows[left - 1])  # a key is what it was
            assert collection.fit_index() != trained_anew
        assert collection.manifest.index.trained_on == 600
    kept = exact.load(tmp_path / "c" / exact.FILE, collection._index._at, 600)
    np.testing.assert_array_equal(kept.keys, left)
    assert isinstance(kept._map, np.memmap)
    assert kept._map["rows"].dtype == np.float16


def test_a_recall_that_is_asked_for_decides_and_is_remembered(trained):
    with Collection.open(trained, write=True) as collection:
        assert collection.fit_index(recall=0.6)
        loose = collection.manifest.index
        assert (loose.kind, loose.promised) == ("ivfpq", 0.6)
        assert not collection.fit_index(recall=0.6)
        assert collection.fit_index(recall=0.99)
        strict = collection.manifest.index
        assert strict.promised == 0.99
        assert strict.recall >= 0.99
        assert (strict.probes, strict.candidates) > (loose.probes, loose.candidates)
        assert not collection.fit_index()
        assert collection.notes == []
        with pytest.raises(ValueError, match="recall"):
            collection.fit_index(recall=1.0)


def test_memory_that_is_given_decides_and_is_remembered(tmp_path):
    with Collection.create(tmp_path / "c", SPEC) as collection:
        source = collection.add_source(Path("/media"))
        info = MediaInfo("video", 4, 3, 7000.0, None, "")
        frames = [Item(float(second), float(second), second + 1.0) for second in range(7000)]
        with collection.transaction() as writer:
            writer.put(source.id, Entry(Path("/media/long"), 1, 1), info, None, frames, lying(1, 7000, 0))
        assert not collection.fit_index()
        assert not collection.fit_index(memory_mb=2) or collection.manifest.index.kind == "flat"
        assert collection.fit_index(memory_mb=1)  # as they are they would take 1.1 MB
        index = collection.manifest.index
        assert (index.kind, index.memory_mb, index.chosen) == ("ivfpq", 1, False)
        assert not collection.fit_index()
        assert collection.fit_index(memory_mb=0)
        assert collection.manifest.index.kind == "flat"
        assert collection.fit_index("flat", memory_mb=1)
        assert collection.manifest.index.kind == "flat"  # what is named counts for more


@pytest.mark.parametrize("count", [50_000, 1_000_000])
def test_the_kind_that_memory_has_room_for(count):
    room = {kind: building.room_mb(kind, count, 512) for kind in ("flat", *KINDS)}
    assert room["rabitq"] < room["ivfpq"] < room["hnsw"] < room["flat"]
    given = {10**6: "flat", room["ivfpq"] + 1: "ivfpq", room["ivfpq"] - 1: "rabitq", 1: "rabitq"}
    for memory_mb, kind in given.items():
        assert building.fitting("flat", count, 512, int(memory_mb)) == kind
