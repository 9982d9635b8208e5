r"""The query grammar: text to ``Query`` and back, ``parse_query(str(query)) == query``.

::

    query   = words [filter]                             plain words are one part, whatever stands in them
            | formula [filter]
    formula = [sign] term (sign term)*
    sign    = "+" | "-"                                  alone between white space
    term    = [weight ":"] (words | quoted | kind ":" quoted | "(" formula ")")
    kind    = like | clip | item | vector                a picture or clip file, a clip file, a stored item, a .npy file
    words   = (word | taken)*
    taken   = "-" (word | quoted | kind ":" quoted | "(" formula ")")      no space after the minus, one before it
    filter  = "where:(" expression ")"                   last; the grammar of ``filters.py``

A text is a formula as soon as one part of it is quoted or weighted; otherwise a ``+`` or ``-`` in it that stands alone,
and any bracket, is a character like any other (``beach - 2019``). A weight is a number, a colon and no space:
``1.5:snow``, ``0.5:"a dog"``, ``2:("a dog" + "snow")``, where it counts for each part in the brackets; what stands in
quotes is never a weight. A backslash makes the next ``:``, ``"``, ``+``, ``-``, bracket or backslash a plain character;
before anything else it is one itself. A shell eats the quotes: ``quote_part`` puts them back around what stands between
a ``+`` or ``-`` that is a word of its own.

A part with a negative weight is taken away; ``- 0.75:"people"`` and ``+ -0.75:"people"`` are the same. A minus at the
beginning of a word takes away that word alone, or the quoted words behind it: ``car -red``, ``beach -"red umbrella"``,
but not of a number (``-5 degrees``) nor within a word (``wi-fi``). What is taken away without a weight has the weight
``NEGATED``, not 1.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from retrieval.errors import QueryError
from retrieval.messages import _
from retrieval.query.naming import read_item
from retrieval.query.scanning import NEGATED, QUOTED, WEIGHT, plain, scan
from retrieval.types import And, Part, PartKind, Query, Where

_FILTER = re.compile(r"where:\((.*)\)\s*\Z", re.DOTALL)
_ARRAY = ".npy"


def parse_query(text: str, *, like: Sequence[str] = (), minus: Sequence[str] = (), where: str = "") -> Query:
    """Read a query.

    ``text`` is the grammar above. Each of ``like`` is a file when one of that name exists (of vectors when the name
    ends in .npy), else a stored item (``path``, ``path#t=12.5``) or a region (``path#xywh=160,120,320,240``). Each of
    ``minus`` is a file or a part of one when it exists, else words, and is taken away. Both may carry a weight in front
    (``0.5:photo.jpg``) unless a file of exactly that name exists. ``where`` is a filter, joined by *and* with one that
    stands in the text. Only the existence of files is looked at.

    Raises:
        QueryError: a part or the filter cannot be understood, or nothing is asked for.
    """
    parts, found = _read_text(text)
    parts += [_like(value) for value in like]
    parts += [_minus(value) for value in minus]
    check_parts(parts)
    given = _where(where) if where else None
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
                _(
                    "the weight {weight:g} of {value!r} is of no use; give another number such as 0.5, "
                    "or write \\: for a plain colon"
                ).format(weight=part.weight, value=part.value[:40])
            )
        if part.kind == "text" and not _is_unicode(part.value):
            message = _("the words {value!r} hold bytes that are not UTF-8; write them in UTF-8")
            raise QueryError(message.format(value=part.value[:40]))
        if not part.value.strip():
            raise QueryError(_("a part of the query is empty; give words or the name of a file"))
    if not any(part.weight > 0 for part in parts):
        if not parts:
            raise QueryError(_("the query is empty; give words or a picture, for example: a dog in the snow"))
        raise QueryError(
            _(
                "a query needs something to look for, not only what to leave out; give words or a picture, "
                "for example: a dog in the snow"
            )
        )


def _read_text(text: str) -> tuple[list[Part], Where | None]:
    found = scan(text)
    where = _read_filter(text, found.end)
    first = found.pieces[0]
    nothing = not found.marked and first.weight > 0 and not first.value.strip()  # or nothing but a filter
    pieces = found.pieces[1:] if nothing else found.pieces
    for piece in pieces:
        if not piece.value.strip():
            message = _('query, position {place}: expected a part such as "a dog", found nothing')
            raise QueryError(message.format(place=piece.at + 1))
    return [Part(piece.kind, piece.value, piece.weight) for piece in pieces], where


def _read_filter(text: str, at: int) -> Where | None:
    if at >= len(text):
        return None
    found = _FILTER.match(text, at)
    if not found:
        message = _("query, position {place}: the filter is not closed; end it with ), or quote the words")
        raise QueryError(message.format(place=at + 1))
    return _where(found[1])


def _like(value: str) -> Part:
    weight, name, found = _named_file(value)
    return Part(_kind_of(name) if found else "item", name, 1.0 if weight is None else weight)


def _minus(value: str) -> Part:
    given, name, found = _named_file(value)
    weight = NEGATED if given is None else given
    if found:
        return Part(_kind_of(name), name, -weight)
    named = read_item(name)
    if named.path != name and _is_file(named.path):
        return Part("item", name, -weight)
    quoted = QUOTED.fullmatch(name)
    return Part("text", plain(quoted[1] if quoted else name.strip()), -weight)


def _kind_of(name: str) -> PartKind:
    return "vector" if name.lower().endswith(_ARRAY) else "image"


def _named_file(value: str) -> tuple[float | None, str, bool]:
    """Return the weight if there is one, the name without it, and whether a file has that name."""
    weighted = None if _is_file(value) else WEIGHT.match(value)
    name = value[weighted.end() :] if weighted else value
    return float(weighted[1]) if weighted else None, name, _is_file(name)


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


def _where(text: str) -> Where | None:
    from retrieval.filters import parse_where  # most queries have no filter

    return parse_where(text)
