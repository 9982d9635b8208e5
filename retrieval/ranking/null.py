"""A null model that needs no fitting: what queries that ask for nothing in particular reach in the same collection.

A query's best score says little by itself, since some queries are near to everything; so what counts is how far a score
lies above half of the mean of the query's scores (``excess``). The query is then compared with many others of the same
form: the share of these that reach as much is a conformal p-value (Vovk, Gammerman and Shafer, "Algorithmic Learning in
a Random World", 2005). A share of these other queries does ask for what the collection holds, so the test errs towards
"nothing relevant", the more so the more a collection holds.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OF_MEAN = 0.5
"""How much of the mean is taken off; found on captions of pictures that nothing was measured on."""
_SELLKE_UP_TO = 1.0 / np.e


class Null(NamedTuple):
    """``values`` ``(q,)``, ascending: the excess that each of the other queries' best hits has."""

    values: NDArray[np.float64]

    def p_values(self, excesses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``(n,)``: the share of queries, this one among them, that reach as much as each excess."""
        above = len(self.values) - np.searchsorted(self.values, excesses, side="left")
        shares: NDArray[np.float64] = (above.astype(np.float64) + 1.0) / (len(self.values) + 1.0)
        return shares

    def can_tell(self, false_alarms: float) -> bool:
        """Say whether there are enough queries to tell so small a share."""
        return (len(self.values) + 1) * false_alarms >= 1.0


def excess(scores: NDArray[np.float64], mean: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return how far scores lie above half of their query's mean score."""
    found: NDArray[np.float64] = scores - OF_MEAN * np.asarray(mean)
    return found


def rank_of_null(items: int) -> int:
    """Return which nearest neighbour of an item counts for a picture that asks in vain, from 1, among ``items``.

    The nearest are often of the same occasion, and a picture that asks for what is not there has none of these. The
    rank grows with the logarithm of the collection: 1 below 250 items, 2 below 2,500, and so on.
    """
    return 1 + max(0, int(np.log10(max(items, 1) / 25.0)))


def evidence(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that a query has an answer, ``(n,)``, given its p-value and even odds before.

    Below 1/e by the bound of Sellke, Bayarri and Berger ("Calibration of p values for testing precise null hypotheses",
    The American Statistician, 2001): the odds against are at least ``-e p ln p``. From there it falls evenly from a
    half to 0. The bound is the most that can be said for an answer, so the probability is rather too high than too low.
    """
    p = np.clip(p_values, 1e-12, 1.0)
    against = -np.e * p * np.log(p)
    falling = 0.5 * (1.0 - p) / (1.0 - _SELLKE_UP_TO)
    found: NDArray[np.float64] = np.where(p < _SELLKE_UP_TO, 1.0 / (1.0 + against), falling)
    return found
