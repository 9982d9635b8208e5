"""Pure measures of retrieval: ranks with ties against the model, recall, median rank, bootstrap intervals.

Which gallery rows are right for which query rows is given as pairs, ``(p, 2) int64``: (query row, gallery row). A query
may have many right rows or none. Scores are worked out block by block, so 25,000 queries against 5,000 rows need no
more memory than one block.
"""

import numpy as np
from numpy.typing import NDArray

from retrieval.types import FloatMatrix

TIE = 1e-6
"""Scores nearer to one another than this are ties: single precision says nothing below it."""
DEPTHS = (1, 5, 10)
"""The k of recall@k."""
MEDIAN = "median_rank"
_BLOCK_BYTES = 64 * 2**20

Pairs = NDArray[np.int64]
Ranks = NDArray[np.int64]
Interval = tuple[float, float]


def best_ranks(queries: FloatMatrix, gallery: FloatMatrix, pairs: Pairs) -> Ranks:
    """Return the ``(q,) int64`` rank of each query's best right row among all ``(g, dim)`` gallery rows, from 1.

    Ties count against the model: the rank is 1 + the number of wrong rows that score as high as the best right one,
    within ``TIE``, so vectors that are all alike find nothing. A row that is not a number is above every right one. A
    query without a right row has the rank ``never(g)``.
    """
    order = np.argsort(pairs[:, 0], kind="stable")
    sorted_pairs = pairs[order]
    block = max(1, _BLOCK_BYTES // max(1, 4 * len(gallery)))
    ranks = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), block):
        rows = queries[start : start + block]
        low, high = np.searchsorted(sorted_pairs[:, 0], [start, start + len(rows)])
        scores = rows @ gallery.T
        ranks[start : start + len(rows)] = _ranks(scores, sorted_pairs[low:high] - (start, 0))
    return ranks


def never(gallery: int) -> int:
    """Return the rank of what is never found: behind all rows of the gallery, and behind every k that is measured."""
    return max(gallery, *DEPTHS) + 1


def figures(ranks: Ranks) -> dict[str, float]:
    """Return ``R@1``, ``R@5``, ``R@10`` (share of queries with a right row among the first k, in per cent) and
    ``median_rank``; all 0 when there are no queries.
    """
    if not len(ranks):
        return dict.fromkeys([*(f"R@{k}" for k in DEPTHS), MEDIAN], 0.0)
    found = {f"R@{k}": 100.0 * float(np.mean(ranks <= k)) for k in DEPTHS}
    return {**found, MEDIAN: float(np.median(ranks))}


def intervals(ranks: Ranks, units: NDArray[np.int64], *, draws: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Return the 95 % percentile bootstrap interval of each of ``figures`` (Efron, Annals of Statistics, 1979).

    ``units`` ``(q,)`` says to which unit each query belongs, a picture in general: whole units are drawn with
    replacement, since captions of one picture are not independent. The gallery stays as it is. Equal seeds give equal
    intervals.
    """
    if not len(ranks):
        return dict.fromkeys(figures(ranks), (0.0, 0.0))
    order = np.argsort(ranks, kind="stable")
    rising = ranks[order].astype(np.float64)
    _, place = np.unique(units[order], return_inverse=True)
    count = int(place.max()) + 1
    below = {f"R@{k}": int(np.searchsorted(rising, k, side="right")) for k in DEPTHS}
    drawn: dict[str, list[float]] = {name: [] for name in [*below, MEDIAN]}
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        chosen = np.bincount(rng.integers(count, size=count), minlength=count)
        total = np.cumsum(chosen[place])
        for name, cut in below.items():
            drawn[name].append(100.0 * float(total[cut - 1]) / float(total[-1]) if cut else 0.0)
        middle = np.searchsorted(total, [(total[-1] + 1) // 2, total[-1] // 2 + 1])
        drawn[MEDIAN].append(float(rising[middle].mean()))
    return {name: _outer(values) for name, values in drawn.items()}


def _outer(values: list[float]) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _ranks(scores: NDArray[np.float32], pairs: Pairs) -> Ranks:
    """Rank one block of ``(q, g)`` scores; ``pairs`` are relative to the block."""
    query, right = pairs[:, 0], pairs[:, 1]
    of_pairs = np.nan_to_num(scores[query, right], nan=-np.inf)
    best = np.full(len(scores), -np.inf, dtype=np.float32)
    np.maximum.at(best, query, of_pairs)
    above = ~(scores < (best - np.float32(TIE))[:, None])  # so that a NaN is above
    above[query, right] = False
    ranks: Ranks = 1 + above.sum(axis=1, dtype=np.int64)
    ranks[np.isneginf(best)] = never(scores.shape[1])
    return ranks
