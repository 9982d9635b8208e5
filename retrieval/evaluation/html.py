"""One HTML file of an evaluation: its figures, where the right ones stood, and the queries that went worst.

The page holds everything it shows, loads nothing and runs nothing, so it can be read anywhere; it is private, since it
shows the user's own pictures.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from retrieval.errors import OptionError, QueryError
from retrieval.evaluation.moments import Place, meets, parse_place
from retrieval.evaluation.results import Asked, AskedDirection, Summary
from retrieval.evaluation.thumbnails import thumbnails
from retrieval.messages import _
from retrieval.query import parse_query
from retrieval.store.durable import put
from retrieval.viewing.asked import AskedPicture, asked_with
from retrieval.viewing.pages import clock, page_of
from retrieval.viewing.thumbnails import Thumbnail

TEMPLATE = Path(__file__).with_name("report.html")
FOUND = 5
"""So many of what was found instead are shown."""
RIGHT = 5
"""So many of the right ones are shown."""
WORST = 50

_TITLES: dict[AskedDirection, str] = {
    "text_to_image": "Words to pictures",
    "image_to_text": "Pictures to words",
    "library": "Queries of the library",
}
_GALLERIES: dict[AskedDirection, str] = {"text_to_image": "pictures", "image_to_text": "captions", "library": "items"}
"""What ``Summary.counts`` calls the things that the queries of a direction choose from."""
_BINS = (1, 5, 10, 20, 50, 100)


class Tile(NamedTuple):
    """One thing as shown: a caption alone, or a picture with its name and, of a video, its moment.

    ``text`` is the name of the file, ``alt`` its path below the folder and ``title`` its path in full; ``note`` is the
    score, or how a picture stands in its query.
    """

    text: str
    alt: str
    title: str
    picture: Thumbnail | None
    note: str = ""
    is_right: bool = False
    moment: str = ""


class Row(NamedTuple):
    """One bad query: where its right one stood, what was asked, what is right, how much more of it, what was found."""

    where: str
    words: str
    pictures: tuple[Tile, ...]
    right: tuple[Tile, ...]
    more: int
    found: tuple[Tile, ...]


class Bar(NamedTuple):
    """How many queries have ranks of a range; ``width`` is per cent of the longest bar, ``share`` of all queries."""

    label: str
    queries: int
    share: float
    width: float


class Section(NamedTuple):
    """The queries of one direction."""

    id: AskedDirection
    title: str
    queries: int
    bars: tuple[Bar, ...]
    rows: tuple[Row, ...]


def write_html(
    path: Path,
    summary: Summary,
    asked: Sequence[Asked],
    *,
    worst: int = WORST,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the page, whole or not at all, readable by its owner alone.

    Of each direction the ``worst`` queries are shown: those whose best right one stands last, the first asked first
    among equals. ``progress`` is told how many files of how many have their thumbnail.

    Raises:
        OptionError: the path cannot be that of a file.
        OutputError: the file cannot be written; what was there before stays.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise OptionError(
            _("there is no folder {folder} for the report; make it, or name another").format(folder=target.parent)
        )
    if target.exists() and not target.is_file():
        raise OptionError(
            _("{path} is no ordinary file, so no report can be written there; name another").format(path=path)
        )
    page = render(summary, asked, worst=worst, progress=progress).encode()
    put(target, lambda file: file.write(page), over=True, private=True)


def render(
    summary: Summary,
    asked: Sequence[Asked],
    *,
    worst: int = WORST,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Return the page that ``write_html`` writes."""
    chosen = {direction: _worst(asked, direction, worst) for direction in _TITLES}
    rows = [one for of_direction in chosen.values() for one in of_direction]
    shown = thumbnails((place for one in rows for place in _places(one)), summary.folder, progress=progress)
    sections = [
        Section(
            direction,
            title,
            sum(one.direction == direction for one in asked),
            _bars_of([one for one in asked if one.direction == direction], summary),
            tuple(_row(one, _where(one, summary), summary.folder, shown) for one in chosen[direction]),
        )
        for direction, title in _TITLES.items()
        if any(one.direction == direction for one in asked)
    ]
    return page_of(TEMPLATE, summary=summary, sections=sections)


def _bars_of(asked: Sequence[Asked], summary: Summary) -> tuple[Bar, ...]:
    found = [one.rank for one in asked if not _is_missed(one, summary)]
    return bars(found, len(asked) - len(found))


