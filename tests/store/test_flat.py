"""Exact search from a file, with and without FAISS."""

import io
import struct

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.store.flat import Flat, read_flat
from retrieval.store.nearest import nearest

DIM = 12


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    rows = rng.standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def written(index: object) -> io.BytesIO:
    """Return the file of an index as FAISS writes it."""
    return io.BytesIO(faiss.serialize_index(index).tobytes())


def as_faiss(keys: np.ndarray, rows: np.ndarray) -> faiss.IndexIDMap2:
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(DIM))
    index.add_with_ids(rows, keys)
    return index


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 30), st.integers(1, 7), st.floats(0, 1))
def test_what_was_read_answers_as_faiss_does(seed: int, count: int, k: int, asked: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    keys = rng.permutation(np.arange(1, 3 * count))[:count].astype(np.int64)
    rows, queries = unit(rng, count), unit(rng, asked)
    rows[rng.random(count) < 0.3] = rows[0]  # ties
    own = read_flat(written(as_faiss(keys, rows)), DIM, count)
    assert own is not None
    theirs = Flat.adopting(as_faiss(keys, rows))
    np.testing.assert_array_equal(own.keys, np.sort(keys))
    np.testing.assert_array_equal(own.rows(own.keys), theirs.rows(own.keys))
    for allowed in (None, rng.random(2 * count) < share):
        found, expected = nearest(own, queries, k, allowed), nearest(theirs, queries, k, allowed)
        np.testing.assert_array_equal(found.keys, expected.keys)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_a_read_index_takes_in_and_lets_go() -> None:
    rng = np.random.default_rng(3)
    rows, keys = unit(rng, 30), np.arange(10, 40, dtype=np.int64)[::-1].copy()
    index = read_flat(written(as_faiss(keys, rows)), DIM, 30)
    assert index is not None
    more = unit(rng, 2)
    index.add(np.array([50, 51]), more)
    index.remove(np.array([10, 25, 99]))
    assert index.keys.tolist() == [*range(11, 25), *range(26, 40), 50, 51]
    np.testing.assert_array_equal(index.rows(np.array([51, 39, 11])), [more[1], rows[0], rows[28]])
    assert nearest(index, more, 1, None).keys.tolist() == [[50], [51]]


@pytest.mark.parametrize(
    "made",
    [
        lambda rows: faiss.IndexFlatIP(DIM),
        lambda rows: faiss.IndexIDMap2(faiss.IndexFlatL2(DIM)),
        lambda rows: faiss.IndexIDMap(faiss.IndexFlatIP(DIM)),
        lambda rows: faiss.IndexIDMap2(faiss.IndexHNSWFlat(DIM, 4, faiss.METRIC_INNER_PRODUCT)),
    ],
    ids=["no keys", "distances", "the older map", "a graph"],
)
def test_another_index_is_left_to_faiss(made) -> None:  # type: ignore[no-untyped-def]
    rows = unit(np.random.default_rng(0), 9)
    index = made(rows)
    if isinstance(index, faiss.IndexFlatIP):
        index.add(rows)
    else:
        index.add_with_ids(rows, np.arange(9))
    assert read_flat(written(index), DIM, 9) is None


def test_a_file_that_says_something_else_is_left_to_faiss() -> None:
    content = written(as_faiss(np.arange(5), unit(np.random.default_rng(0), 5))).getvalue()
    assert read_flat(io.BytesIO(content), DIM, 5) is not None
    assert read_flat(io.BytesIO(content), DIM, 6) is None
    assert read_flat(io.BytesIO(content), DIM + 1, 5) is None
    for cut in (0, 3, 40, 80, 200, len(content) - 1):
        assert read_flat(io.BytesIO(content[:cut]), DIM, 5) is None
    larger = bytearray(content)
    struct.pack_into("<Q", larger, 74, 2**60)
    assert read_flat(io.BytesIO(bytes(larger)), DIM, 5) is None


@pytest.mark.parametrize("count", [0, 1, 40])
def test_what_was_filled_is_written_as_faiss_writes_it(count: int) -> None:
    rng = np.random.default_rng(5)
    rows, keys = unit(rng, count), np.arange(3, 3 + count, dtype=np.int64)
    blocks = [(keys[start : start + 16], rows[start : start + 16]) for start in range(0, count, 16)]
    index = Flat.filled(DIM, count + 2, iter(blocks))  # room for two that turn out to be damaged
    found = io.BytesIO()
    index.write(found.write)
    assert found.getvalue() == written(as_faiss(keys, rows)).getvalue()
    index.add(np.array([99]), unit(rng, 1))  # from here on FAISS holds the vectors
    more = io.BytesIO()
    index.write(more.write)
    again = read_flat(io.BytesIO(more.getvalue()), DIM, count + 1)
    assert again is not None
    assert again.keys.tolist() == [*keys.tolist(), 99]
