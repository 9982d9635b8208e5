"""Measures by name, in the notation of ir-measures: ``nDCG@10`` is read, worked out for each query, and printed.

One name differs in meaning. In image and text retrieval ``R@k`` is the share of queries with *any* right row among the
first k, and so it is here; ir-measures calls that ``Success@k``, which is understood too. What ir-measures calls
``R@k``, the share of a query's right rows that are among the first k, is ``Recall@k`` here. With one right row for
each query the three are equal.
"""

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import OptionError
from retrieval.evaluation.measures import Rankings
from retrieval.messages import _

MAX_DEPTH = 1_000_000

_ALIASES = {"MRR": "RR", "MAP": "AP", "NDCG": "nDCG", "MedR": "median_rank", "MnR": "mean_rank"}
_NEEDS_DEPTH = frozenset({"R", "Success", "Recall", "P"})
_MAY_HAVE_DEPTH = _NEEDS_DEPTH | {"RR", "AP", "nDCG"}
_WITHOUT = frozenset({"Rprec", "median_rank", "mean_rank"})
_FORM = re.compile(r"([A-Za-z_]+)(?:@(\d{1,7}))?")

Values = NDArray[np.float64]


class Measure(NamedTuple):
    """One measure; ``k`` is how deep it looks, ``None`` for the whole list. ``str`` prints what ``parse`` reads."""

    name: str
    k: int | None = None

    def __str__(self) -> str:
        return self.name if self.k is None else f"{self.name}@{self.k}"

    @property
    def is_rank(self) -> bool:
        """Whether it is a rank (lower is better) rather than a share in per cent."""
        return self.name.endswith("_rank")


RECALLS = (Measure("R", 1), Measure("R", 5), Measure("R", 10))
"""What the literature reports."""


def parse(text: str) -> Measure:
    """Read one measure.

    ``R@k`` ``Success@k`` ``Recall@k`` ``P@k`` ``RR[@k]`` (mean reciprocal rank) ``AP[@k]`` ``nDCG[@k]`` ``Rprec``
    ``median_rank`` ``mean_rank``; also ``MRR``, ``MAP``, ``NDCG``, ``MedR`` and ``MnR`` for five of these.

    Raises:
        OptionError: there is no such measure, or it lacks its depth.
    """
    form = _FORM.fullmatch(text)
    name = _ALIASES.get(form[1], form[1]) if form else ""
    depth = int(form[2]) if form and form[2] else None
    if name not in _MAY_HAVE_DEPTH | _WITHOUT:
        known = "R@k, Success@k, Recall@k, P@k, RR, AP, nDCG, Rprec, median_rank, mean_rank"
        raise OptionError(_("measure {text!r} is not known; use {known}, as in nDCG@10").format(text=text, known=known))
    if depth is None and name in _NEEDS_DEPTH:
        raise OptionError(_("measure {text!r} needs a depth, as in {name}@10").format(text=text, name=name))
    if depth is not None and (name in _WITHOUT or not 1 <= depth <= MAX_DEPTH):
        if name in _WITHOUT:
            said = _("measure {text!r}: {name} takes no depth")
        else:
            said = _("measure {text!r}: {name} needs a depth from 1 to {most:,}")
        raise OptionError(said.format(text=text, name=name, most=MAX_DEPTH))
    return Measure(name, depth)


def parse_all(text: str) -> tuple[Measure, ...]:
    """Read measures with spaces or commas between; each comes once, in the order given.

    Raises:
        OptionError: one of them is not known, or there is none.
    """
    found = tuple(dict.fromkeys(parse(word) for word in re.split(r"[\s,]+", text) if word))
    if not found:
        raise OptionError(_("--measures names none; write for example --measures 'R@1 RR nDCG@10'"))
    return found


def values(measure: Measure, rankings: Rankings) -> Values:
    """Return the ``(q,)`` value of each query: shares in per cent, ranks as they are.

    A query without a right row has 0, and the rank of what is never found. ``AP`` takes every row with a grade as
    right; ``nDCG`` has gain = grade and discount log2(1 + rank), as trec_eval does (Järvelin and Kekäläinen, 2002).
    """
    if measure.is_rank:
        return rankings.best.astype(np.float64)
    depth = rankings.gallery if measure.k is None else min(measure.k, rankings.gallery)
    sizes = np.diff(rankings.starts)
    query = np.repeat(np.arange(len(sizes)), sizes)
    reached = rankings.ranks <= (np.minimum(sizes, depth)[query] if measure.name == "Rprec" else depth)

    def total(weights: NDArray[np.generic]) -> Values:
        return np.bincount(query, weights=weights.astype(np.float64), minlength=len(sizes)).astype(np.float64)

    match measure.name:
        case "R" | "Success":
            found = (total(reached) > 0).astype(np.float64)
        case "P":
            found = total(reached) / (measure.k or 1)
        case "RR":
            found = np.where(rankings.best <= depth, 1.0 / rankings.best, 0.0)
        case "AP":
            nth = 1 + np.arange(len(query)) - rankings.starts[query]
            found = total(reached * nth / rankings.ranks) / np.maximum(sizes, 1)
        case "nDCG":
            found = _ndcg(rankings, query, reached, measure.k)
        case _:  # Recall, Rprec
            found = total(reached) / np.maximum(sizes, 1)
    return 100.0 * found


def summary(measure: Measure, of_queries: Values) -> float:
    """Return the figure of a run: the mean over queries, or the median; 0 without queries."""
    if not len(of_queries):
        return 0.0
    return float(np.median(of_queries) if measure.name == "median_rank" else np.mean(of_queries))


def _ndcg(rankings: Rankings, query: NDArray[np.int64], reached: NDArray[np.bool_], k: int | None) -> Values:
    """Return gain over ideal gain, both discounted; the ideal list has the highest grades first."""
    queries = len(rankings.starts) - 1
    gained = np.where(reached, rankings.grades / np.log2(1.0 + rankings.ranks), 0.0)
    best_first = np.lexsort((-rankings.grades, query))
    place = np.arange(len(query)) - rankings.starts[query]
    possible = np.where(place < (k or len(query) + 1), rankings.grades[best_first] / np.log2(2.0 + place), 0.0)
    ideal = np.bincount(query, weights=possible, minlength=queries)
    found: Values = np.bincount(query, weights=gained, minlength=queries) / np.where(ideal > 0, ideal, 1.0)
    return found
