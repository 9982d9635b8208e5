"""Cutting videos: the frames, the times and the sound of a clip are those of its source."""

import io
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.config import Sampling
from retrieval.errors import MediaError
from retrieval.media import open_media
from retrieval.media.cutting import Cut, Form, copy_packets, form_of
from retrieval.media.recoding import encode
from tests.media_makers import (
    QUADRANTS,
    draw_picture,
    draw_quadrants,
    frame_times,
    quadrants_of,
    truncate,
    write_clip,
)

STEP = 8
FPS = 10


def counting(seconds: float) -> Image.Image:
    """Return a picture whose brightness tells the number of the frame (10 a second, the first 30)."""
    return Image.new("RGB", (64, 48), (10 + STEP * round(FPS * seconds),) * 3)


def number_of(pixels: np.ndarray) -> int:
    return round((float(pixels.mean()) - 10) / STEP)


def stairs(seconds: np.ndarray) -> np.ndarray:
    """Return a tone whose height tells the time: 400 Hz in the first half second, then 600, 800 ..."""
    return 0.4 * np.sin(2 * np.pi * (400 + 200 * np.floor(2 * seconds)) * seconds)


class Clip(NamedTuple):
    """What a clip holds: times (s) and numbers of its frames, its length (s), and its samples with their rate."""

    at_s: list[float]
    numbers: list[int]
    end_s: float
    sound: np.ndarray
    rate: int


def read(path: Path) -> Clip:
    with open_media(path, Sampling("all"), 64) as media:
        samples = list(media)
    sound, rate = heard(path)
    at_s = [round(sample.item.at_s, 3) for sample in samples]
    return Clip(at_s, [number_of(one.pixels) for one in samples], samples[-1].item.end_s, sound, rate)


