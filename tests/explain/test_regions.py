"""Heat over the picture, and boxes: worked examples and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from retrieval.embedding.preprocess import Window
from retrieval.explain.regions import LONGER_SIDE, MOST, Region, find_regions, on_picture

WHOLE = Window(0, 0, 1, 1)


def one_hot(row: int, column: int, side: int = 8) -> np.ndarray:
    heat = np.zeros((side, side))
    heat[row, column] = 1.0
    return heat


def test_heat_has_the_proportions_of_the_picture():
    assert on_picture(one_hot(1, 1), WHOLE, 400, 100).shape == (64, LONGER_SIDE)
    assert on_picture(one_hot(1, 1), WHOLE, 100, 400).shape == (LONGER_SIDE, 64)
    assert on_picture(one_hot(1, 1), WHOLE, 5000, 1).shape == (1, LONGER_SIDE)


def test_the_box_is_around_the_hot_cell_of_a_tall_picture():
    (region,) = find_regions(on_picture(one_hot(6, 1), WHOLE, 80, 800), 80, 800)
    assert (region.left + region.width / 2) == pytest.approx(1.5 / 8 * 80, abs=2)
    assert (region.top + region.height / 2) == pytest.approx(6.5 / 8 * 800, abs=8)
    assert region.width == pytest.approx(10, abs=4)
    assert region.height == pytest.approx(100, abs=12)


def test_outside_a_crop_there_is_no_score():
    heat = on_picture(one_hot(0, 0), Window(0.25, 0, 0.75, 1), 200, 100)
    assert np.isnan(heat[:, :64]).all()
    assert np.isnan(heat[:, 192:]).all()
    assert np.isfinite(heat[:, 64:192]).all()
    (region,) = find_regions(heat, 200, 100)
    assert region.left >= 50
    assert region.left + region.width <= 150


def test_what_a_pad_adds_is_not_on_the_picture():
    # The hottest cell lies on the black border above the picture.
    heat = one_hot(0, 4) + 0.5 * one_hot(4, 4)
    (region,) = find_regions(on_picture(heat, Window(0, -0.5, 1, 1.5), 200, 100), 200, 100)
    assert region.top + region.height / 2 == pytest.approx(62.5, abs=3)


def test_regions_come_by_share_and_small_ones_do_not():
    heat = np.zeros((100, 100), dtype=np.float32)
    heat[10:40, 10:40] = 1.0
    heat[60:80, 60:90] = 0.9
    heat[95, 5] = 1.0
    large, small = find_regions(heat, 1000, 500)
    assert large == Region(100, 50, 300, 150, pytest.approx(900 / 1441, abs=1e-6))
    assert small[:4] == (600, 300, 300, 100)


def test_nothing_stands_out_of_a_plain_picture():
    heat = on_picture(np.full((9, 9), 0.3), WHOLE, 64, 48)
    assert (heat == 0).all()
    assert find_regions(heat, 64, 48) == []


@settings(max_examples=60, deadline=None)
@given(
    heat=hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(-1, 1)),
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    left=st.floats(-0.5, 0.4),
    top=st.floats(-0.5, 0.4),
)
def test_boxes_lie_in_the_picture_and_shares_sum_to_one_at_most(heat, width, height, left, top):
    laid = on_picture(heat, Window(left, top, 1 - left, 1 - top), width, height)
    found = find_regions(laid, width, height)
    seen = laid[np.isfinite(laid)]
    assert seen.size == 0 or (seen.min() >= 0 and seen.max() <= 1)
    assert len(found) <= MOST
    assert sum(region.share for region in found) <= 1 + 1e-6
    assert [region.share for region in found] == sorted((region.share for region in found), reverse=True)
    for region in found:
        assert region.left >= 0
        assert region.top >= 0
        assert region.width >= 1
        assert region.height >= 1
        assert region.left + region.width <= max(width, region.left + 1)
        assert region.top + region.height <= max(height, region.top + 1)
