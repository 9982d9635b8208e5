"""What can be asked for, as text: queries, filters and the names of items, read and printed."""

from typing import TYPE_CHECKING

from retrieval.query.grammar import check_parts, parse_query
from retrieval.query.naming import Crop, ItemName, format_item, read_item, split_item
from retrieval.query.printing import format_part, format_query, quote_part
from retrieval.query.scanning import NEGATED

if TYPE_CHECKING:
    from retrieval.filters import format_where as format_where
    from retrieval.filters import parse_where as parse_where

__all__ = [
    "NEGATED",
    "Crop",
    "ItemName",
    "check_parts",
    "format_item",
    "format_part",
    "format_query",
    "format_where",
    "parse_query",
    "parse_where",
    "quote_part",
    "read_item",
    "split_item",
]


def __getattr__(name: str) -> object:
    """Import what filters need when it is first used; most queries have none."""
    if name not in ("format_where", "parse_where"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from retrieval import filters

    return getattr(filters, name)
