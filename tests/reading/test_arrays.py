"""Files of vectors as parts of a query: what is read, and what is refused in one line."""

import os

import numpy as np
import pytest

from retrieval.embedding import open_embedder
from retrieval.errors import QueryError
from retrieval.query import parse_query
from retrieval.reading import read_query
from retrieval.reading.arrays import MAX_BYTES
from tests.model_makers import write_tiny_model


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")), "cpu", 1)


def read(embedder, path):
    return read_query(parse_query("", like=[str(path)]), embedder)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e3])
def test_a_vector_is_used_whatever_its_length_and_type(embedder, tmp_path, dtype, factor):
    red = embedder.embed_texts(["red"])
    np.save(tmp_path / "a.npy", (factor * red[0]).astype(dtype))
    found = read(embedder, tmp_path / "a.npy")
    assert found.mixed.probes == pytest.approx(red, abs=2e-3)
    assert np.linalg.norm(found.mixed.probes) == pytest.approx(1, abs=1e-6)
    assert found.own == frozenset()


def test_a_vector_too_long_for_single_precision_is_one(embedder, tmp_path):
    red = embedder.embed_texts(["red"])
    np.save(tmp_path / "a.npy", 1e200 * red.astype(np.float64))
    assert read(embedder, tmp_path / "a.npy").mixed.probes == pytest.approx(red, abs=1e-6)


def test_several_vectors_are_a_probe_each(embedder, tmp_path):
    both = embedder.embed_texts(["red", "blue"])
    np.save(tmp_path / "a.npy", both)
    assert read(embedder, tmp_path / "a.npy").mixed.probes == pytest.approx(both, abs=1e-6)
    np.save(tmp_path / "many.npy", np.repeat(both, 20, axis=0))
    found = read(embedder, tmp_path / "many.npy")
    assert found.mixed.probes.shape == (16, embedder.dim)
    assert found.notes == (f"{tmp_path / 'many.npy'}: 16 of its 40 vectors are used, evenly from first to last",)


def test_a_vector_may_be_weighed_and_taken_away(embedder, tmp_path):
    red, blue = embedder.embed_texts(["red", "blue"])
    np.save(tmp_path / "a.npy", blue)
    probe = read_query(parse_query(f'2:"red" - 1:vector:"{tmp_path}/a.npy"'), embedder).mixed.probes[0]
    wanted = 2 * red - blue
    assert probe == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-6)


class Evil:
    """What would run when an array is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("/nowhere/at/all",))


def write_bad(path, kind: str, dim: int) -> None:
    rows = np.ones((2, dim), np.float32)
    if kind == "pickled":
        np.save(path, np.array([Evil()], dtype=object), allow_pickle=True)
    elif kind == "dim":
        np.save(path, rows[:, :-1])
    elif kind == "integers":
        np.save(path, rows.astype(np.int64))
    elif kind == "deep":
        np.save(path, rows[None])
    elif kind == "number":
        np.save(path, np.float32(1.0))
    elif kind == "none":
        np.save(path, rows[:0])
    elif kind == "zero":
        np.save(path, 0 * rows)
    elif kind == "infinite":
        np.save(path, rows * np.inf)
    elif kind == "text":
        path.write_text("no array at all")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "short":
        np.save(path, rows)
        path.write_bytes(path.read_bytes()[:-4])
    elif kind == "zipped":
        with path.open("wb") as file:
            np.savez(file, a=rows)
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(MAX_BYTES + 1)
    elif kind == "pipe":
        os.mkfifo(path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pickled", "cannot be read"),
        ("dim", "holds vectors of 63 numbers; those of the model .* have 64"),
        ("integers", "numbers of type int64"),
        ("deep", "1x2x64 numbers"),
        ("number", "one numbers"),
        ("none", "0x64 numbers"),
        ("zero", "zero or not finite"),
        ("infinite", "zero or not finite"),
        ("text", "cannot be read"),
        ("empty", "cannot be read"),
        ("short", "cannot be read"),
        ("zipped", "several arrays"),
        ("large", "at most 64 MB"),
        ("pipe", "at most 64 MB"),
        ("missing", "no file of vectors"),
    ],
)
def test_anything_else_is_refused_in_one_line(embedder, tmp_path, kind, words):
    path = tmp_path / "a.npy"
    write_bad(path, kind, embedder.dim)
    with pytest.raises(QueryError, match=words) as caught:
        read_query(parse_query(f'vector:"{path}"'), embedder)
    assert len(str(caught.value).splitlines()) == 1


def test_a_name_that_no_file_has(embedder):
    with pytest.raises(QueryError, match="no file of vectors"):
        read_query(parse_query('vector:"a\0b.npy"'), embedder)
