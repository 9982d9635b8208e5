"""Shots: where another one begins, that no kept frame stands for two, and the track of what a video looks like."""

import itertools
from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.config import Sampling
from retrieval.media import open_media, shots, track
from retrieval.media.frames import GRID, Frame, choose, signature
from retrieval.media.groups import Decoder
from retrieval.media.shots import MIN_SHOT_S, Shots, agreement, differing
from retrieval.media.track import Watch, in_shots
from tests.media_makers import draw_picture, pan, write_animation, write_clip, write_gif

SIZE = (160, 120)
A, B, C = (draw_picture(seed, SIZE) for seed in (1, 2, 3))
FPS = 25


def watched(path, sampling=None):
    with open_media(path, sampling or Sampling()) as media:
        samples = list(media)
        return [sample.item for sample in samples], media.info.track


def mixed(one: Image.Image, other: Image.Image, begin_s: float, end_s: float):
    """A shot in which one picture dissolves into another."""
    return lambda t: Image.blend(one, other, min(1.0, max(0.0, (t - begin_s) / (end_s - begin_s))))


def boxed(picture: Image.Image, height: int) -> Image.Image:
    whole = Image.new("RGB", SIZE)
    whole.paste(picture.resize((SIZE[0], height)), (0, (SIZE[1] - height) // 2))
    return whole


# ----------------------------------------------------------------------------------------------------- hard cuts


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".webm", ".mpg"])
@pytest.mark.parametrize("keyframe_every", [None, 1000, 20])
def test_hard_cuts_are_found_to_the_frame(tmp_path, suffix, keyframe_every):
    shown = [(pan(A, SIZE, 12.0), 1.6), (B, 1.44), (pan(C, SIZE, 12.0), 2.08)]
    _, seen = watched(write_clip(tmp_path / f"a{suffix}", shown, keyframe_every=keyframe_every))
    assert seen.cuts_s == pytest.approx([1.6, 3.04], abs=0.011)


def test_a_cut_within_a_short_group_costs_little_more_than_that_group(tmp_path, monkeypatch):
    fed = []
    feed = Decoder.feed
    monkeypatch.setattr(Decoder, "feed", lambda self, packet: fed.append(packet) or feed(self, packet))
    _, seen = watched(write_clip(tmp_path / "a.mp4", [(A, 3.4), (B, 4.6)], keyframe_every=25))
    assert seen.cuts_s == pytest.approx([3.4], abs=0.001)
    assert len([packet for packet in fed if packet is not None]) <= 8 + 2 * 25


def test_shots_of_one_short_group_each_are_told_apart(tmp_path):
    shown = [(pan(picture, SIZE, 8.0), 2.0) for picture in (A, B, C)]
    _, seen = watched(write_clip(tmp_path / "a.mp4", shown, keyframe_every=50))
    assert seen.cuts_s == pytest.approx([2.0, 4.0], abs=0.001)


def test_motion_is_no_cut(tmp_path):
    _, seen = watched(write_clip(tmp_path / "a.mp4", [(pan(A, SIZE, 4.0), 4.0)], keyframe_every=1000))
    assert seen.cuts_s.tolist() == []


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("flash", ["white", B])
def test_a_flash_is_no_cut(tmp_path, frames, flash):
    shown = [(A, 2.0), (flash, frames / FPS), (A, 2.0)]
    _, seen = watched(write_clip(tmp_path / "a.mp4", shown, keyframe_every=1000))
    assert seen.cuts_s.tolist() == []


