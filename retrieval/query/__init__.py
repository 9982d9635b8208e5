"""What can be asked for, as text: queries, filters and the names of items, read and printed."""

from retrieval.filters import format_where, parse_where
from retrieval.query.grammar import check_parts, parse_query
from retrieval.query.naming import Crop, ItemName, format_item, read_item, split_item
from retrieval.query.printing import format_part, format_query, quote_part
from retrieval.query.scanning import NEGATED

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
