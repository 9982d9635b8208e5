"""Cutting the text of a query to its parts; the grammar is told in ``grammar.py``."""

import re
from typing import NamedTuple

from retrieval.errors import QueryError
from retrieval.messages import _
from retrieval.types import PartKind

NEGATED = 0.5
"""The weight of a part that is taken away and has none of its own.

Measured on Flickr8k's dev split with the starter (``benchmarks/fusion.py``): for "A - B" of two words that occur
together, half a B in the first ten hits is left of one, and A keeps 94 % of its own; a whole B subtracted leaves a
quarter of it and 79 %, and fewer of the hits show A without B than when nothing is taken away. Subtracting only what A
and B share (orthogonal negation, Widdows, ACL 2003) comes to the same.
"""

NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)"
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
WEIGHT = re.compile(rf"({NUMBER}):(?=\S)", re.ASCII | re.IGNORECASE)
FILTER = "where:("
KINDS: dict[str, PartKind] = {"like": "image", "clip": "clip", "item": "item", "vector": "vector"}

_LATER_WEIGHT = re.compile(rf"\s{NUMBER}:\S", re.ASCII | re.IGNORECASE)
_SIGN = re.compile(r"[+-](?=\s|\Z)")
_TAKEN = re.compile(r'-(?=[^\W\d_]|["(])')
_KIND = re.compile(rf'({"|".join(KINDS)}):(?=")')
_ESCAPE = re.compile(r'\\([\\":+()-])')
_MOST_BRACKETS = 50


class Piece(NamedTuple):
    """One part as it stands in the text, with its signed weight; ``at`` is its position."""

    weight: float
    kind: PartKind
    value: str
    at: int


class Scan(NamedTuple):
    """The parts of a stretch of text up to ``end``; ``marked`` when one is quoted, weighted or in such brackets."""

    pieces: tuple[Piece, ...]
    marked: bool
    end: int

    def times(self, factor: float) -> "Scan":
        """Return the same parts with their weights multiplied."""
        return self._replace(pieces=tuple(one._replace(weight=factor * one.weight) for one in self.pieces))


def scan(text: str) -> Scan:
    """Cut a text to its parts; ``end`` is where the filter begins, or the text ends.

    A text of which nothing is marked is plain words: one part, and what is taken away of them.

    Raises:
        QueryError: it is a formula and cannot be understood.
    """
    scanner = _Scanner(text)
    found = scanner.formula(0, 0)
    return found if found.marked else scanner.words(_skip(text, 0), 0, signs=False)


def plain(text: str) -> str:
    """Return text with its escapes resolved."""
    return _ESCAPE.sub(r"\1", text)


