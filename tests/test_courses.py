"""Whether two videos show the same from beginning to end."""

import itertools

import numpy as np
import pytest

from retrieval.config import Sampling
from retrieval.media import open_media
from retrieval.media.frames import coarse, signature
from retrieval.ranking.courses import COURSE_ALIKE, MATCHING, comparable, course, matching
from retrieval.types import Track
from tests.media_makers import draw_picture, pan, write_clip

SIZE = (320, 240)
SHOTS = {seed: (pan(draw_picture(seed), SIZE, 4.0), 3.0) for seed in range(8)}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """Return the track and the length of a clip that shows some shots, looked at each ``every_s`` seconds.

    ``None``: looked at as the indexer does.
    """
    numbers = itertools.count()
    folder = tmp_path_factory.mktemp("clips")

    def make(
        *seeds: int, every_s: float | None = 0.5, name: str = "mp4", speed: float = 1.0, **form: object
    ) -> tuple[Track, float]:
        shots = [(lambda at_s, show=show: show(at_s * speed), long_s / speed) for show, long_s in map(SHOTS.get, seeds)]
        path = write_clip(folder / f"{next(numbers)}.{name}", shots, **{"size": SIZE, **form})
        if every_s is None:
            with open_media(path) as media:
                list(media)
                return media.info.track, media.info.duration_s
        times, looks = [], []
        with open_media(path, Sampling("every", every_s)) as media:
            for sample in media:
                times.append(sample.item.at_s)
                looks.append(coarse(signature(sample.pixels)))
            return Track(np.array(times), np.stack(looks), np.empty(0)), media.info.duration_s or times[-1]

    return make


def match(one: tuple[Track, float], other: tuple[Track, float]) -> float:
    return matching(one[0], other[0], one[1], other[1])


def near(one: tuple[Track, float], other: tuple[Track, float]) -> float:
    return float((course(*one) * course(*other)).sum())


@pytest.mark.parametrize(
    "form",
    [
        {"size": (160, 120)},
        {"name": "webm", "fps": 15},
        {"fps": 12, "every_s": 0.37},
        {"keyframe_every": 10, "every_s": 0.25},
        {"variable": True},
        {"speed": 1.1},
        {"speed": 0.9, "fps": 15},
        {"every_s": None},
        {"every_s": None, "keyframe_every": 15, "speed": 1.05},
        {"every_s": None, "size": (160, 120), "keyframe_every": 250, "fps": 12},
    ],
    ids=str,
)
def test_copies_in_other_forms_match(tracked, form):
    original, copy = tracked(0, 1, 2), tracked(0, 1, 2, **form)
    assert match(original, copy) >= MATCHING
    assert match(copy, original) == match(original, copy)
    assert near(original, copy) >= COURSE_ALIKE


def test_other_videos_do_not(tracked):
    original = tracked(0, 1, 2)
    assert match(original, tracked(3, 4, 5)) == 0
    assert match(original, tracked(2, 1, 0)) < MATCHING  # the order counts
    assert match(original, tracked(0, 1, 3)) < MATCHING
    assert match(original, tracked(0, 1, 2, 3)) == 0  # the longer is no copy of its part
    assert near(original, tracked(3, 4, 5)) < COURSE_ALIKE


def test_lengths_of_copies_differ_little():
    assert comparable(10.0, 10.9)
    assert not comparable(5.0, 6.1)
    assert comparable(3600.0, 3600.0 * 1.1)
    assert comparable(3600.0, 3600.0 / 1.1)
    assert not comparable(3600.0, 4200.0)


def test_a_video_of_one_frame_and_one_without(tracked):
    short = Track(np.array([0.0]), tracked(0)[0].signatures[:1], np.empty(0))
    nothing = Track(np.empty(0), np.empty((0, 96), np.uint8), np.empty(0))
    assert matching(short, short, 0.0, 0.0) == 1.0
    assert matching(short, nothing, 0.0, 0.0) == 0.0
    assert course(short, 0.0).shape == (1, 768)


def test_what_was_not_looked_at_says_nothing(tracked):
    whole, length_s = tracked(0, 1, 2, every_s=0.25)
    few = Track(whole.at_s[::8], whole.signatures[::8], np.empty(0))
    assert match((whole, length_s), (few, length_s)) >= MATCHING
    other = tracked(0, 3, 4, every_s=2.0)
    assert match((whole, length_s), other) < MATCHING
    start = Track(whole.at_s[:1], whole.signatures[:1], np.empty(0))
    assert match((whole, length_s), (start, length_s)) == 0  # of twelve seconds one look is known
