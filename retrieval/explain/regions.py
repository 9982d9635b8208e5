"""From heat over a tower's input to heat over the picture, and to the boxes that hold it: pure geometry."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.embedding.preprocess import Window
from retrieval.explain.heat import Heat

LONGER_SIDE = 256
"""How many cells the longer side of a picture's heat has."""
MOST = 5
"""How many regions are told."""
_LEAST_SHARE = 0.05
_LEVEL = 0.5  # of the highest heat: what is above it makes a region
_LEAST_RANGE = 1e-4  # scores that differ less say nothing


class Region(NamedTuple):
    """A box in pixels of the upright picture; ``share`` is how much of all its heat the region holds, 0 to 1."""

    left: int
    top: int
    width: int
    height: int
    share: float


def on_picture(heat: Heat, window: Window, width: int, height: int) -> NDArray[np.float32]:
    """Lay the heat of a tower's input over a picture of ``width x height`` pixels, upright.

    Returns ``(rows, columns) float32`` of the picture's proportions, the longer side ``LONGER_SIDE``: 0 where a place
    scores no better than half of all places, 1 at the best, NaN where the model does not look. All zero when no place
    stands out. Between the middles of cells, the heat is interpolated.
    """
    longer = max(width, height)
    columns, rows = (max(1, round(LONGER_SIDE * side / longer)) for side in (width, height))
    across = ((np.arange(columns) + 0.5) / columns - window.left) / (window.right - window.left)
    down = ((np.arange(rows) + 0.5) / rows - window.top) / (window.bottom - window.top)
    values = _interpolated(_interpolated(heat, down).T, across).T
    inside = ((down >= 0) & (down <= 1))[:, None] & ((across >= 0) & (across <= 1))[None]
    seen = values[inside]
    floor = float(np.median(seen)) if seen.size else 0.0
    top = float(seen.max()) if seen.size else 0.0
    if top - floor < _LEAST_RANGE:
        return np.where(inside, 0.0, np.nan).astype(np.float32)
    return np.where(inside, np.clip((values - floor) / (top - floor), 0.0, 1.0), np.nan).astype(np.float32)


def find_regions(heat: NDArray[np.float32], width: int, height: int) -> list[Region]:
    """Return the boxes around connected places of at least half the highest heat, those with most heat first.

    ``heat`` is that of ``on_picture``; at most ``MOST`` boxes, none that holds less than 5 % of all heat. The regions
    do not overlap (their boxes may), so the shares sum to 1 at most.
    """
    values = np.nan_to_num(heat, nan=0.0).astype(np.float64)
    whole = float(values.sum())
    if whole <= 0:
        return []
    labels = _connected(values >= _LEVEL)
    rows, columns = values.shape
    found = []
    for label in range(1, int(labels.max()) + 1):
        places = labels == label
        share = float(values[places].sum()) / whole
        down, across = np.flatnonzero(places.any(axis=1)), np.flatnonzero(places.any(axis=0))
        left, right = round(across[0] * width / columns), round((across[-1] + 1) * width / columns)
        top, bottom = round(down[0] * height / rows), round((down[-1] + 1) * height / rows)
        if share >= _LEAST_SHARE:
            found.append(Region(left, top, max(1, right - left), max(1, bottom - top), share))
    return sorted(found, key=lambda region: (-region.share, region.top, region.left))[:MOST]


def _interpolated(values: Heat, at: NDArray[np.float64]) -> Heat:
    """Return rows of ``values`` at the places ``at`` (0 to 1 over all rows), linear between the middles of rows."""
    place = np.clip(at * len(values) - 0.5, 0, len(values) - 1)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    rest = (place - below)[:, None]
    found: Heat = values[below] * (1 - rest) + values[above] * rest
    return found


def _connected(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the connected places (by sides) of a mask from 1; 0 elsewhere."""
    labels = np.zeros(mask.shape, dtype=np.int64)
    rows, columns = mask.shape
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        labels[start] = count
        waiting = [(int(start[0]), int(start[1]))]
        while waiting:
            row, column = waiting.pop()
            for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if 0 <= near[0] < rows and 0 <= near[1] < columns and mask[near] and not labels[near]:
                    labels[near] = count
                    waiting.append(near)
    return labels
