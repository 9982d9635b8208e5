"""A hit before it has a rank: what hits are ordered by, and how they are put in another order."""

import os
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from retrieval.config import Sort
from retrieval.query import format_item
from retrieval.types import Hit, Kind, Share

if TYPE_CHECKING:
    from retrieval.store import ItemRow

DECIMALS = 6
"""Scores that round to the same number are equal."""


class Found(NamedTuple):
    """A hit before it has a rank; ``row`` is an item of its file, ``also`` are the hits that are folded into it."""

    score: float
    row: "ItemRow"
    key: int
    at_s: float | None
    start_s: float | None
    end_s: float | None
    shares: tuple[Share, ...] = ()
    also: tuple["Found", ...] | None = None
    probability: float | None = None
    speed: float | None = None

    @property
    def place(self) -> tuple[float, bytes, float]:
        """What hits are ordered by."""
        return (-round(self.score, DECIMALS), self.row.raw, self.at_s or 0.0)


def hit_of(rank: int, found: Found) -> Hit:
    """Return a hit as it is shown."""
    row = found.row
    path = os.fsdecode(row.raw)
    kind: Kind = row.kind
    return Hit(
        rank,
        found.score,
        path,
        kind,
        found.start_s,
        found.end_s,
        found.at_s,
        format_item(path, found.at_s),
        row.width,
        row.height,
        row.taken_at,
        found.key,
        found.shares,
        None if found.also is None else tuple(_named(one) for one in found.also),
        found.probability,
        found.speed,
    )


def _named(found: Found) -> str:
    return format_item(os.fsdecode(found.row.raw), found.at_s)


def in_order(ranked: Iterable[tuple[int, Found]], sort: Sort) -> list[tuple[int, Found]]:
    """Return what is in order of score in the order asked for."""
    if sort == "path":
        return sorted(ranked, key=lambda one: (one[1].row.raw, one[1].at_s or 0.0))
    if sort == "date":
        return sorted(ranked, key=lambda one: _wall_clock(one[1].row), reverse=True)
    found = list(ranked)
    if sort == "video":
        first: dict[int, int] = {}
        for place, (_, one) in enumerate(found):
            first.setdefault(one.row.file_id, place)
        return sorted(found, key=lambda one: (first[one[1].row.file_id], one[1].at_s or 0.0))
    return found


def _wall_clock(row: "ItemRow") -> str:
    """Return when a file was taken as the filter ``date`` sees it: without its offset, else the file's time."""
    if row.taken_at:
        return row.taken_at[: len("2024-05-01T12:30:00")]
    try:
        return datetime.fromtimestamp(row.mtime_ns // 1_000_000_000).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
