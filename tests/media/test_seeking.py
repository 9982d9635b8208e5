"""Frames at given times: what a player shows then, whatever the container, without reading from the beginning."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.errors import MediaError
from retrieval.media import open_media
from retrieval.media.frames import shown_at, straightened
from tests.media_makers import (
    QUADRANTS,
    draw_picture,
    draw_quadrants,
    frame_times,
    quadrants_of,
    truncate,
    write_animation,
    write_clip,
    write_picture,
)

STEP = 18
"""How much brighter each frame of ``counting`` is than the one before."""


def counting(seconds: float) -> Image.Image:
    """Return a picture whose brightness tells the number of the frame (10 a second, the first 13)."""
    return Image.new("RGB", (64, 48), (10 + STEP * round(10 * seconds),) * 3)


def number_of(pixels: np.ndarray) -> int:
    return round((float(pixels.mean()) - 10) / STEP)


def shown(path: Path, *times_s: float) -> list[np.ndarray]:
    with open_media(path, target=64) as media:
        return list(media.at(times_s))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".webm", ".mpg"])
@pytest.mark.parametrize("keyframe_every", [3, 100])
def test_every_frame_is_found_at_its_time(tmp_path, suffix, keyframe_every):
    path = write_clip(tmp_path / f"a{suffix}", [(counting, 1.3)], fps=10, size=(64, 48), keyframe_every=keyframe_every)
    with open_media(path, sampling_all(), 64) as media:
        there = [(sample.item.at_s, number_of(sample.pixels)) for sample in media]
    assert [number for _, number in there] == list(range(13))
    assert [number_of(pixels) for at_s, _ in there for pixels in shown(path, at_s)] == list(range(13))
    assert [number_of(pixels) for pixels in shown(path, *(at_s for at_s, _ in there))] == list(range(13))


def sampling_all():
    from retrieval.config import Sampling

    return Sampling("all")


def test_between_two_frames_the_earlier_one_is_shown(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(counting, 1.3)], fps=10, size=(64, 48), keyframe_every=4)
    assert [number_of(one) for one in shown(path, 0.0, 0.05, 0.39, 0.4, 0.4, 1.25, 99.0)] == [0, 0, 3, 4, 4, 12, 12]


def test_a_variable_frame_rate_and_a_shifted_start_are_respected(tmp_path):
    shots = [(counting, 1.3)]
    path = write_clip(tmp_path / "a.mkv", shots, fps=10, size=(64, 48), keyframe_every=2, variable=True, start_s=5.0)
    for at_s in frame_times(shots, 10, variable=True):
        (pixels,) = shown(path, at_s)
        assert number_of(pixels) == round(10 * at_s)


def test_times_far_apart_are_sought(tmp_path):
    colours = ["red", "lime", "blue", "white"]
    path = write_clip(tmp_path / "a.mp4", [(colour, 30.0) for colour in colours], fps=5, keyframe_every=50)
    found = [tuple(one[60, 80] // 100) for one in shown(path, 1, 31, 31.5, 61, 119)]
    assert found == [(2, 0, 0), (0, 2, 0), (0, 2, 0), (0, 0, 2), (2, 2, 2)]


def test_turned_videos_are_upright(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(draw_quadrants((64, 48)), 1.0)], size=(64, 48), rotation=90)
    (pixels,) = shown(path, 0.5)
    assert pixels.shape[:2] == (48, 64)
    for name, colour in quadrants_of(pixels).items():
        assert np.abs(np.subtract(colour, QUADRANTS[name])).max() < 30


def test_wide_pixels_are_as_wide_as_shown(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [("red", 1.0)], size=(64, 64), pixel_aspect=Fraction(2))
    (pixels,) = shown(path, 0.5)
    assert pixels.shape[:2] == (32, 64)


def test_a_picture_and_an_animation_have_times_too(tmp_path):
    picture = write_picture(tmp_path / "a.png", draw_picture(1))
    assert len(shown(picture, 0, 5, 9)) == 3
    moving = write_animation(tmp_path / "a.gif", ["red", "lime", "blue"], [200, 300, 400])
    found = [int(one[32, 48].argmax()) for one in shown(moving, 0, 0.19, 0.2, 0.49, 0.5, 7)]
    assert found == [0, 0, 1, 1, 2, 2]


def test_what_is_cut_off_is_the_last_frame_that_decodes(tmp_path):
    path = write_clip(tmp_path / "a.ts", [("red", 2.0), ("blue", 2.0)], fps=10, keyframe_every=5)
    truncate(path, 0.4)
    (pixels,) = shown(path, 3.9)
    assert pixels[60, 80].argmax() == 0


def test_no_times_no_frames_and_none_from_a_video_without_any(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [("red", 1.0)])
    assert shown(path) == []
    (tmp_path / "no.mp4").write_bytes(path.read_bytes()[:200])
    with pytest.raises(MediaError):
        shown(tmp_path / "no.mp4", 0.5)


ascending = st.lists(st.floats(0, 100), min_size=1, max_size=12).map(sorted)


@given(frames=ascending.map(lambda times: sorted(set(times))), wanted=ascending)
def test_shown_at_is_the_last_frame_that_is_not_later(frames, wanted):
    found = list(shown_at([(at_s, at_s) for at_s in frames], wanted))
    slack = 0.0005
    assert found == [max([one for one in frames if one <= at_s + slack], default=frames[0]) for at_s in wanted]


@given(times=st.lists(st.integers(0, 1000), unique=True, max_size=30).map(sorted), data=st.data())
def test_times_that_are_mixed_up_a_little_are_put_in_order(times, data):
    # Whoever is at most two places ahead of its turn may go first.
    mixed, rest = [], list(times)
    while rest:
        late = len(mixed) - times.index(rest[0])  # the first has waited so long
        mixed.append(rest.pop(0 if late >= 3 else data.draw(st.integers(0, min(2, len(rest) - 1)))))
    found = list(straightened([(at_s, place) for place, at_s in enumerate(mixed)]))
    assert [at_s for at_s, _ in found] == times
    assert [place for _, place in found] == list(range(len(times)))
