"""Groups: everything in one is like its centre, and nothing chains."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.ranking.groups import Edges, grouped


def on_a_line(places: np.ndarray, reach: float, known: np.ndarray) -> list[np.ndarray]:
    """Group points on a line that are alike within ``reach``; ``known`` says which of the pairs are given as edges."""
    one, other = np.triu_indices(len(places), 1)
    near = (np.abs(places[one] - places[other]) <= reach) & known[: len(one)]
    return grouped(
        len(places),
        Edges(one[near], other[near]),
        np.arange(len(places)),
        lambda centre, others: np.abs(places[others] - places[centre]) <= reach,
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=0, max_size=40), st.integers(0, 4), st.integers(0, 1000))
def test_members_are_like_their_centre_and_in_one_group(points, reach, seed):
    places = np.array(points, float)
    known = np.random.default_rng(seed).random(len(points) ** 2) < 0.7
    groups = on_a_line(places, reach, known)
    members = [int(one) for group in groups for one in group]
    assert len(members) == len(set(members))
    for group in groups:
        assert len(group) > 1
        assert (np.abs(places[group] - places[group[0]]) <= reach).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=2, max_size=40), st.integers(0, 4))
def test_no_pair_is_left_between_things_in_no_group(points, reach):
    places = np.array(points, float)
    groups = on_a_line(places, reach, np.ones(len(points) ** 2, bool))
    alone = np.setdiff1d(np.arange(len(places)), np.concatenate([*groups, np.empty(0, int)]))
    apart = np.abs(places[alone][:, None] - places[alone])[np.triu_indices(len(alone), 1)]
    assert (apart > reach).all()


def test_a_chain_is_cut():
    places = np.arange(9, dtype=float)
    groups = on_a_line(places, 1.0, np.ones(81, bool))
    assert max(len(group) for group in groups) == 3


def test_a_large_group_is_found_through_few_pairs():
    """Of each member only its next is known as a pair; the rest is reached along them."""
    count = 500
    ring = Edges(np.arange(count), (np.arange(count) + 1) % count)
    (group,) = grouped(count, ring, np.arange(count)[::-1], lambda centre, others: np.ones(len(others), bool))
    assert sorted(group.tolist()) == list(range(count))
    assert group[0] == count - 1  # all have two pairs, and the last is preferred


def test_nothing():
    none = np.empty(0, np.int64)
    assert grouped(0, Edges(none, none), none, lambda centre, others: np.ones(len(others), bool)) == []
