"""What is looked up in the index for a query, so that many queries can be looked up together."""

from typing import NamedTuple, Protocol

from retrieval.search.found import Found
from retrieval.types import FloatMatrix, Matches, Where


class Look(NamedTuple):
    """A search in the index: the ``k`` best items of each of the probes ``(m, dim)`` that a filter leaves."""

    probes: FloatMatrix
    k: int
    where: Where | None


class Order(Protocol):
    """The hits of one query in their order, found as far as they are asked for.

    ``searched`` is how many items the filter left to choose from, ``notes`` what the user should know of the hits.
    """

    searched: int
    notes: list[str]

    def look(self, need: int) -> Look | None:
        """Return what ``best(need)`` will look up first; ``None`` when that is nothing."""

    def take(self, matches: Matches) -> None:
        """Take what was found for ``look``, instead of looking it up."""

    def best(self, need: int) -> list[Found]:
        """Return the best ``need`` hits in order, or all there are.

        Raises:
            KeyError: an item was removed by another process between two looks.
        """
