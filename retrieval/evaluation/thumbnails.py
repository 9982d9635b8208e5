"""Thumbnails of what a report shows: pictures and moments by their names."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from retrieval.evaluation.moments import Place
from retrieval.viewing.thumbnails import MOST_BYTES, Spot, Thumbnail
from retrieval.viewing.thumbnails import thumbnails as thumbnails_of


def thumbnails(
    places: Iterable[Place],
    folder: Path,
    *,
    most_bytes: int = MOST_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[Place, Thumbnail]:
    """Return a thumbnail of each place; relative paths are below ``folder``.

    A moment is shown by the frame at its middle, a video without one by its first frame. What cannot be shown has the
    reason; see ``viewing.thumbnails``.
    """
    spots = {place: Spot(folder / place.path, _middle_s(place)) for place in places}
    found = thumbnails_of(spots.values(), most_bytes=most_bytes, progress=progress)
    return {place: found[spot] for place, spot in spots.items()}


def _middle_s(place: Place) -> float:
    return 0.0 if place.span is None else (place.span.start_s + place.span.end_s) / 2
