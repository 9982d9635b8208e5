"""How sure a figure is: bootstrap intervals over pictures, and tests of two runs of the same queries.

Queries of one picture are not independent, so whole units (pictures in general) are drawn or exchanged, never single
captions. Equal seeds give equal results.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
"""The lower and the upper end of a 95 % interval."""
Values = NDArray[np.float64]
Units = NDArray[np.int64]

_BLOCK = 256


class Difference(NamedTuple):
    """How the means of two runs differ: ``difference`` is ours minus theirs, ``p`` that of a two-sided test."""

    ours: float
    theirs: float
    difference: float
    interval_95: Interval
    p: float


def bootstrap(
    means: Mapping[str, Values],
    units: Units,
    *,
    medians: Mapping[str, Values] | None = None,
    folds: Units | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the 95 % percentile bootstrap interval of means and medians over queries (Efron, 1979).

    Each array is ``(q,)``, a value of each query; ``units`` ``(q,)`` says to which unit a query belongs. With ``folds``
    ``(q,)`` the statistic is the mean over folds of each fold's mean or median. (0, 0) when there are no queries.
    """
    names = [*means, *(medians or {})]
    if not len(units):
        return dict.fromkeys(names, (0.0, 0.0))
    place = np.unique(units, return_inverse=True)[1]
    count = int(place.max()) + 1
    groups = _groups(folds, len(units))
    averaged = [_UnitMeans(place[group], count, [values[group] for values in means.values()]) for group in groups]
    middles = [[_SortedMedian(values[group], place[group]) for group in groups] for values in (medians or {}).values()]
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, len(names)))
    for draw in range(draws):
        chosen = np.bincount(rng.integers(count, size=count), minlength=count)
        drawn[draw, : len(means)] = np.mean([fold.of(chosen) for fold in averaged], axis=0)
        drawn[draw, len(means) :] = [np.mean([fold.of(chosen) for fold in one]) for one in middles]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return {name: (float(low[at]), float(high[at])) for at, name in enumerate(names)}


def compare_means(ours: Values, theirs: Values, units: Units, *, draws: int = 10_000, seed: int = 0) -> Difference:
    """Compare the means of two runs of the same queries, ``(q,)`` each, in the same order.

    The interval is the percentile bootstrap of the difference over units. The p-value is that of the paired
    randomisation test (Noreen, 1989; for retrieval Smucker, Allan and Carterette, CIKM 2007): were the runs alike, the
    two results of a unit could as well be exchanged; p is the share of ``draws`` random exchanges that part the means
    at least as far, the one seen counted among them.
    """
    place = np.unique(units, return_inverse=True)[1]
    apart: Values = np.bincount(place, weights=ours - theirs).astype(np.float64)
    sizes = np.bincount(place).astype(np.float64)
    seen = float(apart.sum() / sizes.sum())
    return Difference(
        float(ours.mean()),
        float(theirs.mean()),
        seen,
        _difference_interval(apart, sizes, draws, seed),
        _randomised_p(apart, draws, seed),
    )


def _difference_interval(apart: Values, sizes: Values, draws: int, seed: int) -> Interval:
    rng = np.random.default_rng(seed)
    drawn = []
    for start in range(0, draws, _BLOCK):
        chosen = rng.integers(len(apart), size=(min(_BLOCK, draws - start), len(apart)))
        drawn.append(apart[chosen].sum(axis=1) / sizes[chosen].sum(axis=1))
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5])
    return float(low), float(high)


def _randomised_p(apart: Values, draws: int, seed: int) -> float:
    """Exchange units at random; those that do not differ change nothing and are left out."""
    apart = apart[apart != 0]
    if not len(apart):
        return 1.0
    seen = abs(float(apart.sum())) - 1e-9 * float(np.abs(apart).sum())  # sums of floats depend on their order
    rng = np.random.default_rng(seed + 1)
    reached = 0
    for start in range(0, draws, _BLOCK):
        signs = rng.integers(2, size=(min(_BLOCK, draws - start), len(apart))) * 2 - 1
        reached += int(np.count_nonzero(np.abs(signs @ apart) >= seen))
    return (1 + reached) / (1 + draws)


def _groups(folds: Units | None, queries: int) -> list[NDArray[np.int64]]:
    if folds is None:
        return [np.arange(queries)]
    return [np.flatnonzero(folds == fold) for fold in np.unique(folds)]


class _UnitMeans:
    """Means of several measures, from sums over each unit."""

    def __init__(self, place: NDArray[np.intp], count: int, values: list[Values]) -> None:
        sums = [np.bincount(place, weights=one, minlength=count) for one in values]
        self._sums = np.stack(sums, axis=1) if sums else np.empty((count, 0))
        self._sizes = np.bincount(place, minlength=count).astype(np.float64)

    def of(self, chosen: NDArray[np.int64]) -> Values:
        """Return the means when each unit is taken so many times; 0 when none of them is."""
        means: Values = (chosen @ self._sums) / max(float(chosen @ self._sizes), 1.0)
        return means


class _SortedMedian:
    """The median of one measure, from values in rising order."""

    def __init__(self, values: Values, place: NDArray[np.intp]) -> None:
        order = np.argsort(values, kind="stable")
        self._rising, self._place = values[order], place[order]

    def of(self, chosen: NDArray[np.int64]) -> float:
        """Return the median when each unit is taken so many times."""
        total = np.cumsum(chosen[self._place])
        middle = np.searchsorted(total, [(total[-1] + 1) // 2, total[-1] // 2 + 1])
        return float(self._rising[np.minimum(middle, len(total) - 1)].mean())
