"""The hits of a query as one HTML page that holds its pictures: it loads nothing, runs nothing, and can be sent on."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from retrieval.present import alike_text, rounded
from retrieval.query import split_item
from retrieval.types import Hit, Hits
from retrieval.viewing.asked import AskedPicture, asked_with
from retrieval.viewing.pages import clock, page_of
from retrieval.viewing.thumbnails import Spot, Thumbnail, spot_of, thumbnails

TEMPLATE = Path(__file__).with_name("sheet.html")
SIDE = 400
"""The longer side of a picture in pixels."""
MOST_BYTES = 64 * 2**20
"""How long all pictures of a page may be together; the hits behind them are there without a picture."""


class Card(NamedTuple):
    """One hit as shown.

    ``moment`` and ``best`` are the times of a video, else empty; ``parts`` are what each part of the query added, and
    what it is, where that was asked for; ``alike`` says how many hits were folded into it.
    """

    rank: int
    score: str
    name: str
    folder: str
    address: str
    picture: Thumbnail
    moment: str
    best: str
    size: str
    taken: str
    parts: tuple[tuple[str, str], ...]
    alike: str


class Shown(NamedTuple):
    """A picture of the query."""

    name: str
    at: str
    note: str
    picture: Thumbnail


def sheet_of(hits: Hits, progress: Callable[[int, int], None] | None = None) -> str:
    """Return the page: the query with its pictures, and a card a hit in the order of the hits.

    A card shows the picture, or the best frame of the moment, and leads to the file. What cannot be read has the reason
    instead. ``progress`` is told how many pictures of how many are done.
    """
    asked = asked_with(hits.query)
    spots = [*(_spot(one) for one in asked.pictures), *map(spot_of, hits.hits)]
    small = thumbnails(spots, side=SIDE, most_bytes=MOST_BYTES, progress=progress)
    return page_of(
        TEMPLATE,
        words=asked.words,
        where=asked.where,
        pictures=[_shown(one, small) for one in asked.pictures],
        cards=[_card(hit, small) for hit in hits.hits],
        searched=hits.searched,
    )


def address_of(hit: Hit) -> str:
    """Return the ``file:`` address of a hit, of a moment with its times (as in W3C Media Fragments)."""
    address = "file://" + quote_from_bytes(os.fsencode(hit.path))
    return address if hit.start_s is None else f"{address}#t={hit.start_s:.3f},{hit.end_s:.3f}"


def _spot(one: AskedPicture) -> Spot:
    return Spot(Path(one.name), one.at_s or 0.0)


def _shown(one: AskedPicture, small: Mapping[Spot, Thumbnail]) -> Shown:
    at = "" if one.at_s is None else clock(one.at_s)
    return Shown(Path(one.name).name, at, one.note, small[_spot(one)])


def _card(hit: Hit, small: Mapping[Spot, Thumbnail]) -> Card:
    path = Path(hit.path)
    moment = ""
    if hit.start_s is not None and hit.end_s is not None:
        moment = f"{clock(hit.start_s)} – {clock(hit.end_s)}"
    return Card(
        hit.rank,
        f"{hit.score:.4f}",
        path.name,
        str(path.parent),
        address_of(hit),
        small[spot_of(hit)],
        moment,
        "" if hit.at_s is None else clock(hit.at_s),
        f"{hit.width} × {hit.height}",
        (hit.taken_at or "")[: len("2024-05-01T12:30")].replace("T", " "),
        tuple(_parts(hit)),
        alike_text(hit),
    )


def _parts(hit: Hit) -> Iterator[tuple[str, str]]:
    """Yield what each part of the query added to the score, and its words or the name of its file."""
    values = rounded([one.share for one in hit.shares], round(hit.score, 4), 4)
    for one, value in zip(hit.shares, values, strict=True):
        name, at_s = split_item(one.part.value)
        at = "" if at_s is None else f" at {clock(at_s)}"
        yield f"{value:+.4f}", one.part.value if one.part.kind == "text" else Path(name).name + at
