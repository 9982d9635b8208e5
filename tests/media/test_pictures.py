"""Pictures of all kinds come out as they are shown."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import MediaError
from retrieval.media import open_media, open_picture
from retrieval.media.frames import compact, signature
from retrieval.types import Item
from tests.media_makers import (
    QUADRANTS,
    copy_as,
    draw_picture,
    draw_quadrants,
    quadrants_of,
    truncate,
    write_animation,
    write_clip,
    write_oriented,
    write_picture,
    write_png_header,
)


def shows_quadrants(pixels, tolerance=12):
    found = quadrants_of(pixels)
    return all(np.abs(np.subtract(found[name], QUADRANTS[name])).max() <= tolerance for name in QUADRANTS)


def only(path, target=260):
    with open_media(path, target=target) as media:
        samples = list(media)
        assert len(samples) == 1
        assert samples[0].item == Item(signature=compact(signature(samples[0].pixels)))
        return media.info, samples[0].pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    info, pixels = only(write_oriented(tmp_path / "a.jpg", orientation))
    assert (info.kind, info.width, info.height, info.format) == ("image", 64, 48, "jpeg")
    assert pixels.shape == (48, 64, 3)
    assert shows_quadrants(pixels)


def test_orientation_of_a_reduced_picture_and_a_tiff(tmp_path):
    info, pixels = only(write_oriented(tmp_path / "a.jpg", 6, (1600, 1200)), target=100)
    assert (info.width, info.height) == (1600, 1200)
    assert pixels.shape[0] < pixels.shape[1]
    assert shows_quadrants(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write_picture(tmp_path / "a.tif", draw_quadrants().transpose(Image.Transpose.ROTATE_90), exif=exif)
    info, pixels = only(path)
    assert (info.width, info.height) == (64, 48)
    assert shows_quadrants(pixels)


@pytest.mark.parametrize(
    "suffix", [".png", ".bmp", ".webp", ".tiff", ".gif", ".ppm", ".tga", ".jp2", ".qoi", ".avif", ".heic"]
)
def test_formats(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".heic":
        import pillow_heif

        pillow_heif.from_pillow(draw_quadrants()).save(path, quality=90)
    elif suffix == ".webp":
        write_picture(path, draw_quadrants(), lossless=True)
    else:
        write_picture(path, draw_quadrants())
    info, pixels = only(path)
    assert (info.kind, info.width, info.height, info.duration_s) == ("image", 64, 48, None)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert shows_quadrants(pixels)


def test_transparency_is_composed_on_white(tmp_path):
    picture = Image.new("RGBA", (40, 20), (200, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (20, 0, 40, 20))
    half = Image.new("LA", (40, 20), (0, 128))
    for path in (
        write_picture(tmp_path / "a.png", picture),
        write_picture(tmp_path / "a.webp", picture, lossless=True),
    ):
        pixels = open_picture(path)
        assert tuple(pixels[10, 5]) == (200, 0, 0)
        assert tuple(pixels[10, 35]) == (255, 255, 255)
    assert np.abs(open_picture(write_picture(tmp_path / "la.png", half)).astype(int) - 127).max() <= 1
    palette = Image.new("P", (40, 20), 1)
    palette.putpalette([10, 200, 30, 0, 0, 0])
    palette.paste(0, (0, 0, 20, 20))
    pixels = open_picture(write_picture(tmp_path / "p.png", palette, transparency=1))
    assert tuple(pixels[10, 5]) == (10, 200, 30)
    assert tuple(pixels[10, 35]) == (255, 255, 255)


def test_transparency_of_a_large_picture_keeps_its_colours_when_reduced(tmp_path):
    picture = Image.new("RGBA", (3000, 2000), (0, 255, 0, 0))
    picture.paste((200, 0, 0, 255), (0, 0, 1500, 2000))
    pixels = open_picture(write_picture(tmp_path / "a.png", picture, compress_level=1), target=100)
    assert min(pixels.shape[:2]) >= 100
    assert tuple(pixels[50, 20]) == (200, 0, 0)
    assert tuple(pixels[50, -20]) == (255, 255, 255)


def test_cmyk_has_the_right_colours(tmp_path):
    path = write_picture(tmp_path / "a.jpg", draw_quadrants((160, 120)).convert("CMYK"), quality=95)
    assert shows_quadrants(open_picture(path), tolerance=20)
    path = write_picture(tmp_path / "a.tif", draw_quadrants((160, 120)).convert("CMYK"))
    assert shows_quadrants(open_picture(path), tolerance=4)


@pytest.mark.parametrize(("top", "suffix"), [(65535, ".png"), (65535, ".tif"), (4095, ".tif"), (1023, ".png")])
def test_deep_samples_are_scaled_not_clipped(tmp_path, top, suffix):
    ramp = np.linspace(0, top, 256).astype(np.uint16)[None, :].repeat(32, axis=0)
    pixels = open_picture(write_picture(tmp_path / f"a{suffix}", Image.fromarray(ramp)))
    assert np.abs(pixels[16, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 255.0), (-3.0, 9.0), (0.0, 1e6)])
def test_fractions_are_scaled(tmp_path, low, high):
    ramp = np.linspace(low, high, 256, dtype=np.float32)[None, :].repeat(8, axis=0)
    ramp[0, 0] = np.nan
    pixels = open_picture(write_picture(tmp_path / "a.tif", Image.fromarray(ramp)))
    assert np.abs(pixels[4, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr", "LAB"])
def test_modes(tmp_path, mode):
    grey = Image.linear_gradient("L").resize((64, 64))
    if mode == "LAB":
        picture = Image.merge("LAB", (grey, Image.new("L", (64, 64), 128), Image.new("L", (64, 64), 128)))
    else:
        picture = grey.convert("RGB").convert(mode)
    suffix = ".jpg" if mode == "YCbCr" else ".tif"
    pixels = open_picture(write_picture(tmp_path / f"a{suffix}", picture))
    assert pixels.shape == (64, 64, 3)
    assert pixels[:8].mean() < 40
    assert pixels[-8:].mean() > 200


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_size_of_the_pixels(tmp_path, suffix):
    path = write_picture(tmp_path / f"a{suffix}", draw_picture(1, (2000, 1500)))
    info, pixels = only(path, target=200)
    assert (info.width, info.height) == (2000, 1500)
    assert 200 <= min(pixels.shape[:2]) <= 400
    assert abs(pixels.shape[1] / pixels.shape[0] - 4 / 3) < 0.02
    assert open_picture(path, target=5000).shape == (1500, 2000, 3)
    small = np.asarray(Image.fromarray(pixels).resize((40, 30)), dtype=float)
    assert np.abs(small - np.asarray(draw_picture(1, (2000, 1500)).resize((40, 30)), dtype=float)).mean() < 4


def test_bands_equal_the_whole(tmp_path, monkeypatch):
    from retrieval.media import pixels as module

    path = write_picture(tmp_path / "a.png", draw_picture(2, (613, 407)).convert("P"))
    whole = open_picture(path, target=100)
    monkeypatch.setattr(module, "_BAND_PIXELS", 5000)
    assert np.array_equal(open_picture(path, target=100), whole)


def test_first_page_counts(tmp_path):
    path = write_picture(
        tmp_path / "a.tif", draw_quadrants(), save_all=True, append_images=[Image.new("RGB", (64, 48))]
    )
    info, pixels = only(path)
    assert info.kind == "image"
    assert shows_quadrants(pixels)


def test_taken_at(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "2024:05:01 12:30:00", 0x9011: "+02:00"})
    assert only(write_picture(tmp_path / "a.jpg", exif=exif))[0].taken_at == "2024-05-01T12:30:00+02:00"
    exif.get_ifd(0x8769).update({0x9003: "2024:05:91 12:30:00", 0x9011: "x"})
    assert only(write_picture(tmp_path / "b.jpg", exif=exif))[0].taken_at is None
    assert only(write_picture(tmp_path / "c.jpg", exif=b"Exif\0\0garbage"))[0].taken_at is None


def test_names_decide_nothing(tmp_path):
    clip = copy_as(write_clip(tmp_path / "a.mp4", [("red", 0.4)]), "b.jpg")
    picture = copy_as(write_picture(tmp_path / "a.png"), "c.mp4")
    with open_media(clip) as media:
        assert media.info.kind == "video"
    with open_media(picture) as media:
        assert media.info.kind == "image"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jpg", b"", "empty file"),
        ("a.jpg", b"<html>not a picture</html>", "not a picture or video"),
        ("a.mp4", b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n", "not a picture or video"),
        ("a.txt", os.urandom(5000), "not a picture or video"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "png"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not a picture or video"),
    ],
)
def test_what_is_not_media_says_so(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        open_media(path)
    assert says in str(caught.value).lower()
    assert str(tmp_path) not in str(caught.value)


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        open_media(tmp_path / "absent.jpg")
    with pytest.raises(MediaError, match="folder"):
        open_media(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(MediaError, match="pipe"):
        open_media(tmp_path / "pipe.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".tif"])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_truncated_pictures_are_refused(tmp_path, suffix, keep):
    path = truncate(write_picture(tmp_path / f"a{suffix}", draw_picture(3, (300, 200))), keep)
    with pytest.raises(MediaError) as caught:
        open_media(path)
    assert "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bombs_are_refused_without_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MediaError, match="too large: 60000 x 60000 pixels"):
            open_media(write_png_header(tmp_path / "a.png", (60000, 60000)))
        # Large enough for Pillow to warn, small enough to be decoded: damaged, not warned of.
        with pytest.raises(MediaError, match="damaged"):
            open_media(write_png_header(tmp_path / "b.png", (10000, 10000)))


def test_a_bomb_in_a_comment_is_not_unpacked(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    plain = io.BytesIO()
    draw_quadrants().save(plain, "PNG")
    head, rest = plain.getvalue()[:33], plain.getvalue()[33:]
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(200_000_000), 9))
    (tmp_path / "a.png").write_bytes(head + text + rest)
    assert shows_quadrants(open_picture(tmp_path / "a.png"))


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_animations_are_clips_with_their_own_times(tmp_path, suffix):
    path = write_animation(tmp_path / f"a{suffix}", ["red", "lime", draw_quadrants((96, 64))], [400, 600, 1500])
    with open_media(path) as media:
        assert media.info.kind == "video"
        samples = list(media)
        assert media.info.duration_s == pytest.approx(2.5)
        assert list(media)[1].item == samples[1].item
    assert [s.item[:3] for s in samples] == [(0.0, 0.0, 0.4), (0.4, 0.4, 1.0), (1.0, 1.0, 2.5)]
    assert samples[0].pixels[30, 40, 0] > 240
    assert samples[1].pixels[30, 40, 1] > 240
    assert shows_quadrants(samples[2].pixels, tolerance=40)


def test_frames_without_delay_are_shown_for_a_tenth_of_a_second(tmp_path):
    with open_media(write_animation(tmp_path / "a.gif", ["red", "blue", "lime"], 0)) as media:
        assert [round(s.item.at_s, 3) for s in media] == [0.0, 0.1, 0.2]


def test_disposal_and_transparency_of_animations(tmp_path):
    frames = []
    for left in (0, 32, 64):
        frame = Image.new("RGBA", (96, 64), (0, 0, 0, 0))
        frame.paste((255, 0, 0, 255), (left, 0, left + 32, 64))
        frames.append(frame)
    with open_media(write_animation(tmp_path / "a.gif", frames, 500, disposal=2)) as media:
        samples = list(media)
    assert [tuple(s.pixels[30, 16]) for s in samples] == [(255, 0, 0), (255, 255, 255), (255, 255, 255)]
    assert [tuple(s.pixels[30, 80]) for s in samples] == [(255, 255, 255), (255, 255, 255), (255, 0, 0)]


def test_one_frame_is_a_picture(tmp_path):
    assert only(write_picture(tmp_path / "a.gif", draw_quadrants()))[0].kind == "image"
    assert only(write_animation(tmp_path / "b.webp", ["red"], 100))[0].kind == "image"


def test_animations_are_bounded(tmp_path, monkeypatch):
    from retrieval.media import image

    monkeypatch.setattr(image, "MAX_FRAMES", 4)
    path = write_animation(tmp_path / "a.gif", ["red", "blue"] * 5, 500)
    with open_media(path) as media:
        assert [s.item.at_s for s in media] == [0.0, 0.5, 1.0, 1.5]
        assert media.notes == ["too many frames: read up to 00:00:02.000"]
        assert media.info.duration_s == 2.0


def test_a_cut_animation_keeps_what_decodes(tmp_path):
    path = truncate(write_animation(tmp_path / "a.gif", [draw_picture(i, (96, 64)) for i in range(6)], 500), 0.6)
    with open_media(path) as media:
        samples = list(media)
        assert 2 <= len(samples) < 6
        assert media.info.duration_s == samples[-1].item.end_s


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak is read from /proc")  # noqa: PTH110
@pytest.mark.parametrize("progressive", [False, True])
def test_threads_share_the_room_for_large_pictures(tmp_path, progressive):
    """Four at once take little more memory than one: 48 million pixels of four bytes, or six of coefficients."""
    code = """
import re, sys, threading
from pathlib import Path
from retrieval.media import open_picture

path, threads = Path(sys.argv[1]), int(sys.argv[2])
running = [threading.Thread(target=open_picture, args=(path,)) for _ in range(threads)]
for one in running:
    one.start()
for one in running:
    one.join()
print(re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1])
"""
    large = Image.new("RGB", (8000, 6000), "red")
    path = tmp_path / ("a.jpg" if progressive else "a.png")
    large.save(path, progressive=True) if progressive else large.save(path, compress_level=1)
    command = [sys.executable, "-W", "error", "-c", code, path]
    one, four = (
        int(subprocess.run([*command, str(n)], capture_output=True, text=True, check=True).stdout) for n in (1, 4)
    )
    assert one > 150_000
    assert four < 1.5 * one
