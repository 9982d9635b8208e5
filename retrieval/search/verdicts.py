"""What is held of a query in a collection: whether there is anything it asks for, and which of its hits are that."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.chances import logistic
from retrieval.ranking.cut import Judge, Look
from retrieval.ranking.null import Null, evidence, excess


class Verdict(Protocol):
    """What is held of one query."""

    @property
    def p_value(self) -> float:
        """The share of queries for what is not there that look as good."""

    @property
    def chance(self) -> float:
        """The probability that the collection holds what is asked for."""

    def kept(self, scores: NDArray[np.float64], false_alarms: float) -> tuple[int, NDArray[np.float64]]:
        """Return how many of the hits are kept, given their scores, never rising, and the probability of each."""


class Judged(NamedTuple):
    """By a judge that was fitted for the model: what was seen, and the logarithm of the odds."""

    judge: Judge
    look: Look
    odds: float

    @property
    def p_value(self) -> float:
        """See ``Verdict``."""
        return self.judge.p_value(self.odds)

    @property
    def chance(self) -> float:
        """See ``Verdict``."""
        return float(logistic(np.array([self.odds]))[0])

    def kept(self, scores: NDArray[np.float64], false_alarms: float) -> tuple[int, NDArray[np.float64]]:
        """Keep hits that are likely, and the first one at least; none where the query is not answered."""
        chances = self.judge.chances(self.odds, scores, self.look)
        if not len(scores) or self.odds <= self.judge.least(false_alarms):
            return 0, chances
        return max(1, int((chances >= self.judge.keep).sum())), chances


class Compared(NamedTuple):
    """By comparison with other queries in the same collection; ``best`` is the best hit's score, ``mean`` that of
    all.
    """

    null: Null
    best: float
    mean: float

    @property
    def p_value(self) -> float:
        """See ``Verdict``."""
        return float(self.null.p_values(excess(np.array([self.best]), self.mean))[0])

    @property
    def chance(self) -> float:
        """See ``Verdict``."""
        return float(evidence(np.array([self.p_value]))[0])

    def kept(self, scores: NDArray[np.float64], false_alarms: float) -> tuple[int, NDArray[np.float64]]:
        """Keep each hit that is better than the best of all but a share ``false_alarms`` of the other queries."""
        p_values = self.null.p_values(excess(scores, self.mean))
        return int((p_values <= false_alarms).sum()), evidence(p_values)
