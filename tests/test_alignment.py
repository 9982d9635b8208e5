"""Where in a video an excerpt was taken from, told from tracks alone."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from retrieval.ranking.alignment import ALIKE, CENTRED, SPEED, align, densified, prepared, thinned, windowed
from retrieval.types import Track

NONE = np.empty(0)


def scenes(seed: int, lasts_s: float, every_s: float = 2.0) -> "Video":
    """Return a video that goes smoothly from one random look to the next, another each ``every_s`` seconds."""
    rng = np.random.default_rng(seed)
    return Video(rng.uniform(20, 235, (int(lasts_s / every_s) + 2, 96)), every_s, lasts_s)


class Video:
    """A made-up video that can be looked at at any time."""

    def __init__(self, keys: np.ndarray, every_s: float, lasts_s: float) -> None:
        self._keys, self._every_s, self.lasts_s = keys, every_s, lasts_s

    def track(self, apart_s: float, start_s: float = 0.0, end_s: float | None = None, speed: float = 1.0) -> Track:
        """Return what a player sees that shows a stretch ``speed`` times as fast."""
        stretch_s = (self.lasts_s if end_s is None else end_s) - start_s
        at_s = np.arange(0.0, stretch_s / speed, apart_s)
        place = (start_s + speed * at_s) / self._every_s
        low = place.astype(int)
        part = (place - low)[:, None]
        looks = self._keys[low] * (1 - part) + self._keys[low + 1] * part
        return Track(at_s, np.rint(looks).astype(np.uint8), NONE)


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(
    seed=st.integers(0, 1000),
    start_s=st.floats(0, 55),
    lasts_s=st.floats(1.5, 5.0),
    speed=st.floats(0.85, 1.18),
    apart_s=st.sampled_from([0.25, 0.4, 1.0]),
)
def test_an_excerpt_is_found_where_it_was_taken_from(seed, start_s, lasts_s, speed, apart_s):
    video = scenes(seed, 60.0)
    end_s = min(start_s + lasts_s, 60.0)
    found = align(video.track(0.1, start_s, end_s, speed), video.track(apart_s))
    assert found is not None
    assert found.start_s == pytest.approx(start_s, abs=0.4)
    assert found.end_s == pytest.approx(end_s, abs=0.4)
    assert 0.0 <= found.apart <= ALIKE
    assert 1 / SPEED <= found.speed <= SPEED


@settings(max_examples=15, deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 1000), gain=st.floats(0.6, 1.2), shift=st.floats(-15, 15), noise=st.integers(0, 6))
def test_light_contrast_and_noise_do_not_matter(seed, gain, shift, noise):
    video = scenes(seed, 40.0)
    excerpt = video.track(0.1, 17.0, 20.0)
    rough = excerpt.signatures + np.random.default_rng(seed).normal(0, noise, excerpt.signatures.shape)
    rough[:, :64] = rough[:, :64] * gain + shift
    rough[:, 64:] = (rough[:, 64:] - 128) * gain + 128
    altered = excerpt._replace(signatures=np.clip(rough, 0, 255).astype(np.uint8))
    found = align(altered, video.track(0.25))
    assert found is not None
    assert found.start_s == pytest.approx(17.0, abs=0.4)


@pytest.mark.parametrize("window", CENTRED)
def test_a_cropped_excerpt_is_found(window):
    video = scenes(5, 40.0)
    excerpt = video.track(0.1, 21.0, 24.0)
    looks = windowed(excerpt.signatures.astype(np.float32), window)
    found = align(excerpt._replace(signatures=np.clip(looks, 0, 255).astype(np.uint8)), video.track(0.25))
    assert found is not None
    assert found.start_s == pytest.approx(21.0, abs=0.4)


def test_another_video_has_no_place_for_it():
    assert all(
        align(scenes(1, 40.0).track(0.1, 5.0, 8.0), scenes(seed, 40.0).track(0.25)) is None for seed in (2, 3, 4)
    )


def test_the_order_counts():
    video = scenes(1, 40.0)
    excerpt = video.track(0.1, 10.0, 16.0)
    assert align(excerpt, video.track(0.25)) is not None
    assert align(excerpt._replace(signatures=excerpt.signatures[::-1]), video.track(0.25)) is None


def test_hours_of_video_are_searched_in_bounded_memory_and_time():
    video = scenes(3, 3 * 3600.0)
    found = align(video.track(0.1, 7000.0, 7010.0), video.track(0.25))
    assert found is not None
    assert found.start_s == pytest.approx(7000.0, abs=0.5)


def test_an_excerpt_of_minutes_is_found_to_its_ends():
    video = scenes(3, 1800.0)
    found = align(video.track(0.25, 700.0, 1000.0, speed=1.03), video.track(0.25))
    assert found is not None
    assert (found.start_s, found.end_s) == (pytest.approx(700.0, abs=0.7), pytest.approx(1000.0, abs=0.7))
    assert found.speed == pytest.approx(1.03, abs=0.003)


def test_without_looks_there_is_no_place():
    nothing = Track(NONE, np.empty((0, 96), np.uint8), NONE)
    some = scenes(1, 10.0).track(0.25)
    assert align(nothing, some) is None
    assert align(some, nothing) is None
    assert align(some._replace(at_s=some.at_s[:1], signatures=some.signatures[:1]), some) is None


def test_what_is_plain_has_no_place():
    black = Track(np.arange(0.0, 3.0, 0.25), np.full((12, 96), 16, np.uint8), NONE)
    video = scenes(1, 20.0).track(0.25)
    dark = video._replace(signatures=np.where(video.at_s[:, None] > 10, 16, video.signatures).astype(np.uint8))
    assert align(black, dark) is None


def test_thinned_and_filled_in():
    track = scenes(1, 30.0).track(0.1)
    few = thinned(track, 16)
    assert len(few.at_s) == 16
    assert (few.at_s[0], few.at_s[-1]) == (track.at_s[0], track.at_s[-1])
    still = Track(np.array([0.0, 4.0, 4.25]), np.stack([track.signatures[0]] * 2 + [track.signatures[200]]), NONE)
    times, looks = densified(still)
    assert times.tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.25])
    assert (looks[:9] == track.signatures[0]).all()


def test_prepared_looks_do_not_depend_on_light():
    looks = scenes(1, 30.0).track(1.0).signatures.astype(np.float32)
    luma = prepared(looks)[:, :64]
    assert (luma**2).sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    looks[:, :64] = looks[:, :64] * 0.7 + 20
    assert prepared(looks)[:, :64] == pytest.approx(luma, abs=1e-4)
