"""Recall on the pictures held out: what a run is chosen by, and what it is worth in the end."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrieval.evaluation.measures import DEPTHS, best_ranks, figures, intervals
from retrieval.evaluation.significance import Difference, Interval, compare_means
from retrieval.messages import _
from retrieval.training.finetune.pairs import IntArray, Pairs
from retrieval.types import FloatMatrix

WAYS = ("text_to_image", "image_to_text")
NAMES = tuple(f"R@{k}" for k in DEPTHS)


class Ranks(NamedTuple):
    """The rank of the best right row, from 1: of each caption's picture, and of each picture's captions."""

    text_to_image: IntArray
    image_to_text: IntArray

    def figures(self) -> dict[str, Any]:
        """Return ``R@1``, ``R@5`` and ``R@10`` each way, in per cent, and ``mean``, the mean of the six."""
        found: dict[str, Any] = {}
        for way, ranks in zip(WAYS, self, strict=True):
            known = figures(ranks)
            found[way] = {name: round(known[name], 4) for name in NAMES}
        found["mean"] = round(float(np.mean([value for way in WAYS for value in found[way].values()])), 6)
        return found


class Row(NamedTuple):
    """One figure before and after, in per cent, each with its 95 % interval, and how they differ."""

    way: str
    name: str
    before: float
    before_95: Interval
    after: float
    after_95: Interval
    difference: Difference


def rank(pictures: FloatMatrix, texts: FloatMatrix, pairs: Pairs) -> Ranks:
    """Rank ``(n, dim)`` pictures and ``(m, dim)`` captions against each other; ties count against the model."""
    columns = np.arange(len(texts))
    of_texts = np.stack([columns, pairs.owner], axis=1)
    return Ranks(best_ranks(texts, pictures, of_texts), best_ranks(pictures, texts, of_texts[:, ::-1]))


def compare(before: Ranks, after: Ranks, pairs: Pairs) -> list[Row]:
    """Set two models' ranks of the same pairs side by side; captions of a picture count together."""
    rows = []
    units: tuple[npt.NDArray[np.int64], ...] = (pairs.owner, np.arange(len(pairs.names)))
    for way, old, new, unit in zip(WAYS, before, after, units, strict=True):
        sure = intervals(old, unit), intervals(new, unit)
        values = figures(old), figures(new)
        for k, name in zip(DEPTHS, NAMES, strict=True):
            ours, theirs = (np.where(ranks <= k, 100.0, 0.0) for ranks in (new, old))
            apart = compare_means(ours, theirs, unit)
            rows.append(Row(way, name, values[0][name], sure[0][name], values[1][name], sure[1][name], apart))
    return rows


def recalls(found: dict[str, Any]) -> str:
    """Return ``text to picture 20.1 / 40.2 / 51.3, picture to text …`` of :meth:`Ranks.figures`."""
    ways = (" / ".join(f"{found[way][name]:.1f}" for name in NAMES) for way in WAYS)
    return _("text to picture {there}, picture to text {back}").format(there=next(ways), back=next(ways))