def bars(ranks: Sequence[int], missed: int = 0) -> tuple[Bar, ...]:
    """Count ranks in the ranges 1, 2-5, 6-10, 11-20, 21-50, 51-100 and beyond, and queries that found nothing right.

    Ranges behind the last are left out.
    """
    counts: list[tuple[str, int]] = []
    low = 1
    for high in _BINS:
        counts.append((str(high) if low == high else f"{low}–{high}", sum(low <= rank <= high for rank in ranks)))
        low = high + 1
    counts.append((f"over {_BINS[-1]}", sum(rank >= low for rank in ranks)))
    while len(counts) > 1 and not counts[-1][1]:
        counts.pop()
    if missed:
        counts.append(("not found", missed))
    longest = max(count for _, count in counts) or 1
    return tuple(Bar(label, n, 100 * n / max(1, len(ranks) + missed), 100 * n / longest) for label, n in counts)


def _worst(asked: Sequence[Asked], direction: AskedDirection, count: int) -> list[Asked]:
    """Return the queries with a rank behind 1, worst first."""
    missed = [one for one in asked if one.direction == direction and one.rank > 1]
    return sorted(missed, key=lambda one: -one.rank)[:count]


def _places(one: Asked) -> Iterator[Place]:
    """Yield what is shown of a query as pictures, the most telling first."""
    yield from (place for place, _ in _asked_with(one)[1])
    if one.direction != "image_to_text":
        yield from (_place(one, name) for name in one.relevant[:RIGHT])
        yield from (_place(one, name) for name, _ in one.found[:FOUND])


def _place(one: Asked, name: str) -> Place:
    return parse_place(name) if one.direction == "library" else Place(name)


def _asked_with(one: Asked) -> tuple[str, list[tuple[Place, str]]]:
    """Return the words of a query, and its pictures with what to call them.

    The query of a library is taken apart by its grammar; where that has changed since, it stands as it is.
    """
    if one.is_picture:
        return "", [(Place(one.query), "")]
    if one.direction != "library":
        return one.query, []
    try:
        query = parse_query(one.query)
    except QueryError:
        return one.query, []
    asked = asked_with(query)
    if not asked.pictures:
        return one.query, []
    filtered = f" where:({asked.where})" if asked.where else ""
    return (asked.words + filtered).strip(), [(_place_of(shown), shown.note) for shown in asked.pictures]


def _place_of(shown: AskedPicture) -> Place:
    return Place(shown.name) if shown.at_s is None else parse_place(f"{shown.name}#t={shown.at_s}-{shown.at_s}")


def _where(one: Asked, summary: Summary) -> str:
    return "the right one was not found" if _is_missed(one, summary) else f"the right one stands at {one.rank:,}"


def _is_missed(one: Asked, summary: Summary) -> bool:
    """Return whether nothing right was found: its rank may be small where few hits were looked at."""
    if one.ranks is not None:
        return not one.ranks
    gallery = dict(summary.counts).get(_GALLERIES[one.direction])
    return gallery is not None and one.rank > gallery


def _row(one: Asked, where: str, folder: Path, shown: Mapping[Place, Thumbnail]) -> Row:
    words, pictures = _asked_with(one)
    right_places = [_place(one, name) for name in one.relevant]

    def tile(name: str, note: str = "", is_right: bool = False) -> Tile:
        if one.direction == "image_to_text":
            return Tile(name, "", "", None, note, is_right)
        place = _place(one, name)
        return _picture(place, folder, shown, note, is_right)

    return Row(
        where,
        words,
        tuple(_picture(place, folder, shown, note) for place, note in pictures),
        tuple(tile(name) for name in one.relevant[:RIGHT]),
        max(0, len(one.relevant) - RIGHT),
        tuple(
            tile(name, f"{score:.3f}", any(meets(_place(one, name), right) for right in right_places))
            for name, score in one.found[:FOUND]
        ),
    )


def _picture(
    place: Place, folder: Path, shown: Mapping[Place, Thumbnail], note: str = "", is_right: bool = False
) -> Tile:
    path = Path(place.path)
    with contextlib.suppress(ValueError):
        path = path.relative_to(folder)
    return Tile(path.name, str(path), place.path, shown[place], note.strip(), is_right, _moment(place))


def _moment(place: Place) -> str:
    if place.span is None:
        return ""
    start, end = (clock(seconds) for seconds in place.span)
    return start if start == end else f"{start} – {end}"
