"""Signatures of planes are those of the pixels they show."""

import numpy as np
import pytest
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from retrieval.media.frames import signature
from retrieval.media.planes import Planes, signature_of
from retrieval.media.screen import Screen
from retrieval.media.video import look_of
from tests.media_makers import draw_picture

UPRIGHT = Screen()


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuv420p10le", "gbrp", "nv12", "gray"]
)
@pytest.mark.parametrize("size", [(320, 240), (161, 123), (64, 48), (24, 18)])
def test_formats(pixel_format, size):
    picture = draw_picture(3, size)
    if pixel_format == "gray":
        picture = picture.convert("L").convert("RGB")
    frame = VideoFrame.from_image(picture).reformat(format=pixel_format)
    apart = np.abs(look_of(frame, UPRIGHT) - signature(np.asarray(picture)))
    assert apart.mean() < (4 if min(size) > 18 else 8)
    assert apart[..., 0].max() < 60


@pytest.mark.parametrize(
    ("colours", "turned"),
    [((220, 30, 30), Colorspace.ITU709), ((30, 180, 40), Colorspace.ITU709), ((30, 50, 220), Colorspace.ITU601)],
)
def test_colours_of_high_definition(colours, turned):
    shown = np.full((720, 1280, 3), colours, np.uint8)
    frame = VideoFrame.from_ndarray(shown).reformat(
        format="yuv420p", dst_colorspace=turned, dst_color_range=ColorRange.MPEG
    )
    frame.colorspace = 1 if turned == Colorspace.ITU709 else 5
    assert look_of(frame, UPRIGHT)[8, 8] == pytest.approx(signature(shown)[8, 8], abs=4)


def test_what_is_turned_is_seen_as_it_is_shown():
    picture = draw_picture(3, (160, 120))
    frame = VideoFrame.from_image(picture).reformat(format="yuv420p")
    quarter = Screen(1.0, (0, 1, -1, 0))
    expected = signature(np.ascontiguousarray(quarter.turned(np.asarray(picture))))
    assert np.abs(look_of(frame, quarter) - expected).mean() < 4


def test_white_and_black_are_the_ends():
    for full, low, high in ((False, 16, 235), (True, 0, 255)):
        for value, luma in ((low, 0), (high, 255)):
            planes = [
                np.full(shape, level, np.uint8)
                for shape, level in (((48, 64), value), ((24, 32), 128), ((24, 32), 128))
            ]
            found = signature_of(Planes(planes[0], (planes[1], planes[2]), 255, full))
            assert found == pytest.approx(np.broadcast_to([luma, 0, 0], (16, 16, 3)), abs=0.01)
