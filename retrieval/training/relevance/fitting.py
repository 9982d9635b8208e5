"""Fitting the judges of a model to queries with known answers, and measuring them on others."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking import expected_calibration_error, fit_logistic, logistic
from retrieval.ranking.cut import Judge, Look
from retrieval.training.relevance.draws import Asked, Sort

QUANTILES = 401
VAIN: tuple[tuple[Sort, ...], ...] = (("missing caption", "missing picture"), ("name",), ("missing word",))
"""Sorts of queries that the null is made of, with equal weight each; nonsense would make it too easy."""
_KEEPS = np.arange(0.1, 0.9, 0.05)
_MOST_ROWS = 200_000


class Quality(NamedTuple):
    """How good a judge is on queries about things that it was not fitted with.

    ``detected``: the share of queries with an answer that are answered, when 5 % of those without one are;
    ``false_alarms``: the share of those without an answer that are answered at the judge's own threshold for 5 %,
    ``detected_there`` the share of those with one; ``nonsense``: the share of nonsense that is not answered there.
    ``auc``: the area under the ROC curve. ``ece`` and ``ece_of_hits``: expected calibration error of the chances of
    queries and of hits. ``precision`` and ``recall`` are of the hits kept for answered queries, among the 50 best.
    """

    queries: int
    auc: float
    detected: float
    false_alarms: float
    detected_there: float
    nonsense: float
    ece: float
    ece_of_hits: float
    precision: float
    recall: float

    def told(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return {name: round(float(value), 4) for name, value in self._asdict().items()}


def fit_judge(folds: Sequence[Asked]) -> Judge:
    """Fit a judge to queries; each fold is about other things, and makes the null of a judge fitted to the others.

    Raises:
        ValueError: the folds do not hold queries of both kinds.
    """
    in_vain = []
    for place, fold in enumerate(folds):
        others = Asked.joined([one for other, one in enumerate(folds) if other != place])
        weights, bias = _fit(others)
        in_vain.append(fold.looks @ weights + bias)
    everything = Asked.joined(folds)
    weights, bias = _fit(everything)
    null = null_of(everything, np.concatenate(in_vain))
    judge = Judge(weights, bias, null, (1.0, 0.0, 0.0), 0.5)
    judge = judge._replace(hits=_fit_hits(everything, judge))
    return judge._replace(keep=_best_keep(everything, judge))


def null_of(asked: Asked, odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return quantiles of the odds of queries that ask in vain, each group of sorts weighing the same."""
    groups = [odds[asked.of(*sorts)] for sorts in VAIN]
    groups = [group for group in groups if len(group)]
    weights = np.concatenate([np.full(len(group), 1.0 / len(group)) for group in groups])
    values = np.concatenate(groups)
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return np.interp(np.linspace(0.0, 1.0, QUANTILES), reached, values[order])


def measure(judge: Judge, asked: Asked, false_alarms: float = 0.05) -> Quality:
    """Measure a judge on queries it was not fitted to."""
    odds = asked.looks @ judge.weights + judge.bias
    null, yes = null_of(asked, odds), odds[asked.true]
    least, own = judge.least(false_alarms), float(np.interp(1 - false_alarms, np.linspace(0, 1, len(null)), null))
    chances, right = hit_table(judge, asked, odds)
    answered = asked.true & (odds > least) & asked.judged
    first = np.arange(asked.scores.shape[1])[None] == 0
    kept = (_chances_of_hits(judge, asked, odds) >= judge.keep) | first
    kept &= answered[:, None] & np.isfinite(asked.scores)
    hits = int((kept & asked.right).sum())
    vain = ~asked.true & ~asked.of("nonsense")
    return Quality(
        queries=len(odds),
        auc=float(np.mean([np.searchsorted(null, value) / len(null) for value in yes])),
        detected=float((yes > own).mean()),
        false_alarms=float(np.mean(null > least)),
        detected_there=float((yes > least).mean()),
        nonsense=float((odds[asked.of("nonsense")] <= least).mean()) if asked.of("nonsense").any() else 1.0,
        ece=expected_calibration_error(*_even(logistic(odds), asked.true, vain)),
        ece_of_hits=expected_calibration_error(chances, right),
        precision=hits / max(int(kept.sum()), 1),
        recall=hits / max(int((asked.right & answered[:, None]).sum()), 1),
    )


def hit_table(judge: Judge, asked: Asked, odds: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the chances of all hits that were judged, ``(h,)``, and which are right."""
    there = np.isfinite(asked.scores) & asked.judged[:, None]
    return _chances_of_hits(judge, asked, odds)[there], asked.right[there]


def _even(
    chances: NDArray[np.float64], true: NDArray[np.bool_], vain: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return as many queries with an answer as without."""
    rng = np.random.default_rng(0)
    count = min(int(true.sum()), int(vain.sum()))
    chosen = np.concatenate([rng.choice(np.flatnonzero(one), count, replace=False) for one in (true, vain)])
    return chances[chosen], true[chosen]


def _fit(asked: Asked) -> tuple[NDArray[np.float64], float]:
    """Fit the odds, as many queries with an answer as without, so that a chance of a half means what it says."""
    rng = np.random.default_rng(0)
    count = min(int(asked.true.sum()), int((~asked.true).sum()))
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(one), count, replace=False) for one in (asked.true, ~asked.true)]
    )
    return fit_logistic(asked.looks[chosen], asked.true[chosen])


def _gaps(asked: Asked) -> NDArray[np.float64]:
    best, spread = (asked.looks[:, Look._fields.index(name)] for name in ("best", "spread"))
    gaps: NDArray[np.float64] = np.maximum(best[:, None] - asked.scores, 0.0) / np.maximum(spread, 1e-6)[:, None]
    return gaps


def _fit_hits(asked: Asked, judge: Judge) -> tuple[float, float, float]:
    from retrieval.ranking.cut import MOST_ODDS

    odds = np.clip(asked.looks @ judge.weights + judge.bias, -MOST_ODDS, MOST_ODDS)
    there = np.isfinite(asked.scores) & asked.judged[:, None]
    columns = np.stack([np.broadcast_to(odds[:, None], there.shape)[there], _gaps(asked)[there]], axis=1)
    right = asked.right[there]
    chosen = np.random.default_rng(0).permutation(len(right))[:_MOST_ROWS]
    weights, bias = fit_logistic(columns[chosen], right[chosen], ridge=1e-6)
    return float(weights[0]), min(float(weights[1]), 0.0), bias


def _chances_of_hits(judge: Judge, asked: Asked, odds: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = []
    for row, (value, scores) in enumerate(zip(odds, asked.scores, strict=True)):
        seen = Look(*asked.looks[row].tolist())
        rows.append(judge.chances(float(value), np.where(np.isfinite(scores), scores, -1.0), seen))
    return np.array(rows)


def _best_keep(asked: Asked, judge: Judge) -> float:
    """Return the chance from which on keeping hits has the best mean F1 over the queries that are answered."""
    odds = asked.looks @ judge.weights + judge.bias
    answered = asked.true & (odds > judge.least(0.05)) & asked.judged & asked.right.any(axis=1)
    chances = _chances_of_hits(judge, asked, odds)[answered]
    right = asked.right[answered]
    first = np.arange(right.shape[1])[None] == 0

    def f1(keep: float) -> float:
        kept = (chances >= keep) | first
        hits = (kept & right).sum(axis=1)
        return float((2 * hits / (kept.sum(axis=1) + right.sum(axis=1))).mean())

    return float(max(_KEEPS, key=f1))
