"""Pictures in terminals: what the encoders write is read back and compared with the pixels that went in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retrieval.viewing.graphics import PROTOCOLS, Cells, blocks, drawn, iterm, kitty, through_tmux
from retrieval.viewing.sixel import sixel
from tests.media_makers import draw_picture
from tests.viewing.decoders import decode_blocks, decode_iterm, decode_kitty, decode_sixel


def photo(width: int, height: int, seed: int = 3) -> np.ndarray:
    """Return a drawn picture as a canvas with a transparent stripe at its left."""
    canvas = np.full((height, width, 4), 255, np.uint8)
    canvas[..., :3] = np.asarray(draw_picture(seed, (width, height)))
    canvas[:, : width // 8, 3] = 0
    return canvas


canvases = st.tuples(st.integers(1, 9), st.integers(1, 20)).flatmap(
    lambda size: arrays(np.uint8, (2 * size[0], size[1], 4), elements=st.sampled_from([0, 1, 95, 128, 200, 255]))
)


def opaque(canvas: np.ndarray) -> np.ndarray:
    return canvas[..., 3] >= 128


@pytest.mark.parametrize("size", [(1, 1), (37, 23), (520, 180)])
def test_kitty_gets_every_pixel_in_chunks(size):
    canvas = photo(*size)
    pixels, keys = decode_kitty(kitty(canvas, Cells(52, 9)))
    assert np.array_equal(pixels, canvas)
    assert keys == {"a": "T", "f": "100", "q": "2", "c": "52", "r": "9", "m": keys["m"]}


def test_iterm_gets_every_pixel_and_its_cells():
    canvas = photo(520, 180)
    pixels, keys = decode_iterm(iterm(canvas, Cells(52, 9)))
    assert np.array_equal(pixels, canvas)
    assert (keys["inline"], keys["width"], keys["height"], keys["preserveAspectRatio"]) == ("1", "52", "9", "0")


def test_a_sixel_photo_looks_as_it_did():
    canvas = photo(260, 181)
    pixels = decode_sixel(sixel(canvas))
    assert pixels.shape == canvas.shape
    assert np.array_equal(pixels[..., 3] > 0, opaque(canvas))
    far = np.abs(pixels[..., :3].astype(float) - canvas[..., :3])[opaque(canvas)]
    assert far.mean() < 5


@given(canvases)
def test_a_sixel_picture_of_few_colours_is_exact_but_for_its_percentages(canvas):
    pixels = decode_sixel(sixel(canvas))
    assert np.array_equal(pixels[..., 3] > 0, opaque(canvas))
    if len(np.unique(canvas[..., :3].reshape(-1, 3), axis=0)) <= 200:
        far = np.abs(pixels[..., :3].astype(int) - canvas[..., :3])[opaque(canvas)]
        assert far.max(initial=0) <= 6  # median cut may merge neighbours; a per cent is 2.55


@given(canvases)
def test_half_blocks_hold_two_pixels_each(canvas):
    pixels = decode_blocks(blocks(canvas))
    assert np.array_equal(pixels[..., 3] > 0, opaque(canvas))
    assert np.array_equal(pixels[opaque(canvas)][:, :3], canvas[opaque(canvas)][:, :3])


@given(arrays(np.uint8, (2, 7, 3)))
def test_the_256_colours_are_near_the_real_ones(colours):
    canvas = np.dstack([colours, np.full((2, 7), 255, np.uint8)])
    pixels = decode_blocks(blocks(canvas, many_colours=False))
    far = np.abs(pixels[..., :3].astype(int) - colours).sum(axis=2)
    assert far.max() <= 3 * 48  # half the widest step between two levels, for each of red, green and blue


def test_greys_take_the_finer_greys():
    canvas = np.full((2, 1, 4), 255, np.uint8)
    canvas[..., :3] = 118
    assert decode_blocks(blocks(canvas, many_colours=False))[0, 0].tolist() == [118, 118, 118, 255]


def test_a_style_is_written_once_for_a_run():
    canvas = np.full((2, 50, 4), 255, np.uint8)
    assert blocks(canvas).count("\x1b") == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_protocol_is_drawn_by_its_name(protocol):
    canvas = photo(40, 20)
    cells = Cells(40, 10)
    begins = {"kitty": "\x1b_G", "iterm": "\x1b]1337;", "sixel": "\x1bP0;1;0q", "blocks": "\x1b[0m "}
    assert drawn(canvas, cells, protocol).startswith(begins[protocol])


def test_tmux_hands_on_what_is_wrapped():
    inside = kitty(photo(300, 200), Cells(30, 10))
    wrapped = through_tmux(inside)
    assert wrapped.startswith("\x1bPtmux;\x1b\x1b_G")
    body = wrapped.removeprefix("\x1bPtmux;").removesuffix("\x1b\\")
    assert body.replace("\x1b\x1b", "\x1b") == inside
    assert "\x1b" not in body.replace("\x1b\x1b", "")  # a single escape would end it
