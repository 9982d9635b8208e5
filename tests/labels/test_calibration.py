"""Platt scaling, expected calibration error, and the file that holds a calibration."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from retrieval.config import ModelSpec, Preprocessing
from retrieval.errors import OptionError
from retrieval.labels.calibration import (
    Calibration,
    Quality,
    builtin_calibration,
    fit_platt,
    read_calibration,
)
from retrieval.labels.text_vectors import prompts_digest
from retrieval.ranking import expected_calibration_error, logistic

QUALITY = Quality(5, 7, 0.2, 0.01, 0.3, 0.05, 0.4)
SPEC = ModelSpec("m", 3, "ab" * 32, Preprocessing(8, 8))


def made(**changes: object) -> Calibration:
    centre = np.array([0.25, -0.5, 0.125], dtype=np.float32)
    plain = Calibration("m", SPEC.digest, prompts_digest(), 9.5, -5.25, centre, 10, QUALITY)
    return plain._replace(**changes)  # type: ignore[arg-type]


@settings(max_examples=10, deadline=None)
@given(st.floats(1.0, 20.0), st.floats(-6.0, 2.0))
def test_fitting_finds_the_logistic_function_the_labels_were_drawn_from(slope: float, bias: float) -> None:
    rng = np.random.default_rng(5)
    scores = rng.uniform(-1, 1, 20_000)
    true = rng.uniform(size=len(scores)) < logistic(slope * scores + bias)
    found = fit_platt(scores, true)
    chances, wanted = logistic(found[0] * scores + found[1]), logistic(slope * scores + bias)
    assert np.abs(chances - wanted).mean() < 0.02


def test_the_mean_chance_is_the_share_of_true_ones() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=5000)
    true = scores + rng.normal(size=5000) > 2
    slope, bias = fit_platt(scores, true)
    assert logistic(slope * scores + bias).mean() == pytest.approx(true.mean(), abs=1e-3)


def test_scores_without_a_fault_have_a_finite_slope() -> None:
    slope, bias = fit_platt(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert 0 < slope < 1000
    # Platt's targets for two and two are 3/4 and 1/4, so no chance lies beyond them by much.
    assert logistic(np.array([slope * 0.5 + bias]))[0] == pytest.approx(0.5, abs=1e-6)


def test_a_score_far_off_does_not_make_the_fit_diverge() -> None:
    scores = np.concatenate([np.linspace(0, 1, 50), [1e4]])
    true = np.concatenate([np.linspace(0, 1, 50) > 0.5, [False]])
    assert np.isfinite(fit_platt(scores, true)).all()


@pytest.mark.parametrize("true", [[True, True], [False, False]])
def test_fitting_wants_true_and_false(true: list[bool]) -> None:
    with pytest.raises(ValueError, match="true"):
        fit_platt(np.array([0.1, 0.2]), np.array(true))


def test_calibration_error_of_a_case_worked_out_by_hand() -> None:
    # Bins of 1/15: 0.05 is in the first (0 of 2 true), 0.95 in the last (1 of 2 true).
    chances = np.array([0.05, 0.05, 0.95, 0.95])
    true = np.array([False, False, True, False])
    assert expected_calibration_error(chances, true) == pytest.approx((2 * 0.05 + 2 * 0.45) / 4)


def test_calibration_error_of_chances_that_come_true_is_nothing() -> None:
    assert expected_calibration_error(np.array([1.0, 0.0, 1.0]), np.array([True, False, True])) == 0.0
    assert expected_calibration_error(np.full(4, 0.25), np.array([True, False, False, False])) == 0.0
    assert expected_calibration_error(np.empty(0), np.empty(0, dtype=bool)) == 0.0


@settings(deadline=None)
@given(
    hnp.arrays(np.float64, 30, elements=st.floats(0, 1)),
    hnp.arrays(np.bool_, 30),
    st.permutations(range(30)),
)
def test_calibration_error_is_bounded_and_knows_no_order(
    chances: np.ndarray, true: np.ndarray, order: list[int]
) -> None:
    found = expected_calibration_error(chances, true)
    assert 0.0 <= found <= 1.0
    assert expected_calibration_error(chances[order], true[order]) == pytest.approx(found)


@settings(deadline=None)
@given(st.floats(-1e4, 1e4))
def test_the_logistic_function_is_its_definition_without_overflow(value: float) -> None:
    found = float(logistic(np.array([value]))[0])
    wanted = 1 / (1 + math.exp(-value)) if value > -700 else 0.0
    assert found == pytest.approx(wanted, abs=1e-12)


def test_probabilities_rise_with_cosines_and_are_measured_from_the_centre() -> None:
    pictures = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    found = made().probabilities(pictures, np.array([[0.1, 0.5], [0.1, 0.5]], dtype=np.float32))
    assert found.shape == (2, 2)
    assert (found[:, 1] > found[:, 0]).all()
    # The first picture is 0.25 above the centre's plane, the second 0.5 below it.
    assert found[0, 1] == pytest.approx(1 / (1 + math.exp(-(9.5 * 0.25 - 5.25))), rel=1e-5)
    assert found[1, 1] == pytest.approx(1 / (1 + math.exp(-(9.5 * 1.0 - 5.25))), rel=1e-5)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "made.json"
    path.write_text(json.dumps(made().to_json()))
    found = read_calibration(path)
    assert found._replace(centre=None) == made()._replace(centre=None)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.centre, made().centre)


def test_a_calibration_fits_its_model_and_prompts_alone() -> None:
    assert made().fits(SPEC)
    assert not made(digest="cd" * 32).fits(SPEC)
    assert not made(prompts="other").fits(SPEC)
    assert not made(centre=np.zeros(4, dtype=np.float32)).fits(SPEC)


def test_the_shipped_calibration_can_be_read() -> None:
    found = builtin_calibration()
    assert found is not None
    assert found.slope > 0
    assert found.quality.ece_after < found.quality.ece_before
    assert found.prompts == prompts_digest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "not a calibration"),
        ("{}", "not a calibration"),
        (json.dumps({**made().to_json(), "format": 2}), "not a calibration"),
        (json.dumps({**made().to_json(), "quality": {}}), "not a calibration"),
        (json.dumps({**made().to_json(), "slope": -1}), "make no sense"),
        (json.dumps({**made().to_json(), "slope": float("nan")}), "make no sense"),
        (json.dumps({**made().to_json(), "centre": [[1.0]]}), "make no sense"),
        (json.dumps({**made().to_json(), "centre": ["x"]}), "not a calibration"),
    ],
)
def test_files_that_are_no_calibration_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(OptionError, match=said) as caught:
        read_calibration(path)
    assert "retrieval.labels.calibrate" in str(caught.value)


def test_a_missing_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        read_calibration(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text", ["[" * 200_000, json.dumps({**made().to_json(), "fitted": float("inf")})], ids=["deep", "endless"]
)
def test_a_calibration_that_breaks_its_reader_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(OptionError, match="is not"):
        read_calibration(path)
