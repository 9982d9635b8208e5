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


def rows_of(dim: int) -> np.ndarray:
    return np.ones((2, dim), np.float32)


ARRAYS = {
    "pickled": lambda dim: np.array([Evil()], dtype=object),
    "dim": lambda dim: rows_of(dim - 1),
    "integers": lambda dim: rows_of(dim).astype(np.int64),
    "deep": lambda dim: rows_of(dim)[None],
    "number": lambda dim: np.float32(1.0),
    "none": lambda dim: rows_of(dim)[:0],
    "zero": lambda dim: 0 * rows_of(dim),
    "infinite": lambda dim: rows_of(dim) * np.inf,
}


def write_bad(path, kind: str, dim: int) -> None:
    if kind in ARRAYS:
        np.save(path, ARRAYS[kind](dim), allow_pickle=True)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "zipped":
        with path.open("wb") as file:
            np.savez(file, a=rows_of(dim))
    elif kind != "missing":
        np.save(path, rows_of(dim))
        size = {"empty": 0, "short": path.stat().st_size - 4, "large": MAX_BYTES + 1}.get(kind)
        with path.open("r+b") as file:
            if size is None:
                file.write(b"no array at all")
            else:
                file.truncate(size)


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
