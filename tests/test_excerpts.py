"""Hits cut to files of their own."""

import errno
import io
from pathlib import Path

import av
import pytest
from PIL import Image

from retrieval.config import Sampling
from retrieval.errors import MediaError
from retrieval.excerpts import write_excerpt
from retrieval.media import open_media
from retrieval.types import Hit
from tests.media_makers import draw_picture, write_animation, write_clip, write_picture

SHOTS = [("red", 2.0), ("blue", 2.0), ("lime", 2.0)]


def picture(path: Path) -> Hit:
    return Hit(1, 0.5, str(path), "image", None, None, None, str(path), 1, 1, None, 7)


def moment(path: Path, start_s: float, end_s: float) -> Hit:
    return picture(path)._replace(kind="video", start_s=start_s, end_s=end_s, at_s=start_s)


def cut(hit: Hit, folder: Path, **how):
    target = io.BytesIO()
    excerpt = write_excerpt(hit, target, **how)
    made = folder / f"made{excerpt.suffix}"
    made.write_bytes(target.getvalue())
    return excerpt, made


def colours(path: Path) -> list[str]:
    with open_media(path, Sampling("all"), 64) as media:
        return [["red", "lime", "blue"][int(sample.pixels[30, 40].argmax())] for sample in media]


def test_a_picture_is_copied_byte_for_byte(tmp_path):
    path = write_picture(tmp_path / "a.jpg", draw_picture(1))
    excerpt, made = cut(picture(path), tmp_path)
    assert excerpt == (".jpg", None, None, "")
    assert made.read_bytes() == path.read_bytes()


def test_an_animated_picture_is_copied_whole(tmp_path):
    path = write_animation(tmp_path / "a.gif", ["red", "blue"], [400, 600])
    excerpt, made = cut(moment(path, 0.4, 1.0), tmp_path)
    assert excerpt.start_s is None
    assert made.read_bytes() == path.read_bytes()


def test_a_moment_becomes_a_clip_of_the_same_kind(tmp_path):
    path = write_clip(tmp_path / "a.mkv", SHOTS, fps=10)
    excerpt, made = cut(moment(path, 2.0, 4.0), tmp_path)
    assert excerpt.suffix == ".mkv"
    assert (excerpt.start_s, excerpt.end_s) == pytest.approx((2.0, 4.0), abs=0.002)
    assert colours(made) == ["blue"] * 20


def test_a_copy_begins_early_and_an_exact_clip_does_not(tmp_path):
    path = write_clip(tmp_path / "a.mp4", SHOTS, fps=10, keyframe_every=100)
    early, made = cut(moment(path, 2.0, 4.0), tmp_path)
    assert early.start_s == 0.0
    assert colours(made) == ["red"] * 20 + ["blue"] * 20
    exact, made = cut(moment(path, 2.0, 4.0), tmp_path, exact=True)
    assert exact == (".mp4", 2.0, pytest.approx(4.0, abs=0.002), "")
    assert colours(made) == ["blue"] * 20


def test_a_moment_of_no_length_is_a_frame(tmp_path):
    path = write_clip(tmp_path / "a.mp4", SHOTS, fps=10)
    _, made = cut(moment(path, 2.5, 2.5), tmp_path, exact=True)
    assert colours(made) == ["blue"]


def test_what_cannot_be_copied_is_encoded_and_says_so(tmp_path):
    path = tmp_path / "a.h264"  # a bare stream: its packets have no times
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for colour in ("red", "blue"):
            for _ in range(25):
                frame = av.VideoFrame.from_image(Image.new("RGB", (96, 64), colour))
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_media(path, Sampling("all"), 64) as media:
        times = [sample.item.at_s for sample in media]
    excerpt, made = cut(moment(path, times[0], times[20]), tmp_path)
    assert excerpt.suffix == ".mp4"
    assert excerpt.note.startswith("encoded anew, since it cannot be cut by copying")
    assert set(colours(made)) == {"red"}


@pytest.mark.parametrize("kind", ["picture", "copy", "exact"])
def test_a_full_disk_is_told_from_a_bad_file(tmp_path, kind):
    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() + len(data) > 200:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    path = write_clip(tmp_path / "a.mp4", SHOTS, fps=10)
    hit = picture(path) if kind == "picture" else moment(path, 0.0, 4.0)
    with pytest.raises(OSError, match="No space left") as error:
        write_excerpt(hit, Full(), exact=kind == "exact")
    assert error.value.errno == errno.ENOSPC


@pytest.mark.parametrize("make", ["missing", "folder", "noise", "truncated"])
def test_what_cannot_be_read_is_a_reason(tmp_path, make):
    path = tmp_path / "a.mp4"
    if make == "folder":
        path.mkdir()
    elif make == "noise":
        path.write_bytes(bytes(range(256)) * 40)
    elif make == "truncated":
        write_clip(path, SHOTS, fps=10)
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(MediaError) as error:
        write_excerpt(moment(path, 0.0, 1.0), io.BytesIO())
    assert "\n" not in str(error.value)
    assert str(tmp_path) not in str(error.value)
