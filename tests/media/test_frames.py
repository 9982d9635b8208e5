"""Laws of the choice of frames."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.config import Sampling
from retrieval.media.frames import (
    CUT,
    GRID,
    STILL,
    STILL_MAX_S,
    Frame,
    Sieve,
    change,
    choose,
    coarse,
    compact,
    is_black,
    next_tick,
    signature,
)
from tests.media_makers import draw_picture

settings.register_profile("quick", max_examples=40, deadline=None)
settings.load_profile("quick")


def plain(level: float, spot: float = 0.0) -> np.ndarray:
    """A signature of one luma, with one row of cells brighter by ``spot``."""
    made = np.zeros((GRID, GRID, 3), dtype=np.float32)
    made[..., 0] = level
    made[0, :, 0] += spot
    return made


LOOKS = st.sampled_from([plain(5), plain(60), plain(64), plain(110), plain(60, 40), plain(200), plain(110, 90)])
TIMELINES = st.lists(st.tuples(st.floats(0.05, 45.0, allow_nan=False), LOOKS), min_size=1, max_size=40).map(
    lambda steps: _timeline(steps)
)
SAMPLINGS = st.sampled_from(
    [
        Sampling(),
        Sampling("keyframes"),
        Sampling("every", 2.0),
        Sampling("every", 0.3),
        Sampling("all"),
        Sampling(max_gap_s=5),
    ]
)


def _timeline(steps):
    at_s, frames = 0.0, []
    for index, (step, look) in enumerate(steps):
        frames.append(Frame(at_s, look, index))
        at_s += step
    return frames, at_s


@given(TIMELINES, SAMPLINGS)
def test_something_is_kept_in_rising_order_and_the_extents_tile(timeline, sampling):
    frames, end_s = timeline
    kept = list(choose(frames, sampling, lambda: end_s))
    assert kept
    assert all(a.at_s < b.at_s for a, b in itertools.pairwise(kept))
    assert kept[0].start_s == 0.0
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(kept))
    assert kept[-1].end_s == end_s
    assert all(k.start_s <= k.at_s <= k.end_s for k in kept)
    assert all(frames[k.payload].at_s == k.at_s for k in kept)


@given(TIMELINES, SAMPLINGS)
def test_what_is_kept_is_kept_again(timeline, sampling):
    frames, end_s = timeline
    once = list(choose(frames, sampling, lambda: end_s))
    again = list(choose([frames[k.payload] for k in once], sampling, lambda: end_s))
    assert again == once


@given(TIMELINES)
def test_another_shot_is_always_kept(timeline):
    frames, end_s = timeline
    kept = {k.payload for k in choose(frames, Sampling(), lambda: end_s)}
    last = None
    for index, frame in enumerate(frames):
        if not is_black(frame.signature) and last is not None:
            assert index in kept or change(last, frame.signature).overall <= CUT
        if index in kept:
            last = frame.signature


@given(TIMELINES)
def test_no_gap_is_longer_than_allowed_where_something_moves(timeline):
    """Between two kept frames more than a gap apart, nothing differed early enough to be kept instead."""
    frames, end_s = timeline
    gap_s = Sampling().max_gap_s
    kept = list(choose(frames, Sampling(), lambda: end_s))
    for a, b in itertools.pairwise(kept):
        if b.at_s - a.at_s > gap_s:
            between = [f for f in frames[a.payload + 1 : b.payload] if f.at_s - a.at_s <= gap_s]
            assert all(
                is_black(f.signature) or change(frames[a.payload].signature, f.signature).local <= STILL
                for f in between
            )


def test_a_still_stretch_keeps_one_frame_a_minute():
    frames = [Frame(i * 0.5, plain(90 + i % 2), i) for i in range(600)]
    kept = list(choose(frames, Sampling(), lambda: 300.0))
    assert [k.at_s for k in kept] == [0.0, STILL_MAX_S, 120.0, 180.0, 240.0]


def test_motion_is_sampled_once_a_gap():
    frames = [Frame(i * 0.5, plain(60, 40 * (i % 3)), i) for i in range(100)]
    kept = list(choose(frames, Sampling(max_gap_s=2.0), lambda: 50.0))
    assert max(b.at_s - a.at_s for a, b in itertools.pairwise(kept)) <= 2.5
    assert 20 <= len(kept) <= 40


@pytest.mark.parametrize("mode", ["auto", "keyframes"])
def test_black_is_skipped_unless_there_is_nothing_else(mode):
    black, lit = plain(3), plain(120)
    kept = list(
        choose([Frame(0.0, black, "b"), Frame(1.0, lit, "l"), Frame(2.0, black, "b")], Sampling(mode), lambda: 3.0)
    )
    assert [(k.at_s, k.start_s, k.end_s, k.payload) for k in kept] == [(1.0, 0.0, 3.0, "l")]
    kept = list(choose([Frame(i * 1.0, black, i) for i in range(200)], Sampling(mode), lambda: 200.0))
    assert [(k.at_s, k.start_s, k.end_s) for k in kept] == [(0.0, 0.0, 200.0)]


def test_dark_scene_with_a_light_is_not_black():
    assert is_black(plain(8))
    assert not is_black(plain(8, 120))


def test_frames_that_step_back_are_dropped():
    frames = [Frame(t, plain(60), t) for t in (0.0, 2.0, 1.0, 2.0, 4.0)]
    assert [k.at_s for k in choose(frames, Sampling("all"))] == [0.0, 2.0, 4.0]


def test_every_keeps_the_first_frame_at_or_after_each_tick():
    frames = [Frame(i / 30, plain(60), i) for i in range(300)]
    kept = list(choose(frames, Sampling("every", 2.0), lambda: 10.0))
    assert [round(k.at_s, 3) for k in kept] == [0.0, 2.0, 4.0, 6.0, 8.0]


@given(st.floats(0, 1e5), st.floats(0.01, 600))
def test_next_tick_is_the_next_multiple(at_s, every_s):
    tick = next_tick(at_s, every_s)
    assert tick > at_s
    assert tick - at_s <= every_s * 1.001 + 0.001
    assert tick / every_s == pytest.approx(round(tick / every_s))


def test_it_is_causal_and_holds_few_frames():
    asked = 0

    def endless():
        nonlocal asked
        while True:
            asked += 1
            yield Frame(asked * 1.0, plain(50 + 100 * (asked % 2)), asked)

    stream = choose(endless(), Sampling())
    for _ in range(50):
        next(stream)
    assert asked <= 53


@given(TIMELINES, SAMPLINGS)
def test_the_sieve_passes_the_first_frame_and_never_hides_a_tick(timeline, sampling):
    frames, _ = timeline
    sieve = Sieve(sampling)
    passed = [f for f in frames if sieve.passes(f.at_s, False)]
    assert passed[0] is frames[0]
    if sampling.mode in ("every", "all", "keyframes"):
        assert [k.at_s for k in choose(passed, sampling)] == [k.at_s for k in choose(frames, sampling)]


def test_signature_survives_compression_and_sees_another_picture(tmp_path):
    from PIL import Image

    picture = draw_picture(4, (320, 240))
    picture.save(tmp_path / "a.jpg", quality=30)
    clean, rough = signature(np.asarray(picture)), signature(np.asarray(Image.open(tmp_path / "a.jpg")))
    assert change(clean, rough).local < STILL / 2
    assert change(clean, signature(np.asarray(draw_picture(5, (320, 240))))).overall > CUT


def test_a_signature_is_kept_in_384_bytes_and_more_coarsely_in_96():
    picture = np.zeros((160, 160, 3), dtype=np.uint8)
    picture[:80, :80] = (255, 0, 0)
    picture[80:, 80:] = (200, 200, 200)
    found = signature(picture)
    whole = np.frombuffer(compact(found), np.uint8)
    assert len(whole) == 384
    luma, chroma = whole[:256].reshape(16, 16), whole[256:].reshape(8, 8, 2)
    assert (luma[0, 0], luma[0, 15], luma[15, 0], luma[15, 15]) == (76, 0, 0, 200)
    assert chroma[0, 0].tolist() == [85, 255]
    assert chroma[7, 7].tolist() == chroma[0, 7].tolist() == [128, 128]
    less = coarse(found)
    assert (less.shape, less.dtype) == ((96,), np.uint8)
    luma, chroma = less[:64].reshape(8, 8), less[64:].reshape(4, 4, 2)
    assert (luma[0, 0], luma[0, 7], luma[7, 0], luma[7, 7]) == (76, 0, 0, 200)
    assert chroma[0, 0].tolist() == [85, 255]
    assert chroma[3, 3].tolist() == [128, 128]
