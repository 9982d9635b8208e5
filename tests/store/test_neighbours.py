"""Pairs of near vectors: all of them where few are compared, nearly all where many are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.store import neighbours
from retrieval.store.neighbours import near_pairs


class Matrix:
    """Rows of a matrix in memory."""

    def __init__(self, rows: np.ndarray) -> None:
        self.dim, self._rows = rows.shape[1], rows

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, first: int, last: int) -> np.ndarray:
        return self._rows[first:last]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def crowd(rng: np.random.Generator, count: int, dim: int) -> np.ndarray:
    """Vectors around some centres, a third of them copies of others but for a little noise."""
    rows = unit(rng.standard_normal((max(1, count // 50), dim)))[rng.integers(0, max(1, count // 50), count)]
    rows = unit(rows + 0.05 * rng.standard_normal((count, dim)))
    copies = rng.choice(count, count // 3, replace=False)
    rows[copies] = unit(rows[rng.integers(0, count, len(copies))] + 0.002 * rng.standard_normal((len(copies), dim)))
    return rows


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 60), least=st.floats(0.5, 0.999))
def test_few_rows_are_compared_all_with_all(seed, count, least):
    rows = crowd(np.random.default_rng(seed), count, 8)
    found = near_pairs(Matrix(rows), least, count)
    scores = rows @ rows.T
    clear = np.abs(scores - least) > 1e-5
    expected = {(a, b) for a, b in zip(*np.nonzero(np.triu(scores >= least, 1) & clear), strict=True)}
    got = {(int(a), int(b)) for a, b in zip(found.one, found.other, strict=True) if clear[a, b]}
    assert got == expected
    assert (found.one < found.other).all()
    np.testing.assert_allclose(found.score, scores[found.one, found.other], atol=1e-5)


def test_only_the_nearest_of_each_row():
    rows = unit(np.ones((30, 4)) + np.arange(30)[:, None] * [0, 0, 0, 0.001])
    found = near_pairs(Matrix(rows), 0.9, 3)
    degrees = np.bincount(np.concatenate([found.one, found.other]), minlength=30)
    assert degrees.min() >= 3
    assert len(found.one) <= 90


@pytest.mark.parametrize("dim", [16, 160])
def test_many_rows_are_compared_within_cells_and_little_is_lost(dim, monkeypatch):
    monkeypatch.setattr(neighbours, "_EXACT_UP_TO", 0)
    rows = crowd(np.random.default_rng(1), 6000, dim)
    done: list[tuple[int, int]] = []
    found = near_pairs(Matrix(rows), 0.995, 24, progress=lambda *count: done.append(count))
    monkeypatch.undo()
    exact = near_pairs(Matrix(rows), 0.995, 24)
    expected = set(zip(exact.one.tolist(), exact.other.tolist(), strict=True))
    got = set(zip(found.one.tolist(), found.other.tolist(), strict=True))
    assert len(expected) > 1000
    assert len(got & expected) >= 0.99 * len(expected)
    assert done[-1] == (6000, 6000)
    assert [one for one, _ in done] == sorted(one for one, _ in done)


def test_rows_asked_of_others():
    rng = np.random.default_rng(2)
    rows = unit(rng.standard_normal((50, 12)))
    asking = np.concatenate([rows[[7, 3]], unit(rng.standard_normal((5, 12)))])
    found = near_pairs(Matrix(rows), 0.999, 4, asking=Matrix(asking))
    assert list(zip(found.one.tolist(), found.other.tolist(), strict=True)) == [(0, 7), (1, 3)]


def test_no_rows():
    nothing, one = Matrix(np.empty((0, 4), np.float32)), Matrix(np.ones((1, 4), np.float32))
    for rows, asking in ((nothing, None), (one, nothing), (nothing, one), (one, None)):
        assert len(near_pairs(rows, 0.5, 3, asking).one) == 0
