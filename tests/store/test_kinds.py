"""Approximate indexes: their answers beside exact ones, their files, what is added and removed, what breaks."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from retrieval.config import ModelSpec, Preprocessing
from retrieval.store import Collection, Entry, building, exact
from retrieval.store.flat import Flat
from retrieval.store.nearest import nearest
from retrieval.types import Item, MediaInfo, Term

KINDS = ("ivfpq", "rabitq", "hnsw")
DIM = 64
COUNT = 3000
PICTURE = MediaInfo("image", 4, 3, None, None, "")
FILM = MediaInfo("video", 4, 3, 9.0, None, "")


def clustered(rng, n: int) -> np.ndarray:
    """Vectors in clusters of uneven size, as pictures lie."""
    centres = np.random.default_rng(9).standard_normal((40, DIM))
    rows = centres[rng.zipf(1.5, n) % 40] + 0.6 * rng.standard_normal((n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def add(collection: Collection, first: int, vectors: np.ndarray) -> None:
    """Add a file for each vector, every tenth of which is a film."""
    source = collection.add_source(Path("/media"))
    with collection.transaction() as writer:
        for number, row in enumerate(vectors, first):
            info = FILM if number % 10 == 0 else PICTURE
            writer.put(source.id, Entry(Path(f"/media/{number:06d}"), 1, 1), info, None, [Item()], row[None])


@pytest.fixture(scope="module")
def questions() -> np.ndarray:
    return clustered(np.random.default_rng(2), 200)


@pytest.fixture(scope="module", params=KINDS)
def fitted(request, tmp_path_factory, questions):
    folder = tmp_path_factory.mktemp(request.param) / "collection"
    rng = np.random.default_rng(1)
    with Collection.create(folder, ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))) as collection:
        add(collection, 0, clustered(rng, COUNT))
        assert collection.fit_index(request.param, lambda: questions)
        yield collection


def exactly(collection: Collection, queries: np.ndarray, k: int, where=None) -> list[set[int]]:
    rows = collection._reader.rows
    clause = "" if where is None else "AND f.kind = 'video'"
    keys = np.array(
        [key for (key,) in rows(f"SELECT key FROM items i JOIN files f ON f.id = i.file_id WHERE 1 {clause}")]
    )
    scores = queries @ collection.vectors(keys).T
    return [set(keys[np.argsort(-row, kind="stable")[:k]].tolist()) for row in scores]


def share(found: np.ndarray, right: list[set[int]]) -> float:
    return float(np.mean([len(set(row.tolist()) & want) / len(want) for row, want in zip(found, right, strict=True)]))


def test_the_ten_nearest_are_found(fitted, questions):
    queries = clustered(np.random.default_rng(3), 300)
    found = fitted.search(queries, 10)
    assert share(found.keys, exactly(fitted, queries, 10)) >= building.PROMISED
    assert share(fitted.search(questions, 10).keys, exactly(fitted, questions, 10)) >= building.PROMISED
    # Scores are those of the vectors, not of the codes, and hits come in their order.
    held = fitted.vectors(found.keys[0])
    np.testing.assert_allclose(found.scores[0], held @ queries[0], atol=2e-6)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_many_neighbours_are_found_as_well(fitted):
    queries = clustered(np.random.default_rng(4), 20)
    found = fitted.search(queries, 500)
    assert (found.keys >= 0).all()
    assert share(found.keys, exactly(fitted, queries, 500)) >= 0.9


@pytest.mark.parametrize("few", [0, 10**6])
def test_a_filter_works_inside(fitted, monkeypatch, few):
    monkeypatch.setattr("retrieval.store.approximate.FEW", few)
    queries = clustered(np.random.default_rng(5), 50)
    where = Term("kind", "=", "video")
    found = fitted.search(queries, 10, where)
    assert (found.keys >= 0).all()
    films = set(found.keys.ravel().tolist())
    assert {row.kind for row in fitted.items(sorted(films))} == {"video"}
    assert share(found.keys, exactly(fitted, queries, 10, where)) >= building.PROMISED


def test_what_it_is_and_finds_is_told(fitted):
    stats = fitted.stats()
    assert stats.index["kind"] in KINDS
    assert building.PROMISED <= stats.index["recall"] <= 1.0
    assert stats.index["state"] == "current"
    written = json.loads((fitted.folder / "manifest.json").read_text())["index"]
    assert written["kind"] == stats.index["kind"]
    assert written["chosen"]
    assert fitted.verify() == []
    assert not fitted.fit_index()  # nothing has changed
    fitted.save_index()
    assert fitted.is_settled()


def test_it_is_read_back_followed_and_written(fitted):
    kind = fitted.stats().index["kind"]
    queries = clustered(np.random.default_rng(6), 30)
    with Collection.open(fitted.folder) as other:
        np.testing.assert_array_equal(other.search(queries, 10).keys, fitted.search(queries, 10).keys)
        assert other.notes == []
        fresh = clustered(np.random.default_rng(7), 40)
        first = fitted.count()
        add(fitted, 10_000 + first, fresh)
        last = fitted.search(fresh, 1).keys[:, 0]
        assert len(set(last.tolist()) & set(range(first + 1, first + 60))) >= 39
        np.testing.assert_array_equal(other.search(fresh, 1).keys[:, 0], last)
        gone = fitted.items(last[:5])
        for row in gone:
            fitted.forget(row.path)
        for one in (fitted, other):
            assert not set(one.search(fresh, 10).keys.ravel().tolist()) & set(last[:5].tolist())
        fitted.save_index()
    with Collection.open(fitted.folder) as third:
        assert third.notes == []
        assert third.stats().index["kind"] == kind
        np.testing.assert_array_equal(third.search(fresh, 10).keys, fitted.search(fresh, 10).keys)
    assert fitted.verify() == []


@pytest.mark.parametrize("harm", ["cut", "swapped", "missing", "foreign"])
def test_damage_beside_the_index_is_noticed_and_mended(fitted, tmp_path, harm):
    import shutil

    folder = tmp_path / "copy"
    fitted.save_index()
    shutil.copytree(fitted.folder, folder)
    file = folder / exact.FILE
    content = bytearray(file.read_bytes())
    if harm == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif harm == "swapped":
        content[4096:4104], content[4104:4112] = content[4104:4112], content[4096:4104]
        file.write_bytes(content)
    elif harm == "missing":
        file.unlink()
    else:
        content[8:16] = b"\7" * 8
        file.write_bytes(content)
    queries = clustered(np.random.default_rng(8), 20)
    with Collection.open(folder) as reader:
        found = reader.search(queries, 10)
        assert "built anew" in reader.notes[0]
        assert share(found.keys, exactly(reader, queries, 10)) >= 0.95
    with Collection.open(folder, write=True) as writer:
        writer.search(queries, 10)
        assert "built anew" in writer.notes[0]
        assert writer.verify() == []
    with Collection.open(folder) as reader:
        reader.search(queries, 10)
        assert reader.notes == []


def test_the_kind_is_changed_and_changed_back(fitted, tmp_path, questions):
    import shutil

    folder = tmp_path / "copy"
    fitted.save_index()
    shutil.copytree(fitted.folder, folder)
    queries = clustered(np.random.default_rng(8), 20)
    with Collection.open(folder, write=True) as collection:
        assert collection.fit_index("flat")
        assert not (folder / exact.FILE).exists()
        found = collection.search(queries, 10).keys
        assert [set(row.tolist()) for row in found] == exactly(collection, queries, 10)
        assert collection.manifest.index.recall == 1.0
        assert not collection.fit_index("flat")
        assert collection.manifest.index.chosen
        assert collection.fit_index("auto")
        assert not collection.manifest.index.chosen
        assert not collection.fit_index("auto")
        assert collection.fit_index("ivfpq", lambda: questions)
        assert collection.verify() == []


def test_the_kind_follows_the_size(tmp_path, monkeypatch, questions):
    monkeypatch.setattr(building, "LARGE", 700)
    rng = np.random.default_rng(11)
    with Collection.create(tmp_path / "c", ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))) as collection:
        add(collection, 0, clustered(rng, 500))
        assert not collection.fit_index()
        add(collection, 1000, clustered(rng, 300))
        assert collection.fit_index(questions=lambda: questions)
        assert collection.manifest.index.kind == "ivfpq"
        assert collection.manifest.index.trained_on == 800
        add(collection, 2000, clustered(rng, 300))
        assert not collection.fit_index()
        add(collection, 10_000, clustered(rng, 2100))
        assert collection.fit_index()  # four times what it was trained on
        assert collection.manifest.index.trained_on == 3200
        with collection.transaction() as writer:
            for number in range(10_000, 10_700):
                writer.forget(Path(f"/media/{number:06d}"))
        assert collection.fit_index()  # much was removed
        assert collection.manifest.index.trained_on == 2500
        assert collection.verify() == []


def test_many_vectors_that_no_index_holds_are_never_held_at_once(tmp_path, monkeypatch, questions):
    monkeypatch.setattr(building, "LARGE", 700)
    filled = []
    fill = Flat.filled
    monkeypatch.setattr(Flat, "filled", lambda *given: filled.append(given[1]) or fill(*given))
    with Collection.create(tmp_path / "c", ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))) as collection:
        add(collection, 0, clustered(np.random.default_rng(11), 800))
        assert collection.fit_index(questions=lambda: questions)
        assert collection.manifest.index.kind == "ivfpq"
        assert filled == []
        assert collection.verify() == []


def test_an_exact_index_that_is_outgrown_is_not_read_first(tmp_path, monkeypatch, questions):
    monkeypatch.setattr(building, "LARGE", 700)
    read = []
    with Collection.create(tmp_path / "c", ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))) as collection:
        add(collection, 0, clustered(np.random.default_rng(11), 600))
        collection.save_index()
    monkeypatch.setattr("retrieval.store.vectors.read_flat", lambda *given: read.append(given))
    with Collection.open(tmp_path / "c", write=True) as collection:
        add(collection, 1000, clustered(np.random.default_rng(12), 200))
        assert collection.fit_index(questions=lambda: questions)
        assert collection.manifest.index.trained_on == 800
        assert read == []
        assert collection.verify() == []


def test_a_file_of_the_kind_before_is_still_read(tmp_path, questions):
    """The catalog names the new kind first, the file follows: between the two the old file serves."""
    with Collection.create(tmp_path / "c", ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))) as collection:
        add(collection, 0, clustered(np.random.default_rng(1), 300))
        collection.save_index()
    raw = sqlite3.connect(tmp_path / "c" / "catalog.sqlite")
    raw.execute("UPDATE meta SET index_spec = ?", (json.dumps({"kind": "ivfpq", "lists": 16, "probes": 4}),))
    raw.commit()
    raw.close()
    with Collection.open(tmp_path / "c", write=True) as collection:
        assert [set(row.tolist()) for row in collection.search(questions, 5).keys] == exactly(collection, questions, 5)
        assert collection.fit_index("flat")
        assert not collection.fit_index("ivfpq")
        assert "too few" in collection.notes[-1]
        add(collection, 1000, clustered(np.random.default_rng(2), 200))
        assert collection.fit_index("ivfpq")
        assert collection.verify() == []


def test_vectors_in_memory_and_on_disk_are_the_same(tmp_path):
    from retrieval.store.records import Mark

    at = Mark(5, 1, 8, 1, 0)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((9000, 8)).astype(np.float16).astype(np.float32)
    keys = np.arange(3, 9003)
    made, held = exact.create(tmp_path / exact.FILE, at), exact.Exact(8)
    for first in range(0, 9000, 1700):
        for one in (made, held):
            one.append(keys[first : first + 1700], rows[first : first + 1700])
        made.flush()
    for one in (made, held):
        one.remove(np.array([3, 5000, 77_777]))
    made.settle()
    again = exact.load(tmp_path / exact.FILE, at, 9000)
    for one in (made, held, again):
        assert len(one) == 8998
        np.testing.assert_array_equal(one.keys, keys[~np.isin(keys, [3, 5000])])
        np.testing.assert_array_equal(one.rows(np.array([9002, 4, 4099, 4098])), rows[[8999, 1, 4096, 4095]])
        with pytest.raises(KeyError):
            one.rows(np.array([5000]))
        with pytest.raises(KeyError):
            one.rows(np.array([1]))


def test_an_empty_index_of_any_kind_finds_nothing(tmp_path):
    from retrieval.store.flat import Flat

    assert nearest(Flat(8), np.ones((1, 8), np.float32), 3, None).keys.tolist() == [[-1, -1, -1]]


@pytest.mark.parametrize("few", [0, 10**6])
def test_all_there_is_comes_back_when_it_is_asked_for(fitted, monkeypatch, few):
    monkeypatch.setattr("retrieval.store.approximate.FEW", few)
    queries = clustered(np.random.default_rng(12), 3)
    for where in (None, Term("kind", "=", "video")):
        there = fitted.count(where)
        for k in (there, there + 5, there - 1):
            found = fitted.search(queries, k, where).keys
            assert all(len(set(row[row >= 0].tolist())) == min(k, there) for row in found)


def test_an_index_that_has_grown_is_mended_with_the_lists_it_was_tuned_with(tmp_path, questions):
    folder = tmp_path / "c"
    with Collection.create(folder, ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))) as collection:
        add(collection, 0, clustered(np.random.default_rng(1), 500))
        assert collection.fit_index("ivfpq", lambda: questions)
        lists = collection.manifest.index.lists
        add(collection, 1000, clustered(np.random.default_rng(2), 1400))
        assert not collection.fit_index()
        collection.save_index()
    (folder / exact.FILE).unlink()
    with Collection.open(folder, write=True) as collection:
        collection.search(questions, 10)
        assert "built anew" in collection.notes[0]
        collection.save_index()
    with Collection.open(folder) as reader:
        found = reader.search(questions, 10)
        assert reader.notes == []
        assert reader.manifest.index.lists == lists
        assert share(found.keys, exactly(reader, questions, 10)) >= 0.9
        assert reader.verify() == []


def test_what_became_too_small_for_its_lists_is_searched_exactly(tmp_path, questions):
    folder = tmp_path / "c"
    with Collection.create(folder, ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))) as collection:
        add(collection, 0, clustered(np.random.default_rng(1), 900))
        assert collection.fit_index("ivfpq", lambda: questions)
        with collection.transaction() as writer:
            for number in range(850):
                writer.forget(Path(f"/media/{number:06d}"))
        collection.save_index()
    (folder / "vectors.faiss").unlink()
    with Collection.open(folder, write=True) as collection:
        found = collection.search(questions, 5).keys
        assert [set(row.tolist()) for row in found] == exactly(collection, questions, 5)
        assert collection.fit_index()
        assert collection.manifest.index.kind == "flat"
        assert collection.verify() == []


def test_a_change_of_the_model_forgets_how_it_was_tuned(tmp_path, questions):
    spec, other = (ModelSpec(name, DIM, digest * 64, Preprocessing(8, 8)) for name, digest in (("a", "0"), ("b", "1")))
    rows = clustered(np.random.default_rng(1), 500)
    with Collection.create(tmp_path / "c", spec) as collection:
        add(collection, 0, rows)
        assert collection.fit_index("rabitq", lambda: questions)
        collection.begin_reembed(other)
        add(collection, 0, rows[::-1].copy())
        collection.finish_reembed()
        index = collection.manifest.index
        assert (index.kind, index.chosen, index.trained_on) == ("rabitq", True, 0)
        found = collection.search(questions, 5).keys
        assert [set(row.tolist()) for row in found] == exactly(collection, questions, 5)
        assert collection.fit_index(questions=lambda: questions)
        assert collection.manifest.index.trained_on == 500
        assert collection.verify() == []


def test_a_training_that_fails_leaves_the_collection_as_it_was(tmp_path, questions):
    def broken() -> np.ndarray:
        raise RuntimeError("no texts today")

    with Collection.create(tmp_path / "c", ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))) as collection:
        add(collection, 0, clustered(np.random.default_rng(1), 500))
        collection.save_index()
        with pytest.raises(RuntimeError, match="today"):
            collection.fit_index("ivfpq", broken)
        found = collection.search(questions, 5).keys
        assert [set(row.tolist()) for row in found] == exactly(collection, questions, 5)
        assert collection.manifest.index.kind == "flat"
    with Collection.open(tmp_path / "c", write=True) as collection:
        assert collection.verify() == []


def test_vectors_of_odd_length(tmp_path):
    rows = np.random.default_rng(3).standard_normal((450, 21))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    for kind in KINDS:
        with Collection.create(tmp_path / kind, ModelSpec("odd", 21, "0" * 64, Preprocessing(8, 8))) as collection:
            add(collection, 0, rows)
            assert collection.fit_index(kind)
            assert share(collection.search(rows[:20], 1).keys, exactly(collection, rows[:20], 1)) == 1.0
