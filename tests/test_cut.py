"""The relevance cut as numbers: what is seen of a query, the odds, where the line is, and which hits are kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retrieval.config import Cut
from retrieval.errors import OptionError
from retrieval.ranking import expected_calibration_error, fit_logistic, logistic
from retrieval.ranking.cut import BEST, DEPTH, NEAREST, Judge, Look, crowding, look

ZEROS = Look(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def judge(**changes) -> Judge:
    made = Judge(np.array([10.0, 0, 0, 0, 0, 0, 0]), -3.0, np.linspace(-4.0, 4.0, 401), (1.0, -0.5, 0.0), 0.3)
    return made._replace(**changes)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("none", Cut()),
        ("auto", Cut("auto", 0.05)),
        ("auto:0.01", Cut("auto", 0.01)),
        ("auto:.5", Cut("auto", 0.5)),
        ("0.3", Cut("score", 0.3)),
        ("-1", Cut("score", -1.0)),
        ("1e-3", Cut("score", 0.001)),
    ],
)
def test_cuts_are_read_and_printed(text: str, cut: Cut) -> None:
    assert Cut.parse(text) == cut
    assert Cut.parse(str(cut)) == cut


@pytest.mark.parametrize(
    "text", ["", "auto:", "auto:0", "auto:0.9", "auto:nan", "auto:x", "nan", "inf", "some", "None"]
)
def test_other_cuts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        Cut.parse(text)
    assert "--cut" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_look_is_what_it_says() -> None:
    near = np.array([[0.9, 0.5], [0.7, 0.1], [0.3, 0.2], [0.2, 0.2], [0.1, 0.1], [0.6, 0.5]])
    crowd = np.zeros(6)
    seen = look(np.array([0.5, 0.4, 0.3]), np.array([0.1, 0.2, 0.3]), 100, near, crowd, 0.1)
    assert seen.best == 0.5
    assert seen.five == pytest.approx(0.4)
    assert seen.mean == pytest.approx(0.2)
    assert seen.spread == pytest.approx(np.std([0.1, 0.2, 0.3]))
    assert seen.items == pytest.approx(np.log(100))
    assert seen.near == pytest.approx(near[:, 0].mean())
    assert seen.depth == pytest.approx(np.sort(crowding(near, 0.1))[:BEST].mean())


def test_there_is_nothing_to_see_without_hits() -> None:
    with pytest.raises(ValueError, match="nothing"):
        look(np.empty(0), np.ones(3), 3, np.ones((2, 2)), np.zeros(2), 0.1)


@given(
    arrays(np.float64, (4, 6), elements=st.floats(-1, 1)),
    st.floats(0.02, 0.5),
)
def test_crowding_lies_between_the_nearest_and_all_at_its_place(near: np.ndarray, heat: float) -> None:
    found = crowding(near, heat)
    most = near.max(axis=1)
    assert (found >= most - 1e-12).all()
    assert (found <= most + heat * np.log(6) + 1e-12).all()
    padded = np.concatenate([near, np.full((4, 2), -np.inf)], axis=1)
    assert crowding(padded, heat) == pytest.approx(found)


@given(st.floats(0.005, 0.5))
def test_the_line_is_crossed_by_the_stated_share_of_the_null(rate: float) -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-2, 1.5, 20_000)
    made = judge(null=np.quantile(odds, np.linspace(0, 1, 401)))
    assert (odds > made.least(rate)).mean() == pytest.approx(rate, abs=0.003)
    assert made.p_value(made.least(rate)) == pytest.approx(rate, abs=0.004)


@given(st.floats(-8, 8), arrays(np.float64, 12, elements=st.floats(-1, 0.5)))
def test_a_better_score_is_never_less_probable(odds: float, scores: np.ndarray) -> None:
    ordered = np.sort(scores)[::-1]
    chances = judge().chances(odds, ordered, ZEROS._replace(best=0.5, spread=0.1))
    assert (np.diff(chances) <= 1e-12).all()
    assert ((chances >= 0) & (chances <= 1)).all()


def test_odds_grow_with_the_best_score() -> None:
    assert judge().odds(ZEROS._replace(best=0.5)) > judge().odds(ZEROS._replace(best=0.4))
    assert judge().odds(ZEROS._replace(best=0.3)) == pytest.approx(0.0)


def test_fitting_finds_the_weights_that_labels_were_drawn_from() -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(60_000, 2)) * [1.0, 0.01] + [3.0, -2.0]
    true = rng.random(len(columns)) < logistic(columns @ [0.7, -80.0] - 160.0 - 2.0)
    weights, bias = fit_logistic(columns, true, ridge=1e-9)
    stated = logistic(columns @ weights + bias)
    assert weights == pytest.approx([0.7, -80.0], rel=0.06)
    assert expected_calibration_error(stated, true) < 0.01


def test_what_parts_without_a_fault_still_has_finite_weights() -> None:
    columns = np.concatenate([np.zeros(50), np.ones(50)])[:, None]
    weights, bias = fit_logistic(columns, columns[:, 0] > 0.5)
    assert np.isfinite([*weights, bias]).all()
    assert weights[0] > 0


@pytest.mark.parametrize("true", [np.zeros(5, bool), np.ones(5, bool)])
def test_fitting_needs_both_kinds(true: np.ndarray) -> None:
    with pytest.raises(ValueError, match="fitting needs"):
        fit_logistic(np.ones((5, 1)), true)


def test_what_a_collection_lacks_looks_emptier() -> None:
    """A query between two clusters of the background, of which a collection has both, one, or none."""
    rng = np.random.default_rng(2)
    here, there, elsewhere = (unit(rng.normal(size=(1, 16))) for _ in range(3))

    def cluster(middle: np.ndarray, count: int) -> np.ndarray:
        return unit(middle + 0.1 * rng.normal(size=(count, 16)))

    bank = np.concatenate([cluster(here, NEAREST), cluster(elsewhere, 200)])
    among = bank @ bank.T
    np.fill_diagonal(among, -np.inf)
    crowd = crowding(-np.sort(-among, axis=1)[:, :DEPTH].astype(np.float64), 0.1)

    def depth(collection: np.ndarray) -> float:
        near = -np.sort(-(bank[:NEAREST] @ collection.T), axis=1)[:, :DEPTH].astype(np.float64)
        scores = np.sort(collection @ here[0])[::-1].astype(np.float64)
        return look(scores, scores, len(collection), near, crowd[:NEAREST], 0.1).depth

    full, empty = (np.concatenate([cluster(one, 50), cluster(elsewhere, 50)]) for one in (here, there))
    assert depth(full) > depth(empty) + 0.1
