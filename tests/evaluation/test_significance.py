"""Intervals and tests of two runs, against the long way round and against what is known in advance."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.evaluation.significance import bootstrap, compare_means


def test_intervals_of_means_are_those_of_drawn_units():
    rng = np.random.default_rng(5)
    units = rng.integers(0, 12, 40)
    values = rng.random(40)
    found = bootstrap({"x": values}, units, draws=300)["x"]
    rng, means = np.random.default_rng(0), []
    present = np.unique(units)
    for _ in range(300):
        chosen = present[rng.integers(len(present), size=len(present))]
        means.append(np.concatenate([values[units == unit] for unit in chosen]).mean())
    assert found == pytest.approx(np.percentile(means, [2.5, 97.5]))


def test_folds_are_averaged():
    """Two folds that differ wholly: the interval lies around the mean of their medians, not the median of all."""
    values = np.concatenate([np.full(30, 1.0), np.full(90, 100.0)])
    folds = np.concatenate([np.zeros(30, np.int64), np.ones(90, np.int64)])
    found = bootstrap({"mean": values}, np.arange(120), medians={"median": values}, folds=folds, draws=50)
    assert found == {"mean": (50.5, 50.5), "median": (50.5, 50.5)}


def test_no_queries_have_no_interval():
    none = np.empty(0, np.int64)
    assert bootstrap({"x": np.empty(0)}, none, medians={"y": np.empty(0)}) == {"x": (0.0, 0.0), "y": (0.0, 0.0)}


def test_runs_that_are_alike_do_not_differ():
    values = np.random.default_rng(0).random(50)
    found = compare_means(values, values, np.arange(50), draws=200)
    assert (found.difference, found.interval_95, found.p) == (0.0, (0.0, 0.0), 1.0)


def test_p_is_that_of_all_exchanges():
    """With six units all 64 exchanges can be gone through."""
    apart = np.array([3.0, 1.0, -1.0, 2.0, 5.0, 0.5])
    signs = np.array(list(itertools.product([1, -1], repeat=6)))
    exact = np.mean(np.abs(signs @ apart) >= abs(apart.sum()) - 1e-9)
    found = compare_means(apart, np.zeros(6), np.arange(6), draws=20_000)
    assert found.p == pytest.approx(exact, abs=0.01)
    assert found.difference == pytest.approx(apart.mean())


def test_whole_units_are_exchanged():
    """Five captions of a picture that move together are no more evidence than one."""
    apart = np.where(np.arange(20) < 14, 1.0, -1.0)
    alone = compare_means(apart, np.zeros(20), np.arange(20), draws=4000)
    together = compare_means(np.repeat(apart, 5), np.zeros(100), np.repeat(np.arange(20), 5), draws=4000)
    as_if_free = compare_means(np.repeat(apart, 5), np.zeros(100), np.arange(100), draws=4000)
    assert together.p == pytest.approx(alone.p)
    assert together.interval_95 == pytest.approx(alone.interval_95)
    assert alone.p > 0.05 > as_if_free.p


def test_a_difference_that_is_not_there_is_seldom_found():
    """Of 200 pairs of equal runs about one in twenty has p <= 0.05."""
    rng = np.random.default_rng(1)
    found = [compare_means(rng.random(40), rng.random(40), np.arange(40), draws=400).p for _ in range(200)]
    assert 0.01 <= np.mean(np.array(found) <= 0.05) <= 0.1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 30))
def test_exchanging_the_runs_turns_the_sign_alone(seed, queries):
    rng = np.random.default_rng(seed)
    ours, theirs, units = rng.random(queries), rng.random(queries), rng.integers(0, 5, queries)
    one, other = compare_means(ours, theirs, units, draws=100), compare_means(theirs, ours, units, draws=100)
    assert other.difference == pytest.approx(-one.difference)
    assert other.p == one.p
    assert one.interval_95[0] <= one.interval_95[1]
    assert 0 < one.p <= 1