def test_another_light_is_no_cut(tmp_path):
    dim = Image.eval(A, lambda value: value // 2)
    _, seen = watched(write_clip(tmp_path / "a.mp4", [(A, 2.0), (dim, 2.0), (B, 2.0)], keyframe_every=1000))
    assert seen.cuts_s == pytest.approx([4.0], abs=0.011)


def test_shots_within_a_letterbox_are_told_apart(tmp_path):
    shown = [(boxed(A, 30), 2.0), (boxed(B, 30), 2.0)]
    items, seen = watched(write_clip(tmp_path / "a.mp4", shown, keyframe_every=1000))
    assert seen.cuts_s == pytest.approx([2.0], abs=0.011)
    assert [item.shot for item in items] == [0, 1]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_have_shots(tmp_path, suffix):
    path = write_animation(tmp_path / f"a{suffix}", [A] * 8 + [B] * 8 + [C] * 8, 100, size=SIZE)
    items, seen = watched(path)
    assert seen.cuts_s == pytest.approx([0.8, 1.6])
    assert [item[:4] for item in items] == [(0.0, 0.0, 0.8, 0), (0.8, 0.8, 1.6, 1), (1.6, 1.6, pytest.approx(2.4), 2)]


def test_keyframes_alone_tell_shots_that_begin_with_them(tmp_path):
    items, seen = watched(write_clip(tmp_path / "a.mp4", [(A, 2.0), (B, 3.0)]), Sampling("keyframes"))
    assert seen.cuts_s.tolist() == [2.0]
    assert [item.shot for item in items] == [0, 1]


# ------------------------------------------------------------------------------------------ dissolves and darkness


@pytest.mark.parametrize("lasts_s", [0.5, 1.0, 2.0])
def test_a_dissolve_counts_once_in_its_middle(tmp_path, lasts_s):
    shown = [(mixed(A, B, 3.0, 3.0 + lasts_s), 7.0)]
    _, seen = watched(write_clip(tmp_path / "a.mp4", shown, keyframe_every=1000))
    assert seen.cuts_s == pytest.approx([3.0 + lasts_s / 2], abs=0.25)


def test_a_fade_through_black_counts_once(tmp_path):
    black = Image.new("RGB", SIZE)
    shown = [(mixed(A, black, 2.0, 3.0), 3.4), (mixed(black, B, 0.0, 1.0), 4.0)]
    items, seen = watched(write_clip(tmp_path / "a.mp4", shown, keyframe_every=1000))
    assert seen.cuts_s == pytest.approx([3.5], abs=0.2)
    assert {item.shot for item in items} == {0, 1}


def test_black_beginnings_and_ends_are_no_shots(tmp_path):
    shown = [("black", 1.0), (A, 2.0), ("black", 1.0)]
    _, seen = watched(write_clip(tmp_path / "a.mp4", shown, keyframe_every=1000))
    assert seen.cuts_s.tolist() == []


# ------------------------------------------------------------------------------------------------------ extents


def a_look(level: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(level, level + 90, (GRID, GRID, 3)).astype(np.float32)


@st.composite
def shot_timelines(draw):
    steps = draw(st.lists(st.tuples(st.floats(0.05, 30.0), st.integers(0, 3)), min_size=1, max_size=40))
    times = list(itertools.accumulate(step for step, _ in steps))
    cuts = sorted(
        {time for time in times[1:] if draw(st.booleans())} | set(draw(st.lists(st.floats(0.1, 200), max_size=5)))
    )
    frames = [
        Frame(time, a_look(40 * look, look), place, bisect_right(cuts, time))
        for place, (time, (_, look)) in enumerate(zip(times, steps, strict=True))
    ]
    return frames, cuts, times[-1] + 1.0


SAMPLINGS = st.sampled_from([Sampling(), Sampling("keyframes"), Sampling("every", 3.0), Sampling("all")])


@settings(max_examples=60, deadline=None)
@given(shot_timelines(), SAMPLINGS)
def test_no_frame_stands_for_two_shots(timeline, sampling):
    frames, cuts, end_s = timeline
    kept = list(choose(frames, sampling, lambda: end_s, cuts))
    for one in kept:
        assert one.start_s <= one.at_s <= one.end_s
        assert not any(one.start_s < cut < one.end_s for cut in cuts if cut > frames[0].at_s)
        assert one.shot == bisect_right(cuts, one.at_s)
    for one, other in itertools.pairwise(kept):
        assert one.end_s <= other.start_s
        if other.shot - one.shot <= 1:
            assert one.end_s == other.start_s
    if sampling.mode in ("auto", "all"):
        assert {one.shot for one in kept} == {frame.shot for frame in frames}


@pytest.mark.parametrize("mode", ["auto", "every:2s", "every:300ms", "all"])
def test_items_of_a_clip_know_their_shots(tmp_path, mode):
    shown = [(A, 1.4), (pan(B, SIZE, 6.0), 2.6), ("red", 0.4), (C, 3.0)]
    items, seen = watched(write_clip(tmp_path / "a.mp4", shown, keyframe_every=1000), Sampling.parse(mode))
    assert seen.cuts_s == pytest.approx([1.4, 4.0, 4.4], abs=0.011)
    for item in items:
        assert item.shot == bisect_right(seen.cuts_s.tolist(), item.at_s)
        assert not any(item.start_s < cut < item.end_s for cut in seen.cuts_s)
    if mode == "auto":
        assert {item.shot for item in items} == {0, 1, 2, 3}
        assert [item.at_s for item in items if item.at_s in seen.cuts_s] == seen.cuts_s.tolist()


# -------------------------------------------------------------------------------------------------------- laws


@st.composite
def moving_looks(draw):
    """Looks at up to 30 a second, of a few pictures that give way to one another suddenly."""
    pictures = [a_look(20, seed) for seed in range(4)]
    at_s, frames = 0.0, []
    for picture, count, gap_s in draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(1, 40), st.sampled_from([0.03, 0.04, 0.1, 0.5, 2.0])),
            min_size=1,
            max_size=8,
        )
    ):
        for _ in range(count):
            frames.append((at_s, pictures[picture]))
            at_s += gap_s
    return frames


@settings(max_examples=60, deadline=None)
@given(moving_looks())
def test_cuts_rise_and_are_times_of_changes(frames):
    found = Shots()
    for at_s, look in frames:
        found.see(at_s, look)
        assert found.settled_s <= at_s
    found.finish()
    changes = {b[0] for a, b in itertools.pairwise(frames) if a[1] is not b[1]}
    assert set(found.cuts_s) <= changes
    assert all(b - a >= MIN_SHOT_S for a, b in itertools.pairwise(found.cuts_s))


