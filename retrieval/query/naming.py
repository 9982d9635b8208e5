"""The names of items: a file, a time in it, and a region of the picture, as W3C Media Fragments write them."""

import re
from typing import NamedTuple

_NAMED = re.compile(r"(.+)#((?:t|xywh)=[^#]+)", re.DOTALL)
_CLOCK = re.compile(r"(?:\d+:)?(?:\d+:)?\d+(?:\.\d+)?", re.ASCII)
_DECIMAL = r"(\d+(?:\.\d+)?)"
_REGION = re.compile(rf"(?:(percent|pixel):)?{_DECIMAL},{_DECIMAL},{_DECIMAL},{_DECIMAL}", re.ASCII)


class Crop(NamedTuple):
    """A region of an upright picture: in its pixels as shown, or in ``percent`` of its width and height."""

    left: float
    top: float
    width: float
    height: float
    percent: bool = False


class ItemName(NamedTuple):
    """What the name of an item says: the file, the time of a frame in seconds, and the region that is meant."""

    path: str
    at_s: float | None = None
    crop: Crop | None = None


def read_item(value: str) -> ItemName:
    """Read ``path``, ``path#t=12.5``, ``path#xywh=160,120,320,240``, ``path#t=00:00:12.5&xywh=percent:25,25,50,50``.

    The forms are those of Media Fragments URI 1.0 (W3C Recommendation, 2012); numbers may have decimals. What is not
    of that form is all path.
    """
    found = _NAMED.fullmatch(value)
    if not found:
        return ItemName(value)
    said = [piece.partition("=")[::2] for piece in found[2].split("&")]
    fields = dict(said)
    at_s = _seconds(fields["t"]) if "t" in fields else None
    crop = _crop(fields["xywh"]) if "xywh" in fields else None
    whole = ("t" in fields) == (at_s is not None) and ("xywh" in fields) == (crop is not None)
    if len(fields) < len(said) or not fields.keys() <= {"t", "xywh"} or not whole:
        return ItemName(value)
    return ItemName(found[1], at_s, crop)


def split_item(value: str) -> tuple[str, float | None]:
    """Return the path and the seconds of an item's name, ``None`` where no time is given; see ``read_item``."""
    named = read_item(value)
    return named.path, named.at_s


def format_item(path: str, at_s: float | None, crop: Crop | None = None) -> str:
    """Name an item so that ``read_item`` reads it: times to the millisecond, regions to a thousandth."""
    said = [] if at_s is None else [f"t={_written(at_s)}"]
    if crop is not None:
        numbers = ",".join(_written(number) for number in crop[:4])
        said.append(f"xywh={'percent:' if crop.percent else ''}{numbers}")
    return f"{path}#{'&'.join(said)}" if said else path


def _seconds(text: str) -> float | None:
    if not _CLOCK.fullmatch(text):
        return None
    seconds = 0.0
    for number in text.split(":"):
        seconds = 60 * seconds + float(number)
    return seconds


def _crop(text: str) -> Crop | None:
    found = _REGION.fullmatch(text)
    if not found:
        return None
    left, top, width, height = map(float, found.groups()[1:])
    return Crop(left, top, width, height, found[1] == "percent")


def _written(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")
