"""Filters over files as text, ``kind:video rating>=4 date:last-30-days``: read, printed, and what their values mean."""

from retrieval.filters.grammar import FIELDS, format_where, parse_where, quote, unquote

__all__ = ["FIELDS", "format_where", "parse_where", "quote", "unquote"]
