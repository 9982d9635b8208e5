"""What videos say of themselves: the tags of their containers, as ffmpeg names them."""

import re
from collections.abc import Iterator, Mapping

from retrieval.media.dates import iso_date, local_date
from retrieval.media.details import (
    NOTHING,
    Said,
    camera_of,
    joined,
    keywords_of,
    place_of,
    rating_of,
    told_of,
    unless_damaged,
)
from retrieval.media.xmp import read_xmp
from retrieval.types import Details

_APPLE = "com.apple.quicktime."
_MAKES = (_APPLE + "make", "make", "com.android.manufacturer")
_MODELS = (_APPLE + "model", "model", "com.android.model")
_PLACES = (_APPLE + "location.iso6709", "location")
_TITLES = (_APPLE + "title", "title", _APPLE + "description", "description", "synopsis", _APPLE + "comment", "comment")
_KEYWORDS = (_APPLE + "keywords", "keywords")
_RATINGS = (_APPLE + "rating.user",)
_ISO_6709 = re.compile(r"([+-])(\d{2,6}(?:\.\d+)?)([+-])(\d{3,7}(?:\.\d+)?)(?:[+-][\d.]+)?(?:CRS.*)?/?", re.ASCII)


def read_container(tags: Mapping[str, str]) -> Said:
    """Return what a container's tags say.

    The date is the wall-clock time of the camera; most containers keep UTC alone, which is shown as it was here.
    """
    lower = {name.lower().removesuffix("-eng"): value for name, value in tags.items()}

    def values(names: tuple[str, ...]) -> Iterator[str]:
        return (lower[name] for name in names if lower.get(name))

    places = filter(None, map(degrees_of, values(_PLACES)))
    ratings = (rating_of(value) for value in values(_RATINGS))
    taken_at = iso_date(lower.get(_APPLE + "creationdate")) or local_date(iso_date(lower.get("creation_time")))
    words = (word for value in values(_KEYWORDS) for word in re.split("[,;]", value))
    place = place_of(*next(places, (None, None)))
    own = Details(
        camera_of(next(values(_MAKES), ""), next(values(_MODELS), "")),
        place.latitude,
        place.longitude,
        next((stars for stars in ratings if stars is not None), None),
        keywords_of(words),
        told_of(values(_TITLES)),
    )
    xmp = unless_damaged(lambda: read_xmp(lower["xmp"]), NOTHING)
    return joined(Said(own, taken_at), [xmp])


def degrees_of(text: str) -> tuple[float, float] | None:
    """Return latitude and longitude of ISO 6709: ``+48.8577+002.295+035/``, also in degrees and minutes (seconds)."""
    found = _ISO_6709.fullmatch(text.strip())
    if not found:
        return None
    latitude, longitude = _degrees(found[2], 2), _degrees(found[4], 3)
    if latitude is None or longitude is None:
        return None
    return (-latitude if found[1] == "-" else latitude), (-longitude if found[3] == "-" else longitude)


def _degrees(digits: str, width: int) -> float | None:
    """Read ``DD.d``, ``DDMM.m`` or ``DDMMSS.s``, degrees being ``width`` digits."""
    whole, _, fraction = digits.partition(".")
    after = len(whole) - width
    if after not in (0, 2, 4):
        return None
    pieces = [whole[:width], *(whole[at : at + 2] for at in range(width, len(whole), 2))]
    pieces[-1] += f".{fraction or 0}"
    return float(sum(float(piece) / 60**power for power, piece in enumerate(pieces)))
