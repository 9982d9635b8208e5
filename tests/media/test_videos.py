"""Videos: real times, as shown, kept as far as they decode."""

import itertools
import os
import struct
import subprocess
import sys
import threading
from fractions import Fraction

import av
import numpy as np
import pytest

from retrieval.config import Sampling
from retrieval.errors import MediaError
from retrieval.media import open_media, open_picture
from tests.media_makers import (
    QUADRANTS,
    draw_picture,
    draw_quadrants,
    frame_times,
    pan,
    quadrants_of,
    scramble,
    truncate,
    write_clip,
    write_sound,
)

SHOTS = [("red", 1.0), (draw_picture(1), 2.0), ((0, 160, 0), 1.0)]


def read(path, sampling=None, target=260):
    with open_media(path, sampling or Sampling(), target) as media:
        samples = list(media)
        return media.info, samples, media.notes


def tiles(samples, duration_s):
    items = [s.item for s in samples]
    assert items[0].start_s == 0.0
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(items))
    return items[-1].end_s == pytest.approx(duration_s, abs=0.1)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".mov", ".ts", ".mpg", ".wmv"])
def test_containers(tmp_path, suffix):
    info, samples, notes = read(write_clip(tmp_path / f"a{suffix}", SHOTS))
    assert (info.kind, info.width, info.height) == ("video", 160, 120)
    assert info.duration_s == pytest.approx(4.0, abs=0.4)
    assert [round(s.item.at_s, 1) for s in samples] == [0.0, 1.0, 3.0]
    assert tiles(samples, info.duration_s)
    assert notes == []
    assert samples[0].pixels[60, 80, 0] > 200
    assert samples[0].pixels.flags.c_contiguous


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation(tmp_path, rotation, mirrored):
    path = write_clip(tmp_path / "a.mp4", [(draw_quadrants((160, 120)), 0.4)], rotation=rotation, mirrored=mirrored)
    info, samples, _ = read(path)
    assert (info.width, info.height) == (160, 120)
    assert samples[0].pixels.shape == (120, 160, 3)
    found = quadrants_of(samples[0].pixels)
    assert all(np.abs(np.subtract(found[name], QUADRANTS[name])).max() < 16 for name in QUADRANTS)


def test_rotation_as_phones_write_it(tmp_path):
    """The matrix of the track header, by its definition: (x, y) goes to (ax + cy, bx + dy)."""
    path = write_clip(tmp_path / "a.mp4", [(draw_quadrants((160, 120)), 0.4)])
    data = path.read_bytes()
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    assert struct.unpack(">9i", data[at : at + 36])[0] == one
    quarter = struct.pack(">9i", 0, one, 0, -one, 0, 0, 120 * one, 0, 1 << 30)
    path.write_bytes(data[:at] + quarter + data[at + 36 :])
    info, samples, _ = read(path)
    assert (info.width, info.height) == (120, 160)
    found = quadrants_of(samples[0].pixels)
    assert np.abs(np.subtract(found["top right"], QUADRANTS["top left"])).max() < 16
    assert np.abs(np.subtract(found["top left"], QUADRANTS["bottom left"])).max() < 16


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_of_a_variable_rate_are_real(tmp_path, suffix):
    path = write_clip(tmp_path / f"a{suffix}", [(draw_picture(1), 3.0)], variable=True)
    _, samples, _ = read(path, Sampling("all"))
    expected = frame_times([(None, 3.0)], variable=True)
    assert [s.item.at_s for s in samples] == pytest.approx(expected, abs=0.002)
    assert len(expected) < 60


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_times_count_from_the_start_of_the_file(tmp_path, suffix):
    info, samples, notes = read(write_clip(tmp_path / f"a{suffix}", SHOTS, start_s=5.0))
    assert [round(s.item.at_s, 2) for s in samples] == [0.0, 1.0, 3.0]
    assert info.duration_s == pytest.approx(4.0, abs=0.1)
    assert notes == []


def test_pixel_aspect(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(draw_quadrants((160, 120)), 0.4)], pixel_aspect=Fraction(4, 3))
    info, samples, _ = read(path)
    assert (info.width, info.height) == (213, 120)
    assert samples[0].pixels.shape == (90, 160, 3)


