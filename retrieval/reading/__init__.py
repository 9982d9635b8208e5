"""Reading a query: its parts become vectors, from the collection where it knows them, and are mixed to probes."""

from retrieval.reading.reading import ReadQuery, checked, read_queries, read_query

__all__ = ["ReadQuery", "checked", "read_queries", "read_query"]
