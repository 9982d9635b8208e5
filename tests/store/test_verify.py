"""Finding what is wrong, and putting it right."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from retrieval.config import IndexSpec
from retrieval.store import Collection
from retrieval.types import Item


@pytest.fixture
def closed(filled: Collection) -> Path:
    filled.close()
    return filled.folder


def spoil(folder: Path, *statements: str) -> None:
    raw = sqlite3.connect(folder / "catalog.sqlite", isolation_level=None)
    for statement in statements:
        assert raw.execute(statement).rowcount != 0, statement
    raw.close()


def mended(folder: Path, problems: int = 1) -> list[str]:
    """See that what is wrong is found without being touched, then mended, and then no longer found."""
    with Collection.open(folder) as reader:
        found = reader.verify()
        assert [problem.repaired for problem in found] == [False] * problems
    with Collection.open(folder, write=True) as writer:
        assert all(problem.repaired for problem in writer.verify(repair=True))
        assert writer.verify() == []
        waiting = [record.path.name for record in writer.records() if not record.embedded]
        for record in list(writer.records()):
            if not record.embedded:
                assert (record.status, record.digest, record.mtime_ns) == ("ok", None, 0)
        assert (writer.search(np.ones((1, 16), np.float32), 99).keys >= 0).sum() == writer.count()
    assert all("\n" not in problem.what for problem in found)
    return waiting


def test_a_sound_collection_has_no_problems(filled):
    assert filled.verify() == []
    assert filled.verify(repair=True) == []


@pytest.mark.parametrize(
    "vector", ["x'00'", "zeroblob(32)", "x'007e' || substr(vector, 3)", "vector || x'0000'", "'text'"]
)
def test_damaged_vectors(closed, vector):
    spoil(
        closed, f"UPDATE items SET vector = CAST({vector} AS {'TEXT' if 'text' in vector else 'BLOB'}) WHERE key = 35"
    )
    (closed / "vectors.faiss").unlink()
    with Collection.open(closed) as reader:
        found = reader.search(np.ones((1, 16), np.float32), 99).keys
        if "zeroblob" not in vector:
            assert (found >= 0).sum() == 39
            assert "1 item has a damaged vector" in reader.notes[0]
    assert mended(closed, problems=2) == ["film.mp4"]


def test_a_changed_vector_that_looks_sound(closed):
    spoil(closed, "UPDATE items SET vector = (SELECT vector FROM items WHERE key = 2) WHERE key = 1")
    assert mended(closed) == []


def test_files_without_items(closed):
    spoil(closed, "DELETE FROM items WHERE key = 3")
    waiting = mended(closed, problems=2)
    assert waiting == ["02.jpg"]


def test_items_without_a_file(closed):
    spoil(closed, "DELETE FROM files WHERE kind = 'video'")
    assert mended(closed) == []


def test_an_index_of_sqlite_that_lost_a_row(closed):
    spoil(
        closed,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX items_by_file ON items (file_id, at_s)'"
        " WHERE name = 'items_by_file'",
    )
    with Collection.open(closed, write=True) as writer:
        found = writer.verify(repair=True)
        assert found
        assert "damaged" in found[0].what
        assert writer.verify() == []


@pytest.mark.parametrize("text", [None, "{", json.dumps({"model": "another"})])
def test_a_manifest_that_says_something_else(closed, text):
    path = closed / "manifest.json"
    sound = path.read_bytes()
    with Collection.open(closed, write=True) as writer:
        path.unlink() if text is None else path.write_text(text)
        assert [problem.what for problem in writer.verify()] == ["manifest.json does not say what the catalog says"]
        assert [problem.repaired for problem in writer.verify(repair=True)] == [True]
    assert path.read_bytes() == sound
    data = json.loads(sound)
    assert data["model"]["name"] == "small"
    assert data["sampling"]["mode"] == "auto"


def test_an_index_that_lacks_and_has_too_much(filled, make):
    """A file that is sound in itself and sealed for this collection, but holds other keys."""
    from retrieval.store import seal, vectors
    from retrieval.store.records import Mark

    path = filled.folder / "vectors.faiss"
    index, sealed = vectors.load(path, Mark(0, 0, 0, 0, 0), IndexSpec())
    at = Mark(sealed.lineage, sealed.model_id, sealed.dim, sealed.generation, 0)
    index.remove(np.array([7]))
    vectors.save(path, index, at)
    assert "lacks" in filled.verify()[0].what
    index.add(np.array([77]), make.unit(1))
    vectors.save(path, index, at)
    assert seal.read(path) == sealed
    assert "do not exist" in filled.verify()[0].what
    with Collection.open(filled.folder) as reader:
        keys = reader.search(make.unit(1), 50).keys[0]
        assert sorted(keys[keys >= 0]) == list(range(1, 41))
        assert "did not hold" in reader.notes[0]
    assert [problem.repaired for problem in filled.verify(repair=True)] == [True]
    assert filled.verify() == []


def test_a_lagging_index_is_no_problem(filled, make):
    filled.forget(Path("/media/a"))
    with filled.transaction() as writer:
        writer.put(1, make.entry("/media/new.jpg"), make.picture, None, [Item()], make.unit(1))
    assert filled.verify() == []


def test_during_a_reembedding_both_models_are_checked(filled, make):
    filled.begin_reembed(make.other)
    film = filled.find_file(Path("/media/film.mp4"))
    with filled.transaction() as writer:
        entry = make.entry(film.path, film.size_bytes, film.mtime_ns)
        keys = writer.put(1, entry, make.video, film.digest, make.frames(2), make.unit(2, 24))
    assert filled.verify() == []
    spoil(filled.folder, f"UPDATE items SET vector = zeroblob(48) WHERE key = {keys[0]}")
    assert [problem.repaired for problem in filled.verify(repair=True)] == [True]
    assert filled.count() == 40
    assert not filled.find_file(film.path).embedded
    assert filled.verify() == []