@settings(max_examples=60, deadline=None)
@given(moving_looks())
def test_what_is_settled_stays(frames):
    found = Shots()
    settled: list[tuple[float, list[float]]] = []
    for at_s, look in frames:
        found.see(at_s, look)
        settled.append((found.settled_s, [cut for cut in found.cuts_s if cut <= found.settled_s]))
    found.finish()
    for until_s, cuts in settled:
        assert cuts == [cut for cut in found.cuts_s if cut <= until_s]


@settings(max_examples=60, deadline=None)
@given(moving_looks())
def test_frames_come_out_with_their_shots_in_order(frames):
    watch = Watch()

    def seen():
        for place, (at_s, look) in enumerate(frames):
            watch.see(at_s, look)
            yield Frame(at_s, look, place) if place % 3 == 0 else None

    told = list(in_shots(seen(), watch))
    assert [frame.payload for frame in told] == list(range(0, len(frames), 3))
    assert [frame.shot for frame in told] == [bisect_right(watch.track().cuts_s.tolist(), f.at_s) for f in told]


def test_a_dissolve_is_found_among_looks_at_ten_a_second():
    a, b = a_look(20, 1), a_look(20, 2)
    found = Shots()
    for tick in range(100):
        part = min(1.0, max(0.0, (tick / 10 - 4) / 1.2))
        found.see(tick / 10, a + part * (b - a))
    assert found.cuts_s == pytest.approx([4.6], abs=0.2)


def test_measures_of_difference():
    a = signature(np.asarray(A))
    assert differing(a, a) == 0
    assert agreement(a, a) == pytest.approx(1)
    assert agreement(a, 0.5 * a + 60) == pytest.approx(1, abs=1e-5)
    assert agreement(a, np.full_like(a, 90)) == 0
    assert differing(a, signature(np.asarray(B))) > shots.LEAST_APART


# ------------------------------------------------------------------------------------------------------- tracks


def test_a_track_holds_looks_a_quarter_second_apart(tmp_path):
    items, seen = watched(write_clip(tmp_path / "a.mp4", [(pan(A, SIZE, 8.0), 8.0)], keyframe_every=1000))
    assert seen.signatures.dtype == np.uint8
    assert seen.signatures.shape == (len(seen.at_s), 96)
    assert (np.diff(seen.at_s) >= 0.24).all()
    assert (np.diff(seen.at_s) < 0.6).all()
    assert seen.at_s[-1] == pytest.approx(8.0, abs=0.3)
    places = [int(np.abs(seen.at_s - item.at_s).argmin()) for item in items]
    both = [(place, item) for place, item in zip(places, items, strict=True) if seen.at_s[place] == item.at_s]
    assert len(both) > 1
    for place, item in both:
        luma = np.frombuffer(item.signature[:256], np.uint8).reshape(8, 2, 8, 2).mean(axis=(1, 3))
        assert seen.signatures[place][:64].reshape(8, 8) == pytest.approx(luma, abs=1)


def test_still_stretches_of_a_track_are_known_by_their_ends(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(A, 20.0), (B, 2.0)], fps=10, keyframe_every=1000)
    _, seen = watched(path)
    assert len(seen.at_s) <= 16
    assert seen.at_s[seen.at_s < 20].max() > 19
    assert np.diff(seen.at_s).max() <= track.STILL_S + 0.5


def test_a_dense_track_has_ten_looks_a_second(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(pan(A, SIZE, 4.0), 4.0)], keyframe_every=25)
    with open_media(path, Sampling(), dense=True) as media:
        kept = list(media)
        found = media.info.track
    assert np.diff(found.at_s) == pytest.approx(np.full(len(found.at_s) - 1, 0.12), abs=0.011)
    assert len(kept) <= 10


def test_a_dense_track_of_an_animation(tmp_path):
    path = write_gif(tmp_path / "a.gif", [(pan(A, SIZE, 3.0), 3.0)], fps=10, size=SIZE)
    with open_media(path) as media:
        list(media)
        sparse = media.info.track
    with open_media(path, dense=True) as media:
        list(media)
        assert len(media.info.track.at_s) == 30 > 2 * len(sparse.at_s)


def test_pictures_have_no_track(tmp_path):
    A.save(tmp_path / "a.png")
    with open_media(tmp_path / "a.png") as media:
        assert [sample.item.shot for sample in media] == [None]
        assert media.info.track is None


def test_hours_of_video_have_a_small_track():
    watch = Watch()
    looks = [a_look(20, seed) for seed in range(2)]
    look = looks[0]
    for tick in range(4 * 3600 * 10):
        look = looks[tick % 2]
        watch._keep(tick / 4, np.full(96, tick % 251, np.uint8)) if tick % 4 else watch.see(tick / 4, look)
    found = watch.track()
    assert found.signatures.nbytes + found.at_s.nbytes < 6_000_000
    assert found.at_s[-1] > 35_990
    assert np.diff(found.at_s).max() < 10


def test_a_track_may_be_read_again(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(A, 2.0), (B, 2.0)])
    with open_media(path) as media:
        list(media)
        first = media.info.track
        list(media)
        again = media.info.track
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
