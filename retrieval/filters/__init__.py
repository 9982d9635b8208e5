"""Filters over files as text, ``kind:video rating>=4 date:last-30-days``: read, printed, and what their values mean."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.filters.grammar import FIELDS as FIELDS
    from retrieval.filters.grammar import format_where as format_where
    from retrieval.filters.grammar import parse_where as parse_where
    from retrieval.filters.grammar import quote as quote
    from retrieval.filters.grammar import unquote as unquote

__all__ = ["FIELDS", "format_where", "parse_where", "quote", "unquote"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: the catalog wants to know distances alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from retrieval.filters import grammar

    return getattr(grammar, name)
