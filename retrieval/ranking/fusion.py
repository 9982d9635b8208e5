"""Fusing what each part of a query finds by itself: the scores or the ranks are added rather than the vectors.

Each part has a list: the best scores it gives to files of the collection. What a part adds to a hit is a function of
the hit's score for it and of that list alone; a hit's score is the sum over the parts. The weight of a part that is
taken away is negative, so that it lowers what is in its list and leaves alone what is not.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

DEPTH = 1000
"""How many items each part looks up for its list."""
RECALL = 300
"""How many items are looked up for the whole query before they are ranked anew (``hybrid``)."""
RRF_K = 60
"""How little the first places of a list stand out in reciprocal rank fusion."""
PLACES_K = 5
"""The same for lists of looks and of words.

Chosen on half of the pictures of Flickr8k's dev split, every second of them named by a caption: with 60, what is in
both lists goes before the first of one, and the right picture is first less often than by looks alone (24.8 % of the
time against 30.6 %; with 5 it is 34.8 %).
"""

_LEAST_SPREAD = 1e-6


def fuse_scores(scores: Scores, lists: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """Return what each part adds to each hit by its score, ``(n, parts)``.

    ``scores`` are those of the hits for each part, ``(n, parts)``; ``lists`` holds the scores of each part's list. A
    score counts by how far it is above the end of the list, in standard deviations of the list; below the end it counts
    as nothing, wherever it is. This is CombSUM (Fox and Shaw, TREC-2, 1994) over standard scores (Montague and Aslam,
    CIKM 2001) with the end of the list in the place of the mean. The sum is a mean over the parts by weight.
    """
    added = np.zeros_like(scores)
    for place, (known, weight) in enumerate(zip(lists, _shares_of(weights), strict=True)):
        if len(known):
            added[:, place] = weight * np.maximum(0.0, scores[:, place] - known.min()) / _spread(known)
    return added


def fuse_ranks(scores: Scores, lists: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """Return what each part adds to each hit by its rank, ``(n, parts)``: reciprocal rank fusion.

    The rank is 1 and how many scores of the part's list are higher; what is below the end of the list gets nothing. The
    first of a list gets the part's whole weight, rank r gets ``(k + 1) / (k + r)`` of it with k = 60 (Cormack, Clarke
    and Buettcher, SIGIR 2009, up to the factor). The sum is a mean over the parts by weight: 1 for what is first in all
    lists and in none of those taken away.
    """
    added = np.zeros_like(scores)
    for place, (known, weight) in enumerate(zip(lists, _shares_of(weights), strict=True)):
        if len(known):
            column = scores[:, place]
            ranks = 1 + np.searchsorted(-np.sort(known)[::-1], -column, side="left")
            added[:, place] = np.where(column >= known.min(), weight * (RRF_K + 1) / (RRF_K + ranks), 0.0)
    return added


def fuse_anew(scores: Scores, weights: Sequence[float]) -> Scores:
    """Return what each part adds to each of the hits that were found together, ``(n, parts)``.

    A score counts by how far it is above the mean of these hits, in their standard deviations: below the mean it
    counts against a hit. The sum is a mean over the parts by weight.
    """
    added = np.zeros_like(scores)
    for place, weight in enumerate(_shares_of(weights)):
        column = scores[:, place]
        if len(column):
            added[:, place] = weight * (column - column.mean()) / _spread(column)
    return added


def fuse_places(places: Scores, shares: Scores) -> Scores:
    """Return what each of some lists adds to each hit by its place there, ``(n, lists)``: reciprocal rank fusion.

    ``places`` are 1 for the first, 0 for what is not in a list; ``shares``, 0 to 1, weigh each place. All lists count
    alike, and what is first in all with a share of 1 gets 1. What is missing in a list may merely be unknown to it (a
    picture without a telling name), so that k is 5: the first places of each list stand out.
    """
    added = shares * (PLACES_K + 1) / (PLACES_K + np.maximum(places, 1)) / places.shape[1]
    return np.where(places > 0, added, 0.0)


def _shares_of(weights: Sequence[float]) -> list[float]:
    """Return the weights such that those above zero sum to 1."""
    whole = max(weights)  # kept apart, so that neither very large nor very small weights overflow
    scaled = [weight / whole for weight in weights]
    total = sum(weight for weight in scaled if weight > 0)
    return [weight / total for weight in scaled]


def _spread(scores: Scores) -> float:
    return max(float(scores.std()), _LEAST_SPREAD)
