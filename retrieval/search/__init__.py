"""Finding: a query's parts become probes, the collection's nearest items become hits, best first."""

from retrieval.search.searcher import Searcher

__all__ = ["Searcher"]
