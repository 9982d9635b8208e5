"""From a filter over files to SQL with bound parameters.

Each comparison yields 0 or 1, never NULL, so that ``not`` selects exactly what its clause leaves out: pictures have no
duration, and ``not duration<60`` selects them.
"""

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from retrieval.errors import QueryError
from retrieval.store import globs, paths
from retrieval.types import And, Not, Term, Where

NAMES = ("kind", "path", "ext")
NUMBERS = {"size": "f.size_bytes", "duration": "f.duration_s", "width": "f.width", "height": "f.height"}
_SQL_OPERATOR = {":": "=", "=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_LONGEST = 5_000
_NS = 1_000_000_000


class Clause(NamedTuple):
    """An SQL condition on the table ``files`` under the name ``f``, and the values of its question marks."""

    sql: str
    values: list[str | float]


def compile_where(where: Where) -> Clause:
    """Return the condition that selects what ``where`` selects.

    Raises:
        QueryError: a field, operator or value that no file can be compared with, or too many terms.
    """
    clause = _compile(where)
    if len(clause.values) > _LONGEST:
        raise QueryError(f"a filter of {len(clause.values)} values is too long; name folders or use wildcards")
    return clause


def _compile(where: Where) -> Clause:
    if isinstance(where, Term):
        return _term(where)
    if isinstance(where, Not):
        inner = _compile(where.clause)
        return Clause(f"(NOT {inner.sql})", inner.values)
    word, nothing = ("AND", "1") if isinstance(where, And) else ("OR", "0")
    parts = [_compile(clause) for clause in where.clauses]
    # Halving keeps the expression shallow: SQLite refuses one deeper than a thousand.
    return _joined(word, parts) if parts else Clause(nothing, [])


def _joined(word: str, parts: list[Clause]) -> Clause:
    if len(parts) == 1:
        return parts[0]
    left, right = _joined(word, parts[: len(parts) // 2]), _joined(word, parts[len(parts) // 2 :])
    return Clause(f"({left.sql} {word} {right.sql})", left.values + right.values)


def _term(term: Term) -> Clause:
    if term.op == "!=":
        same = _term(Term(term.field, "=", term.value, term.text))
        return Clause(f"(NOT {same.sql})", same.values)
    if term.field in NAMES:
        return _name(term)
    if term.field in NUMBERS:
        return _number(term)
    if term.field == "date":
        return _date(term)
    raise QueryError(f"{term.field!r} is not a field; use kind, path, ext, date, size, duration, width or height")


def _name(term: Term) -> Clause:
    if term.op not in (":", "="):
        raise QueryError(f"{term.field}{term.op}{term.value} orders names; use {term.field}:{term.value}")
    value = paths.as_text(str(term.value))
    if term.field == "path":
        globs.expression(value)
        return Clause("path_matches(?, f.path_text)", [value])
    if term.field == "ext":
        return Clause("(f.ext = ?)", [value.lower().removeprefix(".")])
    return Clause("(f.kind IS ?)", [value.lower()])


def _number(term: Term) -> Clause:
    try:
        value = float(term.value)
    except ValueError:
        raise QueryError(f"{term.field}{term.op}{term.value} wants a number") from None
    return Clause(f"(({NUMBERS[term.field]} {_SQL_OPERATOR[term.op]} ?) IS TRUE)", [value])


def _date(term: Term) -> Clause:
    """Compare with a period (a year, a month, a day, ...): ``>`` is after its end, ``>=`` from its start.

    Both are wall-clock time: the camera's where the file says when it was taken (of a video that says it in UTC alone,
    the time it was here, see ``media.dates``), else that of the file's time here. Offsets are not looked at.
    """
    prefix = str(term.value).replace(" ", "T")
    start_ns, end_ns = (moment_ns(moment) for moment in period(prefix))
    operator = _SQL_OPERATOR[term.op]
    taken = f"substr(f.taken_at, 1, {len(prefix)}) {operator} ?"
    bounds: dict[str, tuple[str, list[int]]] = {
        "=": ("f.mtime_ns >= ? AND f.mtime_ns < ?", [start_ns, end_ns]),
        "<": ("f.mtime_ns < ?", [start_ns]),
        "<=": ("f.mtime_ns < ?", [end_ns]),
        ">": ("f.mtime_ns >= ?", [end_ns]),
        ">=": ("f.mtime_ns >= ?", [start_ns]),
    }
    written, values = bounds[operator]
    return Clause(f"(CASE WHEN f.taken_at IS NOT NULL THEN {taken} ELSE {written} END)", [prefix, *values])


_PERIOD = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d))?)?)?)?)?")


def period(prefix: str) -> tuple[datetime, datetime]:
    """Return the local times at which the period begins and ends that an ISO 8601 prefix names.

    Raises:
        QueryError: it names none.
    """
    found = _PERIOD.fullmatch(prefix)
    try:
        if found is None:
            raise ValueError(prefix)
        given = [int(number) for number in found.groups() if number is not None]
        start = datetime(*(given + [1, 1][len(given) - 1 :]) if len(given) < 3 else given)  # type: ignore[arg-type]
    except ValueError:
        raise QueryError(f"date {prefix} is not known; write 2024, 2024-05, 2024-05-31 or 2024-05-31T12:30") from None
    try:
        return start, _after(start, len(given))
    except (ValueError, OverflowError):
        return start, datetime.max


def _after(start: datetime, precision: int) -> datetime:
    if precision == 1:
        return start.replace(year=start.year + 1)
    if precision == 2:
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    unit = {3: timedelta(days=1), 4: timedelta(hours=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}[precision]
    return start + unit


def moment_ns(moment: datetime) -> int:
    """Return a local time as nanoseconds since 1970, as files have it, within what SQLite's integers hold."""
    try:
        seconds = int(moment.timestamp())
    except (OverflowError, ValueError, OSError):
        seconds = -(1 << 62) if moment.year < 1970 else 1 << 62
    return max(-(1 << 63), min((1 << 63) - 1, seconds * _NS))
