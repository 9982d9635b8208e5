"""The fields of filters: what each is compared with, how that is written, and an example."""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from retrieval.filters.periods import canonical_period
from retrieval.filters.places import format_box, format_near, read_box, read_near
from retrieval.messages import N_

Value = str | float

_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
_SIZE = re.compile(rf"({_NUMBER})\s*([kmgt]?b|[kmg]ib)?", re.ASCII | re.IGNORECASE)
_PLAIN = re.compile(_NUMBER, re.ASCII | re.IGNORECASE)
_MEGAPIXELS = re.compile(rf"({_NUMBER})\s*(?:mp)?", re.ASCII | re.IGNORECASE)
_RATIO = re.compile(rf"({_NUMBER})(?:\s*[:/x]\s*({_NUMBER}))?", re.ASCII | re.IGNORECASE)
_SECONDS = re.compile(rf"({_NUMBER})\s*(ms|s)?", re.ASCII | re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]?\d(?:\.\d+)?)", re.ASCII)
_LONG = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII | re.IGNORECASE)


class Field(NamedTuple):
    """What may be asked of one field: ``read`` returns the value in the column's unit, or ``None`` for what is none.

    ``wanted`` says what a value is, ``example`` is a comparison. Only a field that is ``ordered`` knows < and >.
    """

    read: Callable[[str], Value | None]
    wanted: str
    example: str
    ordered: bool = True


def _one_of(*names: str) -> Callable[[str], str | None]:
    return lambda text: text.lower() if text.lower() in names else None


def _any(text: str) -> str | None:
    return text or None


def _pattern(text: str) -> str | None:
    return text if text.strip() else None


def _words(text: str) -> str | None:
    return text if re.search(r"[\w*?]", text) else None


def _name(text: str) -> str | None:
    return text if text and "/" not in text else None


def _ext(text: str) -> str | None:
    return text.lower().removeprefix(".") or None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def read_size(text: str) -> float | None:
    """Return the bytes that ``1.5MB`` or ``2GiB`` are, or ``None`` for what is no size."""
    found = _SIZE.fullmatch(text)
    return _finite(float(found[1]) * _UNITS[(found[2] or "b").lower()]) if found else None


def _number(text: str) -> float | None:
    return _finite(float(text)) if _PLAIN.fullmatch(text) else None


def _megapixels(text: str) -> float | None:
    found = _MEGAPIXELS.fullmatch(text)
    return _finite(float(found[1])) if found else None


def _ratio(text: str) -> float | None:
    found = _RATIO.fullmatch(text)
    over = float(found[2] or 1) if found else 0.0
    return _finite(float(found[1]) / over) if found and over else None


def _rating(text: str) -> float | None:
    stars = _number(text)
    return stars if stars is not None and stars <= 5 else None


def _duration(text: str) -> float | None:
    if found := _SECONDS.fullmatch(text):
        return _finite(float(found[1]) / (1000 if (found[2] or "").lower() == "ms" else 1))
    if found := _CLOCK.fullmatch(text):
        return int(found[1] or 0) * 3600 + int(found[2]) * 60 + float(found[3])
    if text and (found := _LONG.fullmatch(text)):
        return float(found[1] or 0) * 3600 + float(found[2] or 0) * 60 + float(found[3] or 0)
    return None


def _near(text: str) -> str | None:
    near = read_near(text)
    return near and format_near(near)


def _box(text: str) -> str | None:
    box = read_box(text)
    return box and format_box(box)


_PERIOD = N_("a date as 2024, 2024-05, 2024-05-31, 2024-05..2024-07, today, yesterday, -7d or last-30-days")
_PIXELS = N_("a number of pixels")
_PATTERN = N_("words, with * for any characters")

TABLE: dict[str, Field] = {
    "kind": Field(_one_of("image", "video"), N_("image or video"), "kind:video", False),
    "path": Field(_any, N_("a path or a pattern"), "path:holiday/**", False),
    "ext": Field(_ext, N_("an ending of file names"), "ext:jpg", False),
    "name": Field(_name, N_("a file name or a pattern, without folders"), "name:IMG_*", False),
    "date": Field(canonical_period, _PERIOD, "date>2024-05"),
    "taken": Field(canonical_period, _PERIOD, "taken:last-30-days"),
    "modified": Field(canonical_period, _PERIOD, "modified:today"),
    "size": Field(read_size, N_("a size in B, KB, MB, GB, KiB, MiB or GiB"), "size>1MB"),
    "duration": Field(_duration, N_("a duration such as 60, 90s, 2m, 1h, 1:30 or 00:01:30"), "duration<1:30"),
    "width": Field(_number, _PIXELS, "width>=1920"),
    "height": Field(_number, _PIXELS, "height>=1080"),
    "megapixels": Field(_megapixels, N_("a number of millions of pixels"), "megapixels>12"),
    "aspect": Field(_ratio, N_("width to height, as 1.78 or 16:9"), "aspect>=16:9"),
    "orientation": Field(
        _one_of("landscape", "portrait", "square"),
        N_("landscape, portrait or square"),
        "orientation:portrait",
        False,
    ),
    "camera": Field(_pattern, _PATTERN, "camera:nikon", False),
    "near": Field(_near, N_("latitude, longitude and a distance in m, km or mi"), "near:48.86,2.35,5km", False),
    "box": Field(_box, N_("the degrees south,west,north,east"), "box:48.8,2.2,48.9,2.5", False),
    "rating": Field(_rating, N_("a number of stars from 0 to 5"), "rating>=4"),
    "keyword": Field(_pattern, N_("a keyword, with * for any characters"), "keyword:holiday", False),
    "told": Field(_words, _PATTERN, "told:sunset", False),
}


def format_size(size_bytes: float) -> str | None:
    """Print a size in the largest unit that keeps it exact, or ``None`` where there is none."""
    for unit in ("GB", "MB", "KB"):
        written = f"{size_bytes / _UNITS[unit.lower()]:g}{unit}"
        if size_bytes >= _UNITS[unit.lower()] and read_size(written) == size_bytes:
            return written
    return None
