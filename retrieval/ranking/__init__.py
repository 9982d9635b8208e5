"""Pure ranking: numbers in, numbers out. Nothing here reads files or a collection."""

from retrieval.ranking.chances import BINS, expected_calibration_error, fit_logistic, logistic
from retrieval.ranking.mixing import (
    MAX_PROBES,
    Embedded,
    Mix,
    Modality,
    best_scores,
    blend,
    mix,
    shares,
    spread,
    thin,
)
from retrieval.ranking.moments import BRIDGE_S, MAX_MOMENT_S, TOLERANCE, Moment, moments

__all__ = [
    "BINS",
    "BRIDGE_S",
    "MAX_MOMENT_S",
    "MAX_PROBES",
    "TOLERANCE",
    "Embedded",
    "Mix",
    "Modality",
    "Moment",
    "best_scores",
    "blend",
    "expected_calibration_error",
    "fit_logistic",
    "logistic",
    "mix",
    "moments",
    "shares",
    "spread",
    "thin",
]
