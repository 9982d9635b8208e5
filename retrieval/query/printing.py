"""Printing queries and parts in the grammar, so that reading them gives the same again."""

from collections.abc import Iterator, Sequence

from retrieval import filters
from retrieval.errors import QueryError
from retrieval.query.grammar import parse_query
from retrieval.query.scanning import KINDS, NEGATED, scan
from retrieval.types import Part, PartKind, Query

_PREFIXES: dict[PartKind, str] = {"text": "", **{kind: f"{word}:" for word, kind in KINDS.items()}}


def format_query(query: Query) -> str:
    """Print a query in the grammar; plain words stay plain where that is unambiguous."""
    suffix = f" where:({filters.format_where(query.where)})" if query.where is not None else ""
    if len(query.parts) == 1 and query.parts[0].kind == "text" and query.parts[0].weight == 1:
        plain = query.parts[0].value
        if _reads_as(plain + suffix, query):
            return plain + suffix
    return " ".join(_print_parts(query.parts)) + suffix


def format_part(part: Part) -> str:
    """Print one part as it stands in a formula, a minus in front of what is taken away: ``- 0.75:"people"``."""
    return " ".join(_print_parts([part]))


def quote_part(text: str) -> str:
    """Make parts of words that lost their quotes; what is weighted or quoted already comes back as it is.

    What is taken away of the words becomes parts of its own: ``car -red`` gives ``"car" - "red"``.

    Raises:
        QueryError: the words hold a quote that is not closed, or something after one.
    """
    found = scan(text)
    if found.marked:
        return text
    parts = [Part(piece.kind, piece.value, piece.weight) for piece in found.pieces]
    # A sign may stand before it already: a part that is taken away and comes first has its minus in the weight.
    lead = "" if parts[0].weight > 0 else f"{parts[0].weight!r}:"
    first = f"{lead}{_PREFIXES[parts[0].kind]}{filters.quote(parts[0].value)}"
    return " ".join([first, *_print_parts(parts[1:]), text[found.end :]]).rstrip()


def _print_parts(parts: Sequence[Part]) -> Iterator[str]:
    for place, part in enumerate(parts):
        if part.weight < 0:
            yield "-"
        elif place:
            yield "+"
        usual = NEGATED if part.weight < 0 else 1.0
        weight = "" if abs(part.weight) == usual else repr(abs(float(part.weight))).removesuffix(".0") + ":"
        yield f"{weight}{_PREFIXES[part.kind]}{filters.quote(part.value)}"


def _reads_as(text: str, query: Query) -> bool:
    try:
        return parse_query(text) == query
    except QueryError:
        return False