def test_large_frames_are_scaled_and_small_ones_are_not(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(draw_picture(1), 0.2)], size=(640, 480))
    assert (
        read(path, target=100)[1][0].pixels.shape == (200, 266, 3)
        or read(path, target=100)[1][0].pixels.shape[0] == 200
    )
    assert read(path, target=1000)[1][0].pixels.shape == (480, 640, 3)
    assert read(path, target=100)[0].width == 640


def test_gaps_between_keyframes_are_filled(tmp_path):
    moving = pan(draw_picture(1), (160, 120), 12.0)
    path = write_clip(tmp_path / "a.mp4", [(moving, 12.0)])
    _, samples, _ = read(path, Sampling())
    times = [s.item.at_s for s in samples]
    assert max(np.diff(times)) <= 2.05
    assert len(times) <= 25
    assert [s.item.at_s for s in read(path, Sampling("keyframes"))[1]] == [0.0]


def test_keyframes_suffice_when_they_are_near(tmp_path, monkeypatch):
    from retrieval.media.groups import Decoder

    decoded = []
    feed = Decoder.feed
    monkeypatch.setattr(Decoder, "feed", lambda self, packet: decoded.append(packet) or feed(self, packet))
    moving = pan(draw_picture(1), (160, 120), 20.0)
    read(write_clip(tmp_path / "a.mp4", [(moving, 8.0)], keyframe_every=25))
    assert len([p for p in decoded if p is not None]) == 8


def test_still_stretches_are_thinned_and_shots_are_not(tmp_path):
    shots = [(draw_picture(1), 70.0), (draw_picture(2), 3.0), (draw_picture(3), 3.0)]
    info, samples, _ = read(write_clip(tmp_path / "a.mp4", shots, fps=5, keyframe_every=5))
    assert [s.item.at_s for s in samples] == [0.0, 60.0, 70.0, 73.0]
    assert tiles(samples, info.duration_s)


def test_a_cut_without_a_keyframe_is_seen(tmp_path):
    shots = [(draw_picture(i), 3.0) for i in range(3)]
    _, samples, _ = read(write_clip(tmp_path / "a.mp4", shots, keyframe_every=1000))
    assert len(samples) == 3
    assert [s.item.at_s for s in samples] == pytest.approx([0.0, 3.0, 6.0], abs=0.5)


def test_black_beginnings_are_skipped_and_all_black_is_kept(tmp_path):
    _, samples, _ = read(write_clip(tmp_path / "a.mp4", [("black", 1.0), (draw_picture(1), 2.0)]))
    assert [s.item[:3] for s in samples] == [(1.0, 0.0, pytest.approx(3.0, abs=0.05))]
    _, samples, _ = read(write_clip(tmp_path / "b.mp4", [("black", 3.0)]))
    assert [s.item.at_s for s in samples] == [0.0]


def test_every_and_all(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(draw_picture(1), 6.0)], keyframe_every=75)
    assert [s.item.at_s for s in read(path, Sampling("every", 2.0))[1]] == pytest.approx([0.0, 2.0, 4.0], abs=0.001)
    assert len(read(path, Sampling("every", 0.5))[1]) == 12
    assert len(read(path, Sampling("all"))[1]) == 150


def test_sound_alone_is_refused(tmp_path):
    for path in (write_sound(tmp_path / "a.mp4"), write_sound(tmp_path / "b.mp3", cover=draw_picture(1, (64, 64)))):
        with pytest.raises(MediaError, match="sound but no pictures"):
            open_media(path)


def test_sound_beside_pictures_does_not_matter(tmp_path):
    info, samples, notes = read(write_clip(tmp_path / "a.mp4", SHOTS, sound=True))
    assert (len(samples), notes) == (3, [])
    assert info.duration_s == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi", ".webm"])
