r"""The query grammar: text to ``Query`` and back, ``parse_query(str(query)) == query``.

::

    query  = words [filter]                              plain words are one part, whatever stands in them
           | [sign] part (sign part)* [filter]           a formula
    sign   = "+" | "-"                                   alone between white space
    part   = [weight ":"] (words | quoted | kind ":" quoted)
    kind   = like | clip | item                          a picture or clip file, a clip file, a stored item
    filter = "where:(" expression ")"                    last; the grammar of ``filters.py``

A text is a formula as soon as one part of it is quoted or weighted; otherwise a ``+`` or ``-`` in it is a character
like any other (``wi-fi``, ``beach - 2019``). A weight is a number, a colon and no space:
``1.5:snow``, ``0.5:"a dog"``; what stands in quotes is never a weight. A backslash makes the next ``:``, ``"``, ``+``,
``-`` or backslash a plain character; before anything else it is one itself. A shell eats the quotes: ``quote_part``
puts them back around what stands between a ``+`` or ``-`` that is a word of its own.

A part with a negative weight is taken away; ``- 0.5:"people"`` and ``+ -0.5:"people"`` are the same.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from retrieval.errors import QueryError
from retrieval.filters import format_where, parse_where, quote
from retrieval.types import And, Part, PartKind, Query, Where

__all__ = [
    "check_parts",
    "format_item",
    "format_part",
    "format_query",
    "format_where",
    "parse_query",
    "parse_where",
    "quote_part",
    "split_item",
]

_NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)"
_WEIGHT = re.compile(rf"({_NUMBER}):(?=\S)", re.ASCII | re.IGNORECASE)
_LATER_WEIGHT = re.compile(rf"\s{_NUMBER}:\S", re.ASCII | re.IGNORECASE)
_SIGN = re.compile(r"[+-](?=\s|\Z)")
_KIND = re.compile(r'(like|clip|item):(?=")')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORDS = re.compile(r"(?:(?!\s+[+-](?:\s|\Z)|\s+where:\(|\s*\Z).)*.?", re.DOTALL)
_FILTER = re.compile(r"where:\((.*)\)\s*\Z", re.DOTALL)
_ESCAPE = re.compile(r'\\([\\":+-])')
_ITEM = re.compile(r"(.+)#t=((?:\d+:)?(?:\d+:)?\d+(?:\.\d+)?)", re.DOTALL | re.ASCII)
_KINDS: dict[str, PartKind] = {"like": "image", "clip": "clip", "item": "item"}
_PREFIXES: dict[PartKind, str] = {"text": "", "image": "like:", "clip": "clip:", "item": "item:"}


class _Piece(NamedTuple):
    """One part as it stands in the text; ``marked`` when it is quoted or weighted, ``at`` is its position."""

    sign: float
    weight: float
    kind: PartKind
    value: str
    marked: bool
    at: int


def parse_query(text: str, *, like: Sequence[str] = (), minus: Sequence[str] = (), where: str = "") -> Query:
    """Read a query.

    ``text`` is the grammar above. Each of ``like`` is a file when one of that name exists, else a stored item
    (``path`` or ``path#t=12.5``); each of ``minus`` is a file when one exists, else words, and is taken away. Both may
    carry a weight in front (``0.5:photo.jpg``) unless a file of exactly that name exists. ``where`` is a filter, joined
    by *and* with one that stands in the text. Only the existence of files is looked at.

    Raises:
        QueryError: a part or the filter cannot be understood, or nothing is asked for.
    """
    parts, found = _read_text(text)
    parts += [_like(value) for value in like]
    parts += [_minus(value) for value in minus]
    check_parts(parts)
    given = parse_where(where)
    if found is not None and given is not None:
        return Query(tuple(parts), And((found, given)))
    return Query(tuple(parts), given if found is None else found)


def check_parts(parts: Sequence[Part]) -> None:
    """Make sure that parts make a query.

    Raises:
        QueryError: a weight is 0 or no number, a part is empty, words are no text, or there is nothing to look for.
    """
    for part in parts:
        if not math.isfinite(part.weight) or part.weight == 0:
            raise QueryError(
                f"the weight {part.weight:g} of {part.value[:40]!r} is of no use; give another number such as 0.5, "
                "or write \\: for a plain colon"
            )
        if part.kind == "text" and not _is_unicode(part.value):
            raise QueryError(f"the words {part.value[:40]!r} hold bytes that are not UTF-8; write them in UTF-8")
        if not part.value.strip():
            raise QueryError("a part of the query is empty; give words or the name of a file")
    if not any(part.weight > 0 for part in parts):
        begin = "a query needs something to look for, not only what to leave out" if parts else "the query is empty"
        raise QueryError(f"{begin}; give words or a picture, for example: a dog in the snow")


def format_query(query: Query) -> str:
    """Print a query in the grammar; plain words stay plain where that is unambiguous."""
    suffix = f" where:({format_where(query.where)})" if query.where is not None else ""
    if len(query.parts) == 1 and query.parts[0].kind == "text" and query.parts[0].weight == 1:
        plain = query.parts[0].value
        if _reads_as(plain + suffix, query):
            return plain + suffix
    printed = " ".join(_print_parts(query.parts))
    return printed + suffix


def format_part(part: Part) -> str:
    """Print one part as it stands in a formula, a minus in front of what is taken away: ``- 0.5:"people"``."""
    return " ".join(_print_parts([part]))


def quote_part(text: str) -> str:
    """Make one part of words that lost their quotes; what is weighted or quoted already comes back as it is.

    Raises:
        QueryError: the words hold a quote that is not closed, or something after one.
    """
    pieces, end = _scan(text)
    if any(piece.marked for piece in pieces):
        return text
    return f"{quote(_plain(text[:end].strip()))} {text[end:]}".rstrip()


def split_item(value: str) -> tuple[str, float | None]:
    """Split ``path#t=12.5`` or ``path#t=00:00:12.500`` to the path and seconds, ``None`` where no time is given."""
    found = _ITEM.fullmatch(value)
    if not found:
        return value, None
    seconds = 0.0
    for number in found[2].split(":"):
        seconds = 60 * seconds + float(number)
    return found[1], seconds


def format_item(path: str, at_s: float | None) -> str:
    """Name an item so that ``split_item`` reads it: the path, and the time to the millisecond for a frame."""
    return path if at_s is None else f"{path}#t={f'{at_s:.3f}'.rstrip('0').rstrip('.')}"


def _print_parts(parts: Sequence[Part]) -> Iterator[str]:
    for place, part in enumerate(parts):
        if part.weight < 0:
            yield "-"
        elif place:
            yield "+"
        weight = repr(abs(float(part.weight))).removesuffix(".0")
        prefix = "" if weight == "1" else f"{weight}:"
        yield f"{prefix}{_PREFIXES[part.kind]}{quote(part.value)}"


def _reads_as(text: str, query: Query) -> bool:
    try:
        return parse_query(text) == query
    except QueryError:
        return False


def _read_text(text: str) -> tuple[list[Part], Where | None]:
    pieces, end = _scan(text)
    where = _read_filter(text, end)
    if not any(piece.marked for piece in pieces):
        words = _plain(text[:end].strip())
        return ([Part("text", words)] if words.strip() else []), where
    for piece in pieces:
        if not piece.value.strip():
            raise QueryError(f'query, position {piece.at + 1}: expected a part such as "a dog", found nothing')
    return [Part(piece.kind, piece.value, piece.sign * piece.weight) for piece in pieces], where


def _scan(text: str) -> tuple[list[_Piece], int]:
    """Cut the text at its signs; return the pieces and where the filter or the end begins."""
    pieces: list[_Piece] = []
    at = _skip(text, 0)
    while at < len(text) and not text.startswith("where:(", at):
        sign = _SIGN.match(text, at)
        if pieces and not sign:
            raise QueryError(
                f"query, position {at + 1}: expected + or - between parts, found {text[at : at + 20]!r}; "
                'for example "a dog" + "snow"; write \\" for a plain quote'
            )
        at = _skip(text, sign.end()) if sign else at
        piece, at = _scan_piece(text, at, -1.0 if sign and sign[0] == "-" else 1.0)
        pieces.append(piece)
        at = _skip(text, at)
    return pieces, at


def _scan_piece(text: str, start: int, sign: float) -> tuple[_Piece, int]:
    weighted = _WEIGHT.match(text, start)
    weight = float(weighted[1]) if weighted else 1.0
    at = weighted.end() if weighted else start
    kind = _KIND.match(text, at)
    at = kind.end() if kind else at
    if text.startswith('"', at):
        quoted = _QUOTED.match(text, at)
        if not quoted:
            raise QueryError(
                f'query, position {at + 1}: a quote is not closed; add one at its end, or write \\" for a plain one'
            )
        value = _plain(quoted[1])
        return _Piece(sign, weight, _KINDS[kind[1]] if kind else "text", value, True, start), quoted.end()
    if _SIGN.match(text, at) or at >= len(text) or text.startswith("where:(", at):
        return _Piece(sign, weight, "text", "", weighted is not None, start), at
    words = _WORDS.match(text, at)
    raw = words[0] if words else ""
    later = _LATER_WEIGHT.search(raw) if weighted else None
    if later:
        raise QueryError(
            f"query, position {at + later.start() + 2}: expected + or - between weighted parts, "
            f"found {later[0].strip()!r}; for example 1.5:dog + 0.5:snow; write \\: for a plain colon"
        )
    return _Piece(sign, weight, "text", _plain(raw.strip()), weighted is not None, start), at + len(raw)


def _read_filter(text: str, at: int) -> Where | None:
    if at >= len(text):
        return None
    found = _FILTER.match(text, at)
    if not found:
        raise QueryError(f"query, position {at + 1}: the filter is not closed; end it with ), or quote the words")
    return parse_where(found[1])


def _skip(text: str, at: int) -> int:
    return len(text) - len(text[at:].lstrip())


def _plain(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)


def _like(value: str) -> Part:
    weight, name, found = _named_file(value)
    return Part("image" if found else "item", name, weight)


def _minus(value: str) -> Part:
    weight, name, found = _named_file(value)
    if found:
        return Part("image", name, -weight)
    if split_item(name)[1] is not None and _is_file(split_item(name)[0]):
        return Part("item", name, -weight)
    quoted = _QUOTED.fullmatch(name)
    return Part("text", _plain(quoted[1] if quoted else name.strip()), -weight)


def _named_file(value: str) -> tuple[float, str, bool]:
    """Return the weight, the name without it, and whether a file has that name."""
    weighted = None if _is_file(value) else _WEIGHT.match(value)
    name = value[weighted.end() :] if weighted else value
    return float(weighted[1]) if weighted else 1.0, name, _is_file(name)


def _is_unicode(words: str) -> bool:
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False
