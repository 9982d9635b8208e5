"""When a picture or video was taken, from what cameras write, as ISO 8601; garbage is no date."""

import re
from datetime import datetime

_STAMP = re.compile(r"(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?(?:\.\d*)?\s*(Z|[+-]\d\d:?\d\d)?")
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d")
_EPOCHS = frozenset({"1904-01-01T00:00:00", "1970-01-01T00:00:00"})
"""What unset clocks of containers read as."""


def iso_date(stamp: object, offset: object = None) -> str | None:
    """Return ``2024-05-01T12:30:00`` (with ``+02:00`` where it is known) for EXIF's or a container's time stamp.

    ``stamp`` and ``offset`` may be anything a damaged file yields; ``None`` comes out of what is no date and time.
    """
    found = _STAMP.match(_text(stamp))
    if not found:
        return None
    try:
        moment = datetime(*(int(part or 0) for part in found.groups()[:6])).isoformat()  # type: ignore[arg-type]
    except ValueError:
        return None
    if moment in _EPOCHS:
        return None
    zone = "+00:00" if found[7] == "Z" else found[7] or _text(offset)
    if len(zone) == 5:
        zone = zone[:3] + ":" + zone[3:]
    return moment + (zone if _OFFSET.fullmatch(zone) else "")


def local_date(taken_at: str | None) -> str | None:
    """Return a date of ``iso_date`` that is in UTC as what a clock here showed then, with the offset it had."""
    if taken_at is None or not taken_at.endswith("+00:00"):
        return taken_at
    try:
        return datetime.fromisoformat(taken_at).astimezone().isoformat()
    except (ValueError, OverflowError, OSError):  # beyond what the system's clock can tell
        return taken_at


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip("\0 ") if isinstance(value, str) else ""
