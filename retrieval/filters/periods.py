"""Periods of time as filters write them: a year, a day, the last 30 days, from May to July.

::

    period = point | point ".." point | point ".." | ".." point | last | this
    point  = 2024 | 2024-05 | 2024-05-31 | 2024-05-31T12 | 2024-05-31T12:30 | 2024-05-31T12:30:15
           | today | yesterday | "-" number ("d" | "w" | "m" | "y")     that day so long ago
    last   = "last" number unit                 from the day so long ago up to the end of today
    this   = "this" ("week" | "month" | "year") a week begins on Monday
    unit   = day(s) | week(s) | month(s) | year(s)

Words may be joined by spaces, hyphens or underscores. A period that speaks of today stays as it is written, and means
something else each day.
"""

import calendar
import re
from datetime import date, datetime, time, timedelta

from retrieval.errors import QueryError
from retrieval.messages import _

Bounds = tuple[datetime, datetime]
"""When a period begins, and when what comes after it begins, as wall-clock time."""

_ABSOLUTE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d))?)?)?)?)?", re.ASCII)
_AGO = re.compile(r"-(\d{1,6})([dwmy])", re.ASCII)
_LAST = re.compile(r"last[-_ ]?(\d{1,6})?[-_ ]?(day|week|month|year)s?", re.ASCII)
_THIS = re.compile(r"this[-_ ]?(week|month|year)")
_UNITS = {"d": "day", "w": "week", "m": "month", "y": "year"}


def canonical_period(text: str) -> str | None:
    """Return a period as it is kept and printed, or ``None`` for what is none; a range may not end before it begins."""
    words = " ".join(text.split())
    lower = words.lower()
    if found := _LAST.fullmatch(lower):
        count = int(found[1] or 1)
        return f"last-{count}-{found[2]}{'' if count == 1 else 's'}"
    if found := _THIS.fullmatch(lower):
        return f"this-{found[1]}"
    first, dots, last = (part.strip() for part in words.partition(".."))
    if not dots:
        return _canonical_point(first)
    begin, end = _canonical_point(first), _canonical_point(last)
    if (first and begin is None) or (last and end is None) or not (begin or end):
        return None
    if begin and end and _is_absolute(begin) and _is_absolute(end) and _absolute(begin)[0] >= _absolute(end)[1]:
        return None
    return f"{begin or ''}..{end or ''}"


def bounds(period: str, today: date) -> Bounds:
    """Return when a canonical period begins and ends; open ends are the first and last moment there are.

    Raises:
        QueryError: it is no period.
    """
    canonical = canonical_period(period)
    if canonical is None:
        raise QueryError(
            _("date {period} is not known; write 2024, 2024-05-31, 2024-05..2024-07, today or last-30-days").format(
                period=period
            )
        )
    if found := _LAST.fullmatch(canonical):
        return _day(_ago(today, int(found[1]), found[2]))[0], _day(today)[1]
    if found := _THIS.fullmatch(canonical):
        return _current(today, found[1])
    begin, dots, end = canonical.partition("..")
    if not dots:
        return _point(begin, today)
    start = _point(begin, today)[0] if begin else datetime.min
    return start, (_point(end, today)[1] if end else datetime.max)


def _canonical_point(text: str) -> str | None:
    lower = text.lower()
    if lower in ("today", "yesterday"):
        return lower
    if found := _AGO.fullmatch(lower):
        return f"-{int(found[1])}{found[2]}"
    return text if _is_absolute(text) else None


def _point(point: str, today: date) -> Bounds:
    if point == "today":
        day = today
    elif point == "yesterday":
        day = _ago(today, 1, "day")
    elif found := _AGO.fullmatch(point):
        day = _ago(today, int(found[1]), _UNITS[found[2]])
    else:
        return _absolute(point)
    return _day(day)


def _is_absolute(text: str) -> bool:
    try:
        _absolute(text)
    except ValueError:
        return False
    return True


def _absolute(text: str) -> Bounds:
    found = _ABSOLUTE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    given = [int(number) for number in found.groups() if number is not None]
    start = datetime(*(given + [1, 1][len(given) - 1 :]) if len(given) < 3 else given)  # type: ignore[arg-type]
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


def _current(today: date, unit: str) -> Bounds:
    if unit == "week":
        monday = today - timedelta(days=today.weekday())
        return _day(monday)[0], _day(_ago(monday, -6, "day"))[1]
    return _absolute(today.isoformat()[: 7 if unit == "month" else 4])


def _ago(today: date, count: int, unit: str) -> date:
    """Return the day so many units before today: the last of a month that is shorter, and never one there is not."""
    try:
        if unit in ("day", "week"):
            return today - timedelta(days=count * (7 if unit == "week" else 1))
        months = today.year * 12 + today.month - 1 - count * (12 if unit == "year" else 1)
        year, month = divmod(months, 12)
        return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))
    except (ValueError, OverflowError):
        return date.min if count > 0 else date.max


def _day(day: date) -> Bounds:
    start = datetime.combine(day, time.min)
    return start, (start + timedelta(days=1) if day < date.max else datetime.max)