def test_a_cut_video_keeps_what_decodes(tmp_path, suffix):
    moving = pan(draw_picture(1), (160, 120), 8.0)
    path = truncate(write_clip(tmp_path / f"a{suffix}", [(moving, 8.0)], keyframe_every=25), 0.5)
    info, samples, notes = read(path)
    assert len(samples) >= 1
    assert samples[-1].item.end_s < 7
    assert info.duration_s < 7
    assert tiles(samples, info.duration_s)
    assert suffix in (".ts", ".avi") or any("kept what decodes" in note for note in notes)


def test_a_cut_mp4_without_its_index_says_so(tmp_path):
    with pytest.raises(MediaError, match="cut short"):
        open_media(truncate(write_clip(tmp_path / "a.mp4", SHOTS), 0.5))


def test_damage_at_the_end_and_at_the_start(tmp_path):
    moving = pan(draw_picture(1), (160, 120), 8.0)
    for name, part in (("tail", (0.6, 0.95)), ("head", (0.02, 0.3))):
        path = scramble(write_clip(tmp_path / f"{name}.ts", [(moving, 8.0)], keyframe_every=25), *part)
        _, samples, _ = read(path)
        assert samples
        assert tiles(samples, samples[-1].item.end_s)


def test_nothing_decodes(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(draw_picture(1), 1.0)])
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[at:end] = bytes(end - at)
    path.write_bytes(data)
    with pytest.raises(MediaError, match="no frame of this video can be decoded"):
        open_media(path)


def test_stderr_stays_quiet(tmp_path, capfd):
    path = scramble(write_clip(tmp_path / "a.ts", SHOTS), 0.4, 0.6)
    read(path)
    assert capfd.readouterr().err == ""


def test_it_may_be_read_again_and_closed_early(tmp_path):
    path = write_clip(tmp_path / "a.mp4", SHOTS)
    with open_media(path) as media:
        assert next(iter(media)).item.at_s == 0.0
        first = [s.item for s in media]
        assert [s.item for s in media] == first
        assert len(first) == 3
    media.close()


def test_first_picture_of_a_clip(tmp_path):
    assert open_picture(write_clip(tmp_path / "a.mp4", SHOTS)).shape == (120, 160, 3)


def dated(path, **tags):
    """Write a clip that says when it was taken."""
    source = write_clip(path.with_name("undated.mp4"), [("red", 0.2)])
    options = {"movflags": "use_metadata_tags"} if len(tags) > 1 else {}
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        new.metadata.update({name.replace("__", "."): value for name, value in tags.items()})
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def taken_at(path, zone):
    """Read when a clip was taken on a machine of that time zone."""
    code = """
import sys, time
from pathlib import Path
from retrieval.media import open_media
time.tzset()
print(open_media(Path(sys.argv[1])).info.taken_at)
"""
    environment = {**os.environ, "TZ": zone}
    command = [sys.executable, "-c", code, path]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()


# POSIX rules, so that no list of time zones is needed.
NEW_YORK = "EST5EDT,M3.2.0,M11.1.0"


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC0", "2024-05-02T00:00:00+00:00"),
        (NEW_YORK, "2024-05-01T20:00:00-04:00"),
        ("IST-5:30", "2024-05-02T05:30:00+05:30"),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_time_in_utc_is_shown_as_it_was_here(tmp_path, suffix, zone, expected):
    path = dated(tmp_path / f"a{suffix}", creation_time="2024-05-02T00:00:00.000000Z")
    assert taken_at(path, zone) == expected


def test_a_camera_that_says_its_own_time_is_believed(tmp_path):
    tags = {"com__apple__quicktime__creationdate": "2024-05-01T20:00:00+0900"}
    path = dated(tmp_path / "a.mov", creation_time="2024-05-01T11:00:00.000000Z", **tags)
    assert taken_at(path, NEW_YORK) == "2024-05-01T20:00:00+09:00"


def test_unencodable_names(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [("red", 0.2)]).rename(tmp_path / "a\udcff b.mp4")
    assert read(path)[0].kind == "video"


def test_videos_decode_side_by_side_in_threads(tmp_path):
    path = write_clip(tmp_path / "a.mp4", SHOTS)
    expected = [s.pixels.tobytes() for s in read(path)[1]]
    found = []
    threads = [
        threading.Thread(target=lambda: found.append([s.pixels.tobytes() for s in read(path)[1]])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
