"""Pictures side by side in the cells of a terminal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.viewing.graphics import PROTOCOLS
from retrieval.viewing.strips import GAP, grid_for, strip


@given(st.integers(1, 500), st.sampled_from(PROTOCOLS), st.tuples(st.integers(4, 40), st.integers(8, 80)))
def test_a_strip_stays_within_the_terminal(columns, protocol, cell):
    grid = grid_for(columns, protocol, cell)
    assert grid.across >= 1
    _, cells = strip([None] * grid.across, grid)
    assert cells.columns <= max(4, columns - 1)
    assert cells.rows == grid.tile.rows >= 2


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(PROTOCOLS))
def test_a_picture_keeps_its_shape_and_touches_the_lower_left(width, height, protocol):
    pixels = np.full((height, width, 3), 200, np.uint8)
    grid = grid_for(100, protocol)
    canvas, cells = strip([pixels], grid)
    assert canvas.shape == (cells.rows * grid.cell[1], cells.columns * grid.cell[0], 4)
    rows, columns = np.nonzero(canvas[..., 3])
    wide, high = columns.max() + 1, rows.max() - rows.min() + 1
    assert rows.max() == canvas.shape[0] - 1
    assert columns.min() == 0
    assert abs(wide / width - high / height) <= max(1 / width, 1 / height)  # to a pixel
    assert wide == canvas.shape[1] or high == canvas.shape[0]  # as large as fits
    assert (canvas[canvas[..., 3] > 0][:, :3] == 200).all()


def test_each_picture_stands_above_its_caption():
    grid = grid_for(100, "sixel")
    assert grid.across == 3
    pictures = [np.full((3, 4, 3), shade, np.uint8) for shade in (50, 100, 150)]
    canvas, _ = strip([pictures[0], None, pictures[2]], grid)
    step = (grid.tile.columns + GAP) * grid.cell[0]
    assert canvas[-1, 0].tolist() == [50, 50, 50, 255]
    assert canvas[:, step : 2 * step - GAP * grid.cell[0], 3].max() == 0
    assert canvas[-1, 2 * step].tolist() == [150, 150, 150, 255]


@pytest.mark.parametrize(("columns", "across"), [(30, 1), (80, 2), (120, 3), (240, 6)])
def test_wider_terminals_show_more_half_blocks(columns, across):
    assert grid_for(columns, "blocks").across == across
