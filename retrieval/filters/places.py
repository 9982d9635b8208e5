"""Places as filters write them: within some way of a point, or in a box between two latitudes and two longitudes."""

import math
import re
from typing import NamedTuple

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_NEAR = re.compile(
    rf"({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*((?:\d+(?:\.\d*)?|\.\d+))\s*(km|mi|m)", re.ASCII | re.IGNORECASE
)
_BOX = re.compile(r"\s*,\s*".join([f"({_NUMBER})"] * 4), re.ASCII)
_METRES = {"m": 1.0, "km": 1000.0, "mi": 1609.344}
_EARTH_M = 6_371_008.8
"""The mean radius of the earth."""
_FARTHEST_M = 20_100_000.0
"""Half the way round."""


class Near(NamedTuple):
    """All within ``radius_m`` metres of a point, in degrees."""

    latitude: float
    longitude: float
    radius_m: float


class Box(NamedTuple):
    """All between two latitudes and eastward from ``west`` to ``east``, across the date line where that is less."""

    south: float
    west: float
    north: float
    east: float


def read_near(text: str) -> Near | None:
    """Return the circle that ``48.86,2.35,5km`` names, or ``None`` for what names none; units are m, km and mi."""
    found = _NEAR.fullmatch(text.strip())
    if not found:
        return None
    latitude, longitude = _degrees(found[1], 90), _degrees(found[2], 180)
    radius_m = round(float(found[3]) * _METRES[found[4].lower()], 3)
    if latitude is None or longitude is None or not 0 < radius_m <= _FARTHEST_M:
        return None
    return Near(latitude, longitude, radius_m)


def read_box(text: str) -> Box | None:
    """Return the box that ``south,west,north,east`` names, or ``None`` for what names none."""
    found = _BOX.fullmatch(text.strip())
    if not found:
        return None
    south, west, north, east = (_degrees(found[at], 90 if at % 2 else 180) for at in (1, 2, 3, 4))
    if south is None or west is None or north is None or east is None or south > north:
        return None
    return Box(south, west, north, east)


def format_near(near: Near) -> str:
    """Print a circle; ``read_near`` reads it back."""
    whole = near.radius_m >= 1000
    radius = f"{_plain(near.radius_m / 1000, 6)}km" if whole else f"{_plain(near.radius_m, 3)}m"
    return f"{_plain(near.latitude)},{_plain(near.longitude)},{radius}"


def format_box(box: Box) -> str:
    """Print a box; ``read_box`` reads it back."""
    return ",".join(map(_plain, box))


def distance_m(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Return the way over the ground between two places in degrees, in metres (haversine formula, on a sphere)."""
    one, other = math.radians(latitude), math.radians(other_latitude)
    along = math.radians(other_longitude - longitude)
    half = math.sin((other - one) / 2) ** 2 + math.cos(one) * math.cos(other) * math.sin(along / 2) ** 2
    return 2 * _EARTH_M * math.asin(min(1.0, math.sqrt(half)))


def latitude_span(near: Near) -> tuple[float, float]:
    """Return between which latitudes all of a circle lies, with a little to spare."""
    degrees = math.degrees(near.radius_m / _EARTH_M) + 1e-6
    return near.latitude - degrees, near.latitude + degrees


def _degrees(text: str, most: int) -> float | None:
    value = round(float(text), 7) + 0.0  # no negative zero; a hundred-millionth of a degree is a millimetre
    return value if abs(value) <= most else None


def _plain(value: float, decimals: int = 7) -> str:
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")
