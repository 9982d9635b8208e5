"""Where a tower's input lies in the picture: drawn marks are found again by ``window``."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.config import Preprocessing
from retrieval.embedding.preprocess import Window, preprocess, window


def test_a_squashed_picture_is_seen_whole():
    assert window(300, 17, Preprocessing(32, 32, "squash")) == Window(0, 0, 1, 1)


def test_a_crop_is_the_middle_and_a_pad_reaches_beyond():
    assert window(200, 100, Preprocessing(50, 50, "crop")) == Window(0.25, 0, 0.75, 1)
    assert window(200, 100, Preprocessing(50, 50, "pad")) == pytest.approx(Window(0, -0.48, 1, 1.52))


@settings(max_examples=60, deadline=None)
@given(
    resize=st.sampled_from(["squash", "crop", "pad"]),
    width=st.integers(60, 240),
    height=st.integers(60, 240),
    tower=st.sampled_from([(64, 64), (48, 80)]),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
)
def test_a_mark_in_the_input_is_where_it_was_drawn(resize, width, height, tower, x, y):
    how = Preprocessing(*tower, resize, "bilinear")
    seen = window(width, height, how)
    # A white square whose middle is a point of the picture that the model looks at.
    middle_x = (max(0, seen.left) + x * (min(1, seen.right) - max(0, seen.left))) * width
    middle_y = (max(0, seen.top) + y * (min(1, seen.bottom) - max(0, seen.top))) * height
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    left, top = int(np.clip(middle_x - 8, 0, width - 16)), int(np.clip(middle_y - 8, 0, height - 16))
    pixels[top : top + 16, left : left + 16] = 255
    light = preprocess(pixels, how)[..., 0].astype(float)
    if light.sum() < 255:
        return  # so little of it is inside that it says nothing
    # Only what lies inside the window can be compared.
    inside = np.zeros_like(pixels)
    rows = slice(int(np.ceil(max(0, seen.top) * height)), int(min(1, seen.bottom) * height))
    columns = slice(int(np.ceil(max(0, seen.left) * width)), int(min(1, seen.right) * width))
    inside[rows, columns] = pixels[rows, columns]
    if not inside.any():
        return
    down, across = (values.mean() + 0.5 for values in np.nonzero(inside[..., 0]))
    weights = light / light.sum()
    found_x = (weights.sum(axis=0) @ (np.arange(how.width) + 0.5)) / how.width
    found_y = (weights.sum(axis=1) @ (np.arange(how.height) + 0.5)) / how.height
    assert seen.left + found_x * (seen.right - seen.left) == pytest.approx(across / width, abs=2.5 / min(width, 64))
    assert seen.top + found_y * (seen.bottom - seen.top) == pytest.approx(down / height, abs=2.5 / min(height, 48))