class _Scanner:
    """Recursive descent over one text; ``depth`` counts the brackets around a position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._groups: dict[int, Scan] = {}

    def formula(self, at: int, depth: int) -> Scan:
        """Read ``[sign] term (sign term)*`` up to the end, the filter, or the bracket that closes."""
        pieces: list[Piece] = []
        marked, first = False, True
        at = _skip(self.text, at)
        while not self._ends(at, depth):
            sign = _SIGN.match(self.text, at)
            taken = None if sign or first else self._taken(at)
            if not sign and not taken and not first:
                raise self._expected_sign(at)
            found = self._taken_away(at, depth) if taken else None
            if found is None:
                if taken:
                    raise self._expected_sign(at)
                start = _skip(self.text, sign.end()) if sign else at
                found = self._term(start, depth, bool(sign) and self.text[at] == "-")
            pieces += found.pieces
            marked |= found.marked
            at, first = _skip(self.text, found.end), False
        return Scan(tuple(pieces), marked, at)

    def words(self, at: int, depth: int, signs: bool = True, weight: float = 1.0) -> Scan:
        """Read words and what is taken away of them, up to a sign (with ``signs``), the filter or the end.

        The words come first; without any, only what is taken away does.
        """
        start = run = at  # ``run`` is where the words began that are not yet in ``kept``
        within = 0
        kept: list[str] = []
        away: list[Piece] = []
        while not (self._ends(at, depth if not within else 0) or (signs and at > start and _SIGN.match(self.text, at))):
            taken = self._taken_away(at, depth) if self._taken(at) else None
            if taken is None:
                at, within = self._word(at, depth, within)
                at = _skip(self.text, at)
                continue
            kept.append(self.text[run:at])
            away += taken.pieces
            at = run = _skip(self.text, taken.end)
        kept.append(self.text[run:at])
        value = " ".join(piece.strip() for piece in kept if piece.strip())
        words = [Piece(weight, "text", plain(value), start)] if value or not away else []
        return Scan((*words, *away), False, at)

    def _term(self, start: int, depth: int, negative: bool) -> Scan:
        """Read one part or group behind a sign that stands alone, or behind none."""
        weighted = WEIGHT.match(self.text, start)
        weight = float(weighted[1]) if weighted else NEGATED if negative else 1.0
        weight = -weight if negative else weight
        at = weighted.end() if weighted else start
        found = self._closed(at, depth, weighted is not None)
        if found is not None:
            return found.times(weight)
        if self._ends(at, depth) or _SIGN.match(self.text, at):
            return Scan((Piece(weight, "text", "", start),), weighted is not None, at)
        read = self.words(at, depth, weight=weight)
        later = _LATER_WEIGHT.search(self.text, at, read.end) if weighted else None
        if later:
            raise QueryError(
                _(
                    "query, position {place}: expected + or - between weighted parts, found {found!r}; "
                    "for example 1.5:dog + 0.5:snow; write \\: for a plain colon"
                ).format(place=later.start() + 2, found=later[0].strip())
            )
        return read._replace(marked=weighted is not None)

    def _closed(self, at: int, depth: int, weighted: bool = False) -> Scan | None:
        """Read what ends by itself, a quoted part or a group, with a weight of 1; ``None`` where none begins."""
        kind = _KIND.match(self.text, at)
        begins = kind.end() if kind else at
        if self.text.startswith('"', begins):
            quoted = QUOTED.match(self.text, begins)
            if not quoted:
                raise QueryError(
                    _(
                        "query, position {place}: a quote is not closed; add one at its end, "
                        'or write \\" for a plain one'
                    ).format(place=begins + 1)
                )
            piece = Piece(1.0, KINDS[kind[1]] if kind else "text", plain(quoted[1]), at)
            return Scan((piece,), True, quoted.end())
        return self._group(at, depth, weighted) if self.text.startswith("(", at) else None

    def _group(self, at: int, depth: int, weighted: bool) -> Scan | None:
        """Read ``( formula )``; ``None`` when the bracket is a character like any other."""
        if at not in self._groups:
            if depth == _MOST_BRACKETS:
                raise QueryError(
                    _(
                        "query, position {place}: expected at most {most} brackets inside one another; "
                        "write \\( for a plain one"
                    ).format(place=at + 1, most=_MOST_BRACKETS)
                )
            self._groups[at] = self.formula(at + 1, depth + 1)
        found = self._groups[at]
        sure = weighted or found.marked
        if not self.text.startswith(")", found.end):
            if sure:
                raise QueryError(
                    _(
                        "query, position {place}: a bracket is not closed; add one at its end, "
                        "or write \\( for a plain one"
                    ).format(place=at + 1)
                )
            return None
        follows = _skip(self.text, found.end + 1)
        joined = self._ends(follows, depth) or _SIGN.match(self.text, follows) or self._taken(follows)
        if not joined:
            if sure:
                raise self._expected_sign(follows)
            return None
        pieces = found.pieces or (Piece(1.0, "text", "", at),)
        return Scan(pieces, sure, found.end + 1)

    def _taken(self, at: int) -> bool:
        """Return whether a minus stands here that belongs to the word, quote or bracket right behind it."""
        before = self.text[at - 1 : at]
        return (not before or before.isspace() or before == "(") and _TAKEN.match(self.text, at) is not None

    def _taken_away(self, at: int, depth: int) -> Scan | None:
        """Read what such a minus takes away; ``None`` when a bracket behind it is a character like any other."""
        found = self._closed(at + 1, depth)
        if self.text[at + 1] == "(" and not (found and found.marked):
            return None
        if found is None:
            end, _within = self._word(at + 1, depth, 0)
            found = Scan((Piece(1.0, "text", plain(self.text[at + 1 : end]), at),), False, end)
        return found.times(-NEGATED)

    def _word(self, at: int, depth: int, within: int) -> tuple[int, int]:
        """Return where the word ends that begins here, and how many brackets are open in the words then.

        It ends at white space; inside a group also at the bracket that closes the group.
        """
        for place in range(at, len(self.text)):
            one = self.text[place]
            if one.isspace():
                return place, within
            if depth and one in "()" and self.text[place - 1] != "\\":
                if one == ")" and not within:
                    return place, 0
                within += 1 if one == "(" else -1
        return len(self.text), within

    def _ends(self, at: int, depth: int) -> bool:
        """Return whether the text, or the group around it, ends here, or the filter begins."""
        over = at >= len(self.text) or self.text.startswith(FILTER, at)
        return over or (depth > 0 and self.text[at] == ")")

    def _expected_sign(self, at: int) -> QueryError:
        return QueryError(
            _(
                "query, position {place}: expected + or - between parts, found {found!r}; "
                'for example "a dog" + "snow"; write \\" for a plain quote, \\( for a plain bracket'
            ).format(place=at + 1, found=self.text[at : at + 20])
        )


def _skip(text: str, at: int) -> int:
    return len(text) - len(text[at:].lstrip())
