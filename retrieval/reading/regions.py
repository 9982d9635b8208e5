"""Regions of pictures as parts of a query: how large a picture is decoded for one, and cutting it out."""

import math
from pathlib import Path

from retrieval.errors import QueryError
from retrieval.messages import _
from retrieval.query import Crop, format_item
from retrieval.types import Pixels

SHARPER = 2
"""How much larger than the model needs it a region is decoded, so that what lies around it does not run into it."""
Size = tuple[int, int]
"""Width and height of an upright picture in its own pixels."""


def target_of(path: Path, crop: Crop, size: Size, wanted: int) -> int:
    """Return how long the shorter side of a picture is decoded, never longer than it is; all in pixels.

    The shorter side of its region is ``SHARPER`` times ``wanted`` then, where the picture has it.

    Raises:
        QueryError: nothing of the region lies within the picture.
    """
    left, top, right, bottom = _box(crop, size, size)
    if right <= left or bottom <= top:
        raise QueryError(
            _("the region {item} lies outside the picture, which is {width} x {height}; choose one within it").format(
                item=format_item(str(path), None, crop), width=size[0], height=size[1]
            )
        )
    return min(min(size), math.ceil(SHARPER * wanted * min(size) / min(right - left, bottom - top)))


def cut_out(pixels: Pixels, crop: Crop, size: Size) -> Pixels:
    """Return the region of a decoded picture, ``(height, width, 3)``, at least one pixel; ``size`` is that of the file.

    What of the region lies outside the picture is left out.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = _box(crop, size, (width, height))
    return pixels[min(top, height - 1) : max(bottom, top + 1), min(left, width - 1) : max(right, left + 1)]


def _box(crop: Crop, size: Size, decoded: Size) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a region in pixels as decoded; rounded outwards, kept within the picture.

    Right is no larger than left where nothing of the region lies within.
    """
    edges = []
    for start, length, whole, now in zip(crop[:2], crop[2:4], size, decoded, strict=True):
        unit = now / 100 if crop.percent else now / whole
        edges.append((math.floor(start * unit + 1e-6), min(now, math.ceil((start + length) * unit - 1e-6))))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom
