"""Fusing lists: laws and worked examples of the pure functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from retrieval.ranking.fusion import RRF_K, fuse_anew, fuse_places, fuse_ranks, fuse_scores

NUMBERS = st.integers(-1000, 1000).map(lambda thousandths: thousandths / 1000)
WEIGHTS = st.lists(st.sampled_from([0.5, 1.0, 2.0, -0.5, -1.0]), min_size=1, max_size=3).filter(lambda w: max(w) > 0)


@st.composite
def found(draw):
    """Scores of hits for each part, the lists of the parts, and their weights."""
    weights = draw(WEIGHTS)
    hits = draw(hnp.arrays(np.float64, (draw(st.integers(1, 12)), len(weights)), elements=NUMBERS))
    lists = [np.array(draw(st.lists(NUMBERS, min_size=1, max_size=12))) for _ in weights]
    return hits, lists, weights


def by_hand(fuse, score, known, share):
    """What one part adds to one hit, the long way."""
    if score < min(known):
        return 0.0
    if fuse is fuse_ranks:
        return share * 61 / (60 + 1 + sum(other > score for other in known))
    spread = (sum((one - sum(known) / len(known)) ** 2 for one in known) / len(known)) ** 0.5
    return share * (score - min(known)) / max(spread, 1e-6)


@pytest.mark.parametrize("fuse", [fuse_scores, fuse_ranks])
@given(found())
def test_each_part_adds_what_its_list_says(fuse, given):
    hits, lists, weights = given
    added = fuse(hits, lists, weights)
    total = sum(weight for weight in weights if weight > 0)
    for row, scores in enumerate(hits):
        for part, (known, weight) in enumerate(zip(lists, weights, strict=True)):
            expected = by_hand(fuse, scores[part], known.tolist(), weight / total)
            assert added[row, part] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("fuse", [fuse_scores, fuse_ranks])
@given(found(), st.floats(1e-300, 1e300))
def test_only_the_proportion_of_weights_counts(fuse, given, factor):
    hits, lists, weights = given
    scaled = [weight * factor for weight in weights]
    assert fuse(hits, lists, scaled) == pytest.approx(fuse(hits, lists, weights), rel=1e-9)


@pytest.mark.parametrize("fuse", [fuse_scores, fuse_ranks])
@given(found())
def test_one_part_alone_keeps_its_order(fuse, given):
    hits, lists, _ = given
    added = fuse(hits[:, :1], lists[:1], [2.0])[:, 0]
    for one in range(len(hits)):
        for other in range(len(hits)):
            if hits[one, 0] > hits[other, 0]:
                assert added[one] >= added[other]


@pytest.mark.parametrize("fuse", [fuse_scores, fuse_ranks])
@given(found())
def test_what_is_taken_away_lowers_only_what_is_in_its_list(fuse, given):
    hits, lists, weights = given
    added = fuse(hits, lists, weights)
    for part, (known, weight) in enumerate(zip(lists, weights, strict=True)):
        if weight < 0:
            inside = hits[:, part] >= known.min()
            assert (added[~inside, part] == 0).all()
            assert (added[inside, part] <= 0).all()


@pytest.mark.parametrize("fuse", [fuse_scores, fuse_ranks])
@given(found(), st.randoms())
def test_the_order_of_parts_and_of_lists_does_not_matter(fuse, given, random):
    hits, lists, weights = given
    order = list(range(len(weights)))
    random.shuffle(order)
    shuffled = [np.array(random.sample(lists[part].tolist(), len(lists[part]))) for part in order]
    turned = fuse(hits[:, order], shuffled, [weights[part] for part in order])
    assert turned == pytest.approx(fuse(hits, lists, weights)[:, order], rel=1e-9, abs=1e-9)
    assert fuse_anew(hits[:, order], [weights[part] for part in order]) == pytest.approx(
        fuse_anew(hits, weights)[:, order], rel=1e-9, abs=1e-9
    )


@given(st.integers(0, 30), st.randoms())
def test_one_list_of_places_is_that_list(count, random):
    places = list(range(1, count + 1))
    random.shuffle(places)
    column = np.array(places, float).reshape(-1, 1)
    added = fuse_places(column, np.ones_like(column))[:, 0]
    assert np.argsort(-added, kind="stable").tolist() == np.argsort(places, kind="stable").tolist()
    two = np.concatenate([column, np.zeros_like(column)], axis=1)  # and a list in which nothing was found
    assert fuse_places(two, np.ones_like(two)).sum(axis=1) == pytest.approx(added / 2)


def test_the_first_of_all_lists_gets_one():
    lists = [np.array([0.9, 0.5, 0.1]), np.array([0.3, 0.2, 0.1])]
    hits = np.array([[0.9, 0.3], [0.9, 0.05], [0.5, 0.2]])
    assert fuse_ranks(hits, lists, [1.0, 1.0]).sum(axis=1) == pytest.approx([1.0, 0.5, 61 / 62])
    assert RRF_K == 60


def test_a_standard_deviation_is_the_unit_of_scores():
    known = np.array([0.1, 0.2, 0.3])
    assert fuse_scores(np.array([[0.3], [0.2], [0.05]]), [known], [1.0])[:, 0] == pytest.approx(
        [0.2 / known.std(), 0.1 / known.std(), 0]
    )


def test_a_part_that_found_nothing_adds_nothing():
    hits = np.array([[0.5, 0.5]])
    for fuse in (fuse_scores, fuse_ranks):
        assert fuse(hits, [np.array([0.5]), np.empty(0)], [1.0, 1.0])[0, 1] == 0
        assert fuse(hits[:0], [np.empty(0), np.empty(0)], [1.0, 1.0]).shape == (0, 2)


@given(found())
def test_ranking_anew_puts_parts_on_one_scale(given):
    hits, _, weights = given
    added = fuse_anew(hits, weights)
    assert added.sum(axis=0) == pytest.approx(np.zeros(len(weights)), abs=1e-6)
    changed = hits * np.arange(2, 2 + len(weights)) + 5
    for part in range(len(weights)):
        if hits[:, part].std() > 1e-3:
            assert fuse_anew(changed, weights)[:, part] == pytest.approx(added[:, part], abs=1e-6)


def test_places_are_fused_by_their_shares():
    places = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    shares = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.5], [1.0, 1.0]])
    assert fuse_places(places, shares).sum(axis=1) == pytest.approx([1.0, 6 / 7 / 2, 0.25, 0.0])
