"""Two runs of the same queries, measure by measure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retrieval.errors import DatasetError
from retrieval.evaluation.measures import Rankings
from retrieval.evaluation.notation import Measure, values
from retrieval.evaluation.results import Asked, read_dump
from retrieval.evaluation.significance import Difference, compare_means
from retrieval.messages import _

_NOWHERE = 2**40
_DECIMALS = 4
_BEST_ONLY = frozenset({"R", "Success", "RR", "mean_rank"})

_Key = tuple[str, str, tuple[str, ...]]


class Comparison(NamedTuple):
    """How this run differs from the one in ``path``: by direction and measure. Shares are per cent."""

    path: Path
    differences: dict[str, dict[Measure, Difference]]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "file": str(self.path),
            **{
                direction: {
                    str(measure): {
                        "this": round(one.ours, _DECIMALS),
                        "other": round(one.theirs, _DECIMALS),
                        "difference": round(one.difference, _DECIMALS),
                        "interval_95": [round(end, _DECIMALS) for end in one.interval_95],
                        "p": round(one.p, 6),
                    }
                    for measure, one in found.items()
                }
                for direction, found in self.differences.items()
            },
        }


def compare_with(path: Path, ours: Sequence[Asked], measures: Sequence[Measure]) -> Comparison:
    """Compare a run with an earlier one that was dumped to ``path``, direction by direction.

    The median rank is left out, since the test is one of means. Captions of one picture count together.

    Raises:
        DatasetError: the file cannot be read, holds other queries, or lacks what a measure needs.
    """
    theirs = read_dump(path)
    pairs = _paired(path, ours, theirs)
    wanted = [measure for measure in measures if measure.name != "median_rank"]
    found: dict[str, dict[Measure, Difference]] = {}
    for direction in dict.fromkeys(one.direction for one in ours):
        these = [(one, other) for one, other in pairs if one.direction == direction]
        units = np.unique([_unit(one) for one, _ in these], return_inverse=True)[1]
        first, second = rankings_of([one for one, _ in these]), rankings_of([other for _, other in these])
        best_only = any(one.ranks is None and len(one.relevant) > 1 for pair in these for one in pair)
        usable = [measure for measure in wanted if measure.name in _BEST_ONLY or not best_only]
        if len(usable) < len(wanted):
            lacking = next(measure for measure in wanted if measure not in usable)
            raise DatasetError(
                _(
                    "{path}, or this run, knows only the best right row of each query, which is too "
                    "little for {lacking}"
                ).format(path=path, lacking=lacking)
            )
        found[direction] = {
            measure: compare_means(values(measure, first), values(measure, second), units) for measure in usable
        }
    return Comparison(path, found)


def rankings_of(asked: Sequence[Asked]) -> Rankings:
    """Return where the right rows of recorded queries stand; those that are not found stand beyond any gallery."""
    rows = [_ranks(one) for one in asked]
    starts = np.cumsum([0, *map(len, rows)])
    ranks = np.fromiter((rank for row in rows for rank in row), np.int64)
    grades = np.array(
        [grade for one, row in zip(asked, rows, strict=True) for grade in one.grades or [1] * len(row)], float
    )
    # How large the gallery was is not recorded; what was found last is as good for every measure.
    gallery = int(max((rank for rank in ranks.tolist() if rank < _NOWHERE), default=1))
    is_found = np.array([bool(row) and row[0] < _NOWHERE for row in rows], dtype=np.bool_)
    best = np.array([one.rank for one in asked], dtype=np.int64)
    return Rankings(starts, ranks, grades, np.where(is_found, best, np.maximum(best, gallery + 1)), gallery)


def _ranks(one: Asked) -> list[int]:
    known = [one.rank][: len(one.relevant)] if one.ranks is None else list(one.ranks)
    return known + [_NOWHERE] * (len(one.relevant) - len(known))


def _paired(path: Path, ours: Sequence[Asked], theirs: Sequence[Asked]) -> list[tuple[Asked, Asked]]:
    """Pair the records of the same query; what comes more than once is paired in its order.

    Raises:
        DatasetError: one run has a query that the other has not.
    """
    known = dict(_numbered(theirs))
    pairs = []
    missing = []
    for key, one in _numbered(ours):
        other = known.pop(key, None)
        if other is None:
            missing.append(one)
        else:
            pairs.append((one, other))
    alone = missing + list(known.values())
    if alone:
        raise DatasetError(
            _(
                "{path} is a run of other queries: {count:,} of {total:,} records are in one of the "
                "two only, such as {direction} {query!r}; measure both on the same data"
            ).format(
                path=path,
                count=len(alone),
                total=len(ours) + len(theirs),
                direction=alone[0].direction,
                query=alone[0].query[:60],
            )
        )
    return pairs


def _numbered(asked: Iterable[Asked]) -> Iterable[tuple[tuple[_Key, int], Asked]]:
    seen: Counter[_Key] = Counter()
    for one in asked:
        key = (one.direction, one.query, one.relevant)
        yield (key, seen[key]), one
        seen[key] += 1


def _unit(one: Asked) -> str:
    return one.query if one.is_picture or not one.relevant else one.relevant[0]
