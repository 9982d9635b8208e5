"""From a filter over files to SQL with bound parameters.

Each comparison yields 0 or 1, never NULL, so that ``not`` selects exactly what its clause leaves out: pictures have no
duration, and ``not duration<60`` selects them.
"""

import re
from datetime import date, datetime
from typing import NamedTuple

from retrieval.errors import QueryError
from retrieval.filters import FIELDS
from retrieval.filters.periods import bounds
from retrieval.filters.places import Box, latitude_span, read_box, read_near
from retrieval.messages import _
from retrieval.store import globs, paths
from retrieval.types import And, Not, Term, Where

NUMBERS = {
    "size": "f.size_bytes",
    "duration": "f.duration_s",
    "width": "f.width",
    "height": "f.height",
    "megapixels": "f.width * f.height / 1e6",
    "aspect": "CAST(f.width AS REAL) / f.height",
    "rating": "f.rating",
}
_SQL_OPERATOR = {":": "=", "=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_LONGEST = 5_000
_NS = 1_000_000_000
_SHAPES = {"landscape": ">", "portrait": "<", "square": "="}
_KEYWORD = "f.id IN (SELECT file_id FROM keywords WHERE text_matches(?, keyword))"


class Clause(NamedTuple):
    """An SQL condition on the table ``files`` under the name ``f``, and the values of its question marks."""

    sql: str
    values: list[str | float]


def compile_where(where: Where, today: date | None = None) -> Clause:
    """Return the condition that selects what ``where`` selects; dates that speak of today speak of ``today``.

    Raises:
        QueryError: a field, operator or value that no file can be compared with, or too many terms.
    """
    clause = _compile(where, today or date.today())
    if len(clause.values) > _LONGEST:
        message = _("a filter of {count} values is too long; name folders or use wildcards")
        raise QueryError(message.format(count=len(clause.values)))
    return clause


def _compile(where: Where, today: date) -> Clause:
    if isinstance(where, Term):
        return _term(where, today)
    if isinstance(where, Not):
        inner = _compile(where.clause, today)
        return Clause(f"(NOT {inner.sql})", inner.values)
    word, nothing = ("AND", "1") if isinstance(where, And) else ("OR", "0")
    parts = [_compile(clause, today) for clause in where.clauses]
    # Halving keeps the expression shallow: SQLite refuses one deeper than a thousand.
    return _joined(word, parts) if parts else Clause(nothing, [])


def _joined(word: str, parts: list[Clause]) -> Clause:
    if len(parts) == 1:
        return parts[0]
    left, right = _joined(word, parts[: len(parts) // 2]), _joined(word, parts[len(parts) // 2 :])
    return Clause(f"({left.sql} {word} {right.sql})", left.values + right.values)


def _term(term: Term, today: date) -> Clause:
    if term.op == "!=":
        same = _term(Term(term.field, "=", term.value, term.text), today)
        return Clause(f"(NOT {same.sql})", same.values)
    if term.field in NUMBERS:
        return _number(term)
    if term.field in ("date", "taken", "modified"):
        return _date(term, today)
    if term.field not in FIELDS:
        raise QueryError(_("{field!r} is not a field; use {fields}").format(field=term.field, fields=", ".join(FIELDS)))
    if term.op not in (":", "="):
        message = _("{comparison} orders what has no order; use {field}:{value}")
        raise QueryError(
            message.format(comparison=f"{term.field}{term.op}{term.value}", field=term.field, value=term.value)
        )
    return _place(term) if term.field in ("near", "box") else _name(term.field, paths.as_text(str(term.value)))


def _name(field: str, value: str) -> Clause:
    if field in ("path", "name"):
        if field == "name":  # as a path, a double star would lead into folders
            value = re.sub(r"\*+", "*", value)
        globs.expression(value)
        return Clause("path_matches(?, f.path_text)", [value])
    if field == "ext":
        return Clause("(f.ext = ?)", [value.lower().removeprefix(".")])
    if field == "kind":
        return Clause("(f.kind IS ?)", [value.lower()])
    if field == "orientation":
        if value.lower() not in _SHAPES:
            raise _unknown(field, value)
        return Clause(f"(f.width > 0 AND f.width {_SHAPES[value.lower()]} f.height)", [])
    if field == "camera":
        anywhere = value if "*" in value or "?" in value else f"*{value}*"
        return Clause("(f.camera <> '' AND text_matches(?, f.camera))", [anywhere])
    if field == "keyword":
        return Clause(f"({_KEYWORD})", [value])
    return Clause("(f.told <> '' AND words_match(?, f.told))", [value])


def _number(term: Term) -> Clause:
    try:
        value = float(term.value)
    except ValueError:
        raise _unknown(term.field, term.value) from None
    return Clause(f"(({NUMBERS[term.field]} {_SQL_OPERATOR[term.op]} ?) IS TRUE)", [value])


def _unknown(field: str, value: str | float) -> QueryError:
    return QueryError(_("{comparison} is no comparison").format(comparison=f"{field}:{value}"))


def _place(term: Term) -> Clause:
    """Compare with a circle or a box; files of which no place is known are in none."""
    text = str(term.value)
    if term.field == "near" and (near := read_near(text)):
        south, north = latitude_span(near)
        sql = "f.latitude BETWEEN ? AND ? AND distance_m(f.latitude, f.longitude, ?, ?) <= ?"
        return _placed(sql, [south, north, near.latitude, near.longitude, near.radius_m])
    box = read_box(text) if term.field == "box" else None
    if box is None:
        raise _unknown(term.field, text)
    west, east = _eastward(box)
    sql = f"f.latitude BETWEEN ? AND ? AND (f.longitude >= ? {'AND' if west <= east else 'OR'} f.longitude <= ?)"
    return _placed(sql, [box.south, box.north, west, east])


def _eastward(box: Box) -> tuple[float, float]:
    """Return west and east such that the date line, which is kept as -180, is in the box where it should be."""
    if box.west == 180:
        return -180.0, (-180.0 if box.east == 180 else box.east)
    return box.west, (-180.0 if box.east == 180 and box.west > -180 else box.east)


def _placed(sql: str, values: list[str | float]) -> Clause:
    return Clause(f"(f.latitude IS NOT NULL AND f.longitude IS NOT NULL AND {sql})", values)


def _date(term: Term, today: date) -> Clause:
    """Compare with a period (a year, a month, a day, ...): ``>`` is after its end, ``>=`` from its start.

    ``taken`` is when the camera says it was, ``modified`` when the file was changed, ``date`` the first of these that
    is known. Both are wall-clock time: the camera's (of a video that says it in UTC alone, the time it was here, see
    ``media.dates``), and that of the file's time here. Offsets are not looked at.
    """
    start, end = bounds(str(term.value), today)
    operator = _SQL_OPERATOR[term.op]
    taken = _within("substr(f.taken_at, 1, 19)", operator, start.isoformat(), end.isoformat())
    modified = _within("f.mtime_ns", operator, moment_ns(start), moment_ns(end))
    if term.field == "taken":
        return Clause(f"(f.taken_at IS NOT NULL AND {taken.sql})", taken.values)
    if term.field == "modified":
        return Clause(f"({modified.sql})", modified.values)
    sql = f"(CASE WHEN f.taken_at IS NOT NULL THEN {taken.sql} ELSE {modified.sql} END)"
    return Clause(sql, taken.values + modified.values)


def _within(column: str, operator: str, start: str | int, end: str | int) -> Clause:
    return {
        "=": Clause(f"{column} >= ? AND {column} < ?", [start, end]),
        "<": Clause(f"{column} < ?", [start]),
        "<=": Clause(f"{column} < ?", [end]),
        ">": Clause(f"{column} >= ?", [end]),
        ">=": Clause(f"{column} >= ?", [start]),
    }[operator]


def moment_ns(moment: datetime) -> int:
    """Return a local time as nanoseconds since 1970, as files have it, within what SQLite's integers hold."""
    try:
        seconds = int(moment.timestamp())
    except (OverflowError, ValueError, OSError):
        seconds = -(1 << 62) if moment.year < 1970 else 1 << 62
    return max(-(1 << 63), min((1 << 63) - 1, seconds * _NS))
