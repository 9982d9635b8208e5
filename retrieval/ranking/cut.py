"""The relevance cut, as numbers: whether a collection holds anything a query asks for, and which hits are that.

A score says little by itself. The best of many items scores higher than the best of few, some queries are near to
everything, and a string of nonsense is as near to some picture as a name is. So a query is looked at seven ways
(``Look``): how good its best hits are, how far that is from its scores at large, how many items took part, and whether
the collection holds anything like what the query finds in a *background*, a fixed set of pictures that comes with the
model. A logistic function of the seven gives the odds that the collection holds what is asked for.

Where to draw the line is a test of the hypothesis that it holds nothing (a null model): the odds of queries that are
known to ask in vain are kept as quantiles, and a query is answered when its odds exceed all but a chosen share of
theirs, the rate of false alarms. That is a conformal p-value in the sense of Vovk, Gammerman and Shafer ("Algorithmic
Learning in a Random World", 2005), exact for queries like those the null was made of. What of the hits is kept is
decided by a second logistic function, of the odds and of how far a hit lies below the best one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.chances import logistic

NEAREST = 20
"""How many of the background's pictures stand for what a query asks for."""
DEPTH = 16
"""How many of the collection's nearest are looked at for each of them."""
BEST = 5
"""How many hits make the second feature, and how many of the emptiest places the last one."""
FEWEST = 10
"""With fewer items than this nothing can be said."""
MOST_ODDS = 6.0
"""Odds beyond this (e to the sixth) count as this for the hits."""


class Look(NamedTuple):
    """What is seen of a query in a collection.

    ``best`` is the score of the best hit, ``five`` the mean of the best five; ``mean`` and ``spread`` (the standard
    deviation) are those of its scores at large, ``items`` is the natural logarithm of how many items took part.
    ``near``: the mean, over the pictures of the background that are nearest to the query, of how near the collection
    comes to each. ``depth``: how crowded the collection is around the five emptiest of these, against the background
    itself; 0 is as crowded.
    """

    best: float
    five: float
    mean: float
    spread: float
    items: float
    near: float
    depth: float


class Judge(NamedTuple):
    """Decides on the queries of one kind.

    ``weights`` ``(7,)`` and ``bias`` make the odds of a look; ``null`` ``(q,)`` are quantiles, evenly from 0 to 1, of
    the odds of queries that ask in vain. A hit's odds are ``hits[0] * odds + hits[1] * gap + hits[2]``, where the gap
    is how far it lies below the best hit, in spreads; it is kept from the chance ``keep`` on.
    """

    weights: NDArray[np.float64]
    bias: float
    null: NDArray[np.float64]
    hits: tuple[float, float, float]
    keep: float

    def odds(self, look: Look) -> float:
        """Return the logarithm of the odds that the collection holds what is asked for."""
        return float(self.weights @ np.array(look) + self.bias)

    def least(self, false_alarms: float) -> float:
        """Return the odds that a share ``false_alarms`` of the queries asked in vain exceed."""
        return float(np.interp(1.0 - false_alarms, np.linspace(0.0, 1.0, len(self.null)), self.null))

    def p_value(self, odds: float) -> float:
        """Return the share of queries asked in vain that have these odds or more."""
        return float(np.mean(self.null >= odds))

    def chances(self, odds: float, scores: NDArray[np.float64], look: Look) -> NDArray[np.float64]:
        """Return ``(n,)``, the probability of each hit to be what is asked for, given its score; never rising."""
        of_odds, of_gap, bias = self.hits
        gaps = np.maximum(look.best - scores, 0.0) / max(look.spread, 1e-6)
        return logistic(of_odds * np.clip(odds, -MOST_ODDS, MOST_ODDS) + of_gap * gaps + bias)


def look(
    hits: NDArray[np.float64],
    bulk: NDArray[np.float64],
    items: int,
    near: NDArray[np.float64],
    crowd: NDArray[np.float64],
    heat: float,
) -> Look:
    """Look at a query in a collection.

    ``hits`` are the scores of its best hits, best first, ``bulk`` of a sample of the items it chooses from, ``items``
    how many these are. ``near`` ``(b, d)`` are the best inner products of items with each of the background's ``b``
    pictures nearest to the query, best first, and ``crowd`` ``(b,)`` what ``crowding`` makes of the background itself
    around these; ``heat`` is its temperature.

    Raises:
        ValueError: there are no hits, or nothing to compare with.
    """
    if not len(hits) or not len(bulk) or not near.size:
        raise ValueError("nothing to look at")
    depths = np.sort(crowding(near, heat) - crowd)
    return Look(
        best=float(hits[0]),
        five=float(hits[:BEST].mean()),
        mean=float(bulk.mean()),
        spread=float(bulk.std()),
        items=float(np.log(items)),
        near=float(near[:, 0].mean()),
        depth=float(depths[:BEST].mean()),
    )


def crowding(near: NDArray[np.float64], heat: float) -> NDArray[np.float64]:
    """Return ``(b,)``: ``heat * log(sum(exp(near / heat)))`` over the rows of ``near`` ``(b, d)``.

    A soft maximum that grows with the number of near ones, like the logarithm of a kernel density.
    """
    most = near.max(axis=1, keepdims=True)
    found: NDArray[np.float64] = most[:, 0] + heat * np.log(np.exp((near - most) / heat).sum(axis=1))
    return found
