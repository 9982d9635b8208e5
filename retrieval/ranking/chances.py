"""From numbers to probabilities: logistic functions, fitting them, and how well they are calibrated."""

import numpy as np
from numpy.typing import NDArray

BINS = 15
_ROUNDS = 100
_CLOSE = 1e-9


def logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``1 / (1 + exp(-x))``, without overflow."""
    half: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * values))
    return half


def fit_logistic(
    columns: NDArray[np.float64], true: NDArray[np.bool_], ridge: float = 1e-3
) -> tuple[NDArray[np.float64], float]:
    """Return the weights ``(f,)`` and the bias that make ``true`` ``(n,)`` most likely given ``columns`` ``(n, f)``.

    Logistic regression by Newton's method, with a penalty of ``ridge * n`` on the squared weights of the columns scaled
    to a spread of 1.

    Raises:
        ValueError: all are true, or none is.
    """
    if true.all() or not true.any():
        raise ValueError("fitting needs some that are true and some that are not")
    middle, spread = columns.mean(axis=0), columns.std(axis=0) + 1e-12
    scaled = np.column_stack([(columns - middle) / spread, np.ones(len(columns))])
    penalty = ridge * len(columns) * np.eye(scaled.shape[1])
    penalty[-1, -1] = 0.0
    found = np.zeros(scaled.shape[1])
    for _ in range(_ROUNDS):
        chance = logistic(scaled @ found)
        gradient = scaled.T @ (chance - true) + penalty @ found
        curvature = (scaled * (chance * (1 - chance))[:, None]).T @ scaled + penalty
        step = np.linalg.solve(curvature + _CLOSE * np.eye(len(found)), gradient)
        found = found - step
        if np.abs(step).max() < _CLOSE:
            break
    weights = found[:-1] / spread
    return weights, float(found[-1] - middle @ weights)


def expected_calibration_error(chances: NDArray[np.float64], true: NDArray[np.bool_], bins: int = BINS) -> float:
    """Return the mean distance of stated chance and share of true ones, over ``bins`` equal bins weighted by count.

    The expected calibration error of Naeini, Cooper and Hauskrecht (AAAI 2015); 0 when there is nothing.
    """
    if not chances.size:
        return 0.0
    place = np.minimum((chances.ravel() * bins).astype(np.int64), bins - 1)
    stated = np.bincount(place, weights=chances.ravel(), minlength=bins)
    came = np.bincount(place, weights=true.ravel().astype(np.float64), minlength=bins)
    return float(np.abs(stated - came).sum() / chances.size)
