"""What was asked, for looking at: the words of a query, and the pictures of it."""

from pathlib import Path
from typing import NamedTuple

from retrieval.query import NEGATED, format_where, read_item
from retrieval.types import Part, Query

_WITHOUT_PICTURE = frozenset({"text", "vector"})


class AskedPicture(NamedTuple):
    """A picture, a clip or a frame (at ``at_s`` seconds) that is part of a query; ``note`` says how, often nothing."""

    name: str
    at_s: float | None
    note: str


class AskedWith(NamedTuple):
    """A query taken apart: its words with their signs and weights, its pictures, and its filter."""

    words: str
    pictures: tuple[AskedPicture, ...]
    where: str


def asked_with(query: Query) -> AskedWith:
    """Return a query for looking at."""
    words = [part for part in query.parts if part.kind in _WITHOUT_PICTURE]
    return AskedWith(
        " ".join(_signed(part, first=not at) for at, part in enumerate(words)),
        tuple(_picture(part) for part in query.parts if part.kind not in _WITHOUT_PICTURE),
        "" if query.where is None else format_where(query.where),
    )


def _signed(part: Part, first: bool) -> str:
    sign = "− " if part.weight < 0 else "" if first else "+ "
    weight = "" if _is_usual(part) else f"{abs(part.weight):g}:"
    return sign + weight + (part.value if part.kind == "text" else Path(part.value).name)


def _is_usual(part: Part) -> bool:
    """Return whether a part has the weight that it has when none is given."""
    return part.weight in (1.0, -NEGATED)


def _picture(part: Part) -> AskedPicture:
    named = read_item(part.value)
    notes = ["without"] if part.weight < 0 else []
    if not _is_usual(part):
        notes.append(f"weight {abs(part.weight):g}")
    if named.crop is not None:
        notes.append("a region of")
    return AskedPicture(named.path, named.at_s, " ".join(notes))
