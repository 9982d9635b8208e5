"""Pure measures of retrieval: where right rows stand with ties against the model, and what that is worth.

Which gallery rows are right for which query rows is given as pairs, ``(p, 2) int64``: (query row, gallery row). A query
may have many right rows or none. Scores are worked out block by block, so 25,000 queries against 5,000 rows need no
more memory than one block.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.evaluation.significance import Interval, bootstrap
from retrieval.types import FloatMatrix

TIE = 1e-6
"""Scores nearer to one another than this are ties: single precision says nothing below it."""
DEPTHS = (1, 5, 10)
"""The k of recall@k."""
MEDIAN = "median_rank"
_BLOCK_BYTES = 64 * 2**20
_FEW = 32

Pairs = NDArray[np.int64]
Ranks = NDArray[np.int64]
Values = NDArray[np.float64]


class Rankings(NamedTuple):
    """Where the right rows of ``q`` queries stand.

    Those of query ``i`` are ``starts[i]`` to ``starts[i + 1]`` of ``ranks`` ``(p,) int64``, which ascend within each
    query, and of ``grades`` ``(p,) float64``, how relevant they are (1 unless graded). A rank above ``gallery``, the
    number of rows, is never found. ``best`` ``(q,) int64`` is the rank of the best right row, ``never(gallery)`` where
    there is none.
    """

    starts: NDArray[np.int64]
    ranks: Ranks
    grades: Values
    best: Ranks
    gallery: int


class First(NamedTuple):
    """The first rows that each query found, best first: ``rows`` ``(q, n) int64`` with their ``scores`` ``(q, n)``."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def rank_all(
    queries: FloatMatrix, gallery: FloatMatrix, pairs: Pairs, grades: Values | None = None, *, shown: int = 0
) -> tuple[Rankings, First]:
    """Rank ``(g, dim)`` gallery rows for ``(q, dim)`` queries by inner product, from 1, and keep the first ``shown``.

    Ties count against the model: a right row stands behind the wrong rows that score as high within ``TIE``, and of two
    right rows that tie the less relevant one comes first; so vectors that are all alike find nothing. A wrong row that
    is not a number is above every right one, a right row that is not a number, or is no row at all (-1), never found.
    """
    block = block_rows(len(gallery))

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(queries), block):
            with np.errstate(invalid="ignore"):
                yield queries[start : start + block] @ gallery.T

    return rank_blocks(blocks(), (len(queries), len(gallery)), pairs, grades, shown=shown)


def rank_blocks(
    blocks: Iterable[NDArray[np.float32]],
    size: tuple[int, int],
    pairs: Pairs,
    grades: Values | None = None,
    *,
    shown: int = 0,
) -> tuple[Rankings, First]:
    """Rank as ``rank_all`` does, from scores: blocks of rows, ``(b, g)`` each, ``size`` = (q, g) in all."""
    queries, gallery = size
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    given = np.ones(len(pairs)) if grades is None else np.asarray(grades, np.float64)[order]
    ordered = pairs[order]
    starts = np.searchsorted(ordered[:, 0], np.arange(queries + 1))
    rankings = Rankings(
        starts,
        np.empty(len(ordered), np.int64),
        given.copy(),
        np.full(queries, never(gallery), np.int64),
        gallery,
    )
    width = min(shown, gallery)
    first = First(np.empty((queries, width), np.int64), np.empty((queries, width), np.float32))
    for place, row in enumerate(row for block in blocks for row in block):
        part = slice(starts[place], starts[place + 1])
        _rank_row(row, ordered[part, 1], part, place, rankings)
        if width:
            _keep_first(row, ordered[part, 1], place, first)
    return rankings, first


def block_rows(gallery: int) -> int:
    """Return for how many queries the scores of a gallery of that size are held at once."""
    return max(1, _BLOCK_BYTES // max(1, 4 * gallery))


def best_ranks(queries: FloatMatrix, gallery: FloatMatrix, pairs: Pairs) -> Ranks:
    """Return the ``(q,) int64`` rank of each query's best right row among all ``(g, dim)`` gallery rows, from 1.

    Ties count against the model, as ``rank_all`` says. A query without a right row has the rank ``never(g)``.
    """
    return rank_all(queries, gallery, pairs)[0].best


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
    means = {f"R@{k}": np.where(ranks <= k, 100.0, 0.0) for k in DEPTHS}
    return bootstrap(means, units, medians={MEDIAN: ranks.astype(np.float64)}, draws=draws, seed=seed)


def _rank_row(row: NDArray[np.float32], right: NDArray[np.int64], part: slice, place: int, into: Rankings) -> None:
    """Write the ranks of one query's right rows; ``row`` ``(g,)`` holds its scores, ``part`` is their place."""
    if not len(right):
        return
    there = right[right >= 0]
    least = np.full(len(right), -np.inf, np.float32)
    least[right >= 0] = np.where(np.isnan(row[there]), -np.inf, row[there] - np.float32(TIE))
    others = np.where(np.isnan(row), np.float32(np.inf), row)
    others[there] = -np.inf
    order = np.lexsort((into.grades[part], -least))
    least = least[order]
    ranks = 1 + _count_from(others, least) + np.arange(len(right))
    ranks[np.isneginf(least)] = never(into.gallery)
    grades = into.grades[part][order]
    into.ranks[part], into.best[place] = ranks, ranks[0]
    into.grades[part] = grades[np.lexsort((grades, _tied_groups(least)))]


def _tied_groups(falling: NDArray[np.float32]) -> NDArray[np.int64]:
    """Number falling values by groups of neighbours that tie."""
    with np.errstate(invalid="ignore"):
        return np.cumsum(~(np.diff(falling, prepend=falling[0]) >= -TIE), dtype=np.int64)


def _count_from(scores: NDArray[np.float32], least: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return how many scores reach each value of ``least``."""
    if len(least) <= _FEW:
        return np.asarray((scores >= least[:, None]).sum(axis=1), np.int64)
    return np.asarray(len(scores) - np.searchsorted(np.sort(scores), least), np.int64)


def _keep_first(row: NDArray[np.float32], right: NDArray[np.int64], place: int, into: First) -> None:
    """Write the first rows of one query, in the order that its ranks count in."""
    width = into.rows.shape[1]
    is_right = np.zeros(len(row), dtype=np.bool_)
    is_right[right[right >= 0]] = True
    lowered = np.where(np.isnan(row), np.where(is_right, -np.inf, np.inf), row - np.float32(TIE) * is_right)
    edge = np.partition(lowered, len(row) - width)[len(row) - width]
    near = np.flatnonzero(lowered >= edge)
    chosen = near[np.lexsort((near, is_right[near], -lowered[near]))[:width]]
    into.rows[place], into.scores[place] = chosen, row[chosen]