def heard(path: Path) -> tuple[np.ndarray, int]:
    """Return all samples of the first sound track, from time 0 on, and their rate; none without a track."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return np.zeros(0, np.float32), 1
        track = container.streams.audio[0]
        rate = track.codec_context.sample_rate
        samples = np.zeros(0, np.float32)
        for frame in container.decode(track):
            start = round(frame.pts * frame.time_base * rate)
            end = start + frame.samples
            if end > len(samples):
                samples = np.concatenate([samples, np.zeros(end - len(samples), np.float32)])
            samples[max(0, start) : end] = frame.to_ndarray()[0][max(0, -start) :]
        return samples, rate


def pitch_at(clip: Clip, at_s: float) -> float:
    """Return the strongest frequency in Hz of the tenth of a second around a time."""
    first = round((at_s - 0.05) * clip.rate)
    window = clip.sound[first : first + clip.rate // 10]
    spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window)), 8 * len(window)))
    return float(spectrum.argmax() * clip.rate / (8 * len(window)))


def copied(path: Path, start_s: float, end_s: float) -> tuple[Path, Cut]:
    target = io.BytesIO()
    with path.open("rb") as source:
        form = form_of(source, path.suffix)
        cut = copy_packets(source, target, form, start_s, end_s)
    made = path.with_name(f"copied{form.suffix}")
    made.write_bytes(target.getvalue())
    return made, cut


def encoded(path: Path, start_s: float, end_s: float) -> tuple[Path, Cut]:
    target = io.BytesIO()
    with path.open("rb") as source, path.open("rb") as sound:
        cut = encode(source, sound, target, start_s, end_s)
    made = path.with_name("encoded.mp4")
    made.write_bytes(target.getvalue())
    return made, cut


def clip_of(folder: Path, suffix: str = ".mp4", **changes) -> Path:
    options = {"fps": FPS, "size": (64, 48), "keyframe_every": 5, "sound": stairs, **changes}
    return write_clip(folder / f"source{suffix}", [(counting, 3.0)], **options)


# ----------------------------------------------------------------------------------------------------------- copying


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
def test_a_copy_begins_at_the_keyframe_before_and_ends_where_it_should(tmp_path, suffix):
    path = clip_of(tmp_path, suffix)
    offset = start_of(path)  # the sound of MPEG-TS begins earlier
    made, cut = copied(path, 1.2 + offset, 1.8 + offset)
    assert made.suffix == suffix
    assert cut == pytest.approx((1.0 + offset, 1.8 + offset), abs=0.002 if suffix != ".ts" else 0.11)
    clip = read(made)
    assert clip.numbers == list(range(10, 18))
    assert clip.at_s == pytest.approx([clip.at_s[0] + 0.1 * place for place in range(8)], abs=0.002)


def test_avi_stays_avi(tmp_path):
    made, cut = copied(clip_of(tmp_path, ".avi"), 1.2, 1.8)  # every picture is a keyframe here
    assert made.suffix == ".avi"
    assert cut == pytest.approx((1.2, 1.8), abs=0.002)
    assert read(made).numbers == list(range(12, 18))


def test_webm_stays_webm(tmp_path):
    made, _ = copied(clip_of(tmp_path, ".webm", sound=False), 1.2, 1.8)
    assert made.suffix == ".webm"
    assert read(made).numbers == list(range(10, 18))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_sound_of_a_copy_stays_with_its_pictures(tmp_path, suffix):
    clip = read(copied(clip_of(tmp_path, suffix), 1.5, 2.9)[0])
    assert clip.numbers[0] == 15
    for at_s in (0.25, 0.75, 1.25):  # 1.5 to 2 sounds at 1000 Hz, then 1200, then 1400
        assert pitch_at(clip, at_s) == pytest.approx(1000 + 200 * int(2 * at_s), abs=20)
    onset = next(at for at in np.arange(0.3, 0.7, 0.005) if pitch_at(clip, at) > 1100)
    assert onset == pytest.approx(0.5, abs=0.06)


def test_at_a_keyframe_a_copy_begins_with_it(tmp_path):
    for start_s in (0.0, 0.5, 1.0, 2.5):
        clip = read(copied(clip_of(tmp_path), start_s, 3.0)[0])
        assert clip.numbers == list(range(round(10 * start_s), 30))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pictures_stored_out_of_order_are_all_there(tmp_path, suffix):
    made, cut = copied(clip_of(tmp_path, suffix, b_frames=3, keyframe_every=10), 1.0, 1.65)
    assert cut.start_s == pytest.approx(1.0, abs=0.002)
    numbers = read(made).numbers
    assert numbers[:7] == list(range(10, 17))
    assert numbers == list(range(10, 10 + len(numbers)))
    assert len(numbers) <= 10  # one more, at most two, that the last ones are predicted from


def test_a_keyframe_that_is_decoded_before_it_is_shown_is_not_begun_with_too_early(tmp_path):
    path = clip_of(tmp_path, b_frames=3, keyframe_every=10)
    for start_s in (0.95, 0.85, 0.7):
        made, cut = copied(path, start_s, 1.5)
        assert cut.start_s == pytest.approx(0.0, abs=0.002)
        assert read(made).numbers[:3] == [0, 1, 2]


def test_a_copy_counts_from_the_start_of_its_source(tmp_path):
    made, cut = copied(clip_of(tmp_path, ".mkv", start_s=7.0), 1.2, 1.8)
    assert cut.start_s == pytest.approx(1.0, abs=0.002)
    assert read(made).numbers == list(range(10, 18))


def test_a_copy_keeps_a_variable_frame_rate(tmp_path):
    shots = [(counting, 3.0)]
    path = write_clip(tmp_path / "source.mp4", shots, fps=10, size=(64, 48), keyframe_every=1, variable=True)
    made, _ = copied(path, 1.0, 2.0)
    times = [at_s for at_s in frame_times(shots, 10, variable=True) if 1.0 <= at_s < 2.0]
    clip = read(made)
    assert clip.numbers == [round(10 * at_s) for at_s in times]
    assert clip.at_s == pytest.approx([at_s - 1.0 for at_s in times], abs=0.002)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_copy_is_turned_as_its_source_is(tmp_path, suffix):
    path = write_clip(tmp_path / f"source{suffix}", [(draw_quadrants((64, 48)), 2.0)], size=(64, 48), rotation=90)
    assert_upright(copied(path, 0.0, 1.0)[0])


def test_other_containers_become_matroska(tmp_path):
    path = clip_of(tmp_path, ".mpg", sound=False)
    with path.open("rb") as file:
        assert form_of(file, ".mpg") == Form("matroska", ".mkv")
    with clip_of(tmp_path).open("rb") as file:
        assert form_of(file, ".txt") == Form("mp4", ".mp4")  # what it is decides, not what it is called


def test_what_has_no_keyframe_cannot_be_copied(tmp_path):
    path = truncate(clip_of(tmp_path, ".ts"), 0.001)
    with pytest.raises(MediaError):
        copied(path, 0.0, 1.0)


# ---------------------------------------------------------------------------------------------------------- encoding


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".webm", ".avi", ".mpg"])
@pytest.mark.parametrize("keyframe_every", [4, 100])
def test_an_exact_clip_has_exactly_the_frames_asked_for(tmp_path, suffix, keyframe_every):
    path = clip_of(tmp_path, suffix, keyframe_every=keyframe_every, sound=False)
    source = read(path)
    shown = [(at_s, number) for at_s, number in zip(*source[:2], strict=True) if 1.2 <= at_s < 1.8]
    assert len(shown) >= 5
    made, cut = encoded(path, 1.2, 1.8)
    clip = read(made)
    assert clip.numbers == [number for _, number in shown]
    assert clip.at_s == pytest.approx([at_s - 1.2 for at_s, _ in shown], abs=0.002)
    assert clip.end_s == pytest.approx(0.6, abs=0.002)
    assert cut == pytest.approx((1.2, 1.8), abs=0.002)


def start_of(path: Path) -> float:
    with open_media(path, Sampling("all"), 64) as media:
        return next(iter(media)).item.at_s


@settings(max_examples=25)
@given(first=st.integers(0, 29), count=st.integers(1, 30), b_frames=st.sampled_from([0, 2]))
def test_any_stretch_of_frames_comes_out(tmp_path_factory, first, count, b_frames):
    folder = tmp_path_factory.getbasetemp() / f"any{b_frames}"
    path = folder / "source.mp4"
    if not path.exists():
        clip_of(folder, b_frames=b_frames, keyframe_every=7)
    clip = read(encoded(path, first / 10, min(30, first + count) / 10)[0])
    wanted = list(range(first, min(30, first + count)))
    assert clip.numbers == wanted
    assert clip.end_s == pytest.approx(len(wanted) / 10, abs=0.003)
    assert len(clip.sound) / clip.rate == pytest.approx(len(wanted) / 10, abs=0.07)  # 1,024 samples are 64 ms


def test_sound_is_cut_at_the_sample_and_stays_with_its_pictures(tmp_path):
    clip = read(encoded(clip_of(tmp_path), 1.25, 2.75)[0])
    assert clip.numbers[:2] == [12, 13]
    assert len(clip.sound) / clip.rate == pytest.approx(1.5, abs=0.07)
    for at_s, pitch in ((0.125, 1000 - 200), (0.5, 1000), (1.0, 1200), (1.4, 1400)):
        assert pitch_at(clip, at_s) == pytest.approx(pitch, abs=20)
    onset = next(at for at in np.arange(0.1, 0.5, 0.005) if pitch_at(clip, at) > 900)
    assert onset == pytest.approx(0.25, abs=0.03)


def test_a_gap_in_the_sound_is_silence_of_the_same_length(tmp_path):
    def beeps(seconds: np.ndarray) -> np.ndarray:
        return np.where((seconds % 1.0) < 0.1, 0.5 * np.sin(2 * np.pi * 1000 * seconds), 0.0)

    clip = read(encoded(clip_of(tmp_path, ".mkv", sound=beeps), 0.5, 2.9)[0])
    loud = np.abs(clip.sound) > 0.1
    starts = [float(at) / clip.rate for at in np.flatnonzero(loud) if not loud[max(0, at - 800) : at].any()]
    assert starts == pytest.approx([0.5, 1.5], abs=0.01)


def test_between_two_frames_the_one_that_is_shown_begins(tmp_path):
    clip = read(encoded(clip_of(tmp_path, sound=False), 1.25, 1.55)[0])
    assert clip.numbers == [12, 13, 14, 15]
    assert clip.at_s == pytest.approx([0.0, 0.05, 0.15, 0.25], abs=0.002)
    assert clip.end_s == pytest.approx(0.3, abs=0.002)


def test_a_variable_frame_rate_stays_what_it_is(tmp_path):
    shots = [(counting, 3.0)]
    path = write_clip(tmp_path / "source.mp4", shots, fps=10, size=(64, 48), keyframe_every=9, variable=True)
    clip = read(encoded(path, 0.5, 2.5)[0])
    times = [at_s for at_s in frame_times(shots, 10, variable=True) if 0.5 <= at_s < 2.5]
    assert [0.5 + at_s for at_s in clip.at_s[1:]] == pytest.approx(times[1:] if times[0] == 0.5 else times, abs=0.002)
    assert clip.numbers[1:] == [round(10 * at_s) for at_s in (times[1:] if times[0] == 0.5 else times)]
    assert clip.end_s == pytest.approx(2.0, abs=0.002)


@pytest.mark.parametrize(("rotation", "mirrored"), [(90, False), (180, False), (270, False), (0, True)])
def test_turned_and_mirrored_pictures_are_shown_upright(tmp_path, rotation, mirrored):
    path = write_clip(
        tmp_path / "source.mp4", [(draw_quadrants((64, 48)), 2.0)], size=(64, 48), rotation=rotation, mirrored=mirrored
    )
    assert_upright(encoded(path, 0.5, 1.0)[0])


def assert_upright(path: Path) -> None:
    with open_media(path, target=64) as media:
        pixels = next(iter(media)).pixels
    assert pixels.shape[:2] == (48, 64)
    for name, colour in quadrants_of(pixels).items():
        assert np.abs(np.subtract(colour, QUADRANTS[name])).max() < 30


def test_pixels_that_are_not_square_stay_so(tmp_path):
    path = write_clip(tmp_path / "source.mp4", [("red", 1.0)], size=(64, 64), pixel_aspect=Fraction(2))
    with open_media(encoded(path, 0.2, 0.8)[0]) as media:
        assert (media.info.width, media.info.height) == (128, 64)


def test_odd_sides_and_other_pixels_become_what_players_play(tmp_path):
    path = tmp_path / "source.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 65, 49, "bgra"
        for _ in range(5):
            frame = av.VideoFrame.from_image(draw_picture(3, (65, 49))).reformat(format="bgra")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    made, _ = encoded(path, 0.1, 0.4)
    with av.open(str(made)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt, codec.width, codec.height) == ("h264", "yuv420p", 64, 48)
    with open_media(made, Sampling("all"), 64) as media:
        pixels = [sample.pixels for sample in media]
    assert len(pixels) == 3
    wanted = np.asarray(draw_picture(3, (65, 49)).resize((64, 48)), float)
    assert np.abs(pixels[0] - wanted).mean() < 8


def test_behind_the_end_there_is_the_last_frame_and_before_it_all_there_is(tmp_path):
    path = clip_of(tmp_path)
    assert read(encoded(path, 2.8, 99.0)[0]).numbers == [28, 29]
    assert read(encoded(path, 1.0, 1.0)[0]).numbers == [10]


def test_a_damaged_stretch_is_left_out(tmp_path):
    path = truncate(clip_of(tmp_path, ".ts", sound=False), 0.6)
    numbers = read(encoded(path, 0.5, 3.0)[0]).numbers
    assert numbers[:5] == [5, 6, 7, 8, 9]
    assert max(numbers) < 25


def test_what_cannot_be_decoded_is_said(tmp_path):
    path = truncate(clip_of(tmp_path), 0.3)
    with pytest.raises(MediaError):
        encoded(path, 0.5, 1.0)
