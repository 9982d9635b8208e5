"""Pictures side by side over a terminal's width, so that what is written below stands under each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from retrieval.types import Pixels
from retrieval.viewing.graphics import Canvas, Cells, Protocol

GAP = 2
"""Columns between two pictures."""
_WIDTHS: dict[Protocol, int] = {"kitty": 24, "iterm": 24, "sixel": 24, "blocks": 38}
"""The least columns of a picture: coarse ones are larger."""
USUAL_CELL = (10, 20)
"""Pixels of a cell, (width, height), where the terminal does not say."""


class Grid(NamedTuple):
    """How pictures stand side by side: ``across`` of them, each in ``tile`` cells of ``cell`` pixels."""

    across: int
    tile: Cells
    cell: tuple[int, int]


def grid_for(columns: int, protocol: Protocol, cell: tuple[int, int] = USUAL_CELL) -> Grid:
    """Return the grid for a terminal of so many columns; ``cell`` is the size of a cell in pixels, (width, height)."""
    usable = max(4, columns - 1)  # a picture that reaches the last column makes some terminals go to the next line
    across = max(1, (usable + GAP) // (_WIDTHS[protocol] + GAP))
    wide = min((usable + GAP) // across - GAP, 2 * _WIDTHS[protocol])
    wide = max(4, wide)
    rows = max(2, round(wide * cell[0] * 3 / (4 * cell[1])))
    return Grid(across, Cells(wide, rows), (1, 2) if protocol == "blocks" else cell)


def strip(pictures: Sequence[Pixels | None], grid: Grid) -> tuple[Canvas, Cells]:
    """Return pictures side by side on a transparent ground, and the cells they fill; ``None`` leaves its place empty.

    Each is scaled to fit its tile and stands at its lower left.
    """
    from PIL import Image

    wide, high = grid.cell
    columns = len(pictures) * (grid.tile.columns + GAP) - GAP
    canvas = np.zeros((grid.tile.rows * high, columns * wide, 4), dtype=np.uint8)
    for place, pixels in enumerate(pictures):
        if pixels is None:
            continue
        width, height = _fitted(pixels, grid)
        scaled = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
        left = place * (grid.tile.columns + GAP) * wide
        canvas[len(canvas) - height :, left : left + width, :3] = scaled
        canvas[len(canvas) - height :, left : left + width, 3] = 255
    return canvas, Cells(columns, grid.tile.rows)


def _fitted(pixels: Pixels, grid: Grid) -> tuple[int, int]:
    """Return the width and height in pixels that keep a picture's shape within a tile."""
    height, width = pixels.shape[:2]
    most_wide, most_high = grid.tile.columns * grid.cell[0], grid.tile.rows * grid.cell[1]
    scale = min(most_wide / width, most_high / height)
    return max(1, min(most_wide, round(width * scale))), max(1, min(most_high, round(height * scale)))
