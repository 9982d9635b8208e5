"""Dates, reasons, sniffing, suffixes, geometry: the small pure parts."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.media import IMAGE_SUFFIXES, MEDIA_SUFFIXES, VIDEO_SUFFIXES
from retrieval.media.dates import iso_date
from retrieval.media.reasons import clock, reason
from retrieval.media.screen import Screen
from retrieval.media.sniff import known_as, looks_like_video

NOT_MEDIA = {".bufr", ".emf", ".eps", ".grib", ".h5", ".hdf", ".mpeg", ".mpg", ".ps", ".wmf"}


def test_suffixes_are_those_that_pillow_opens():
    from PIL import Image

    Image.init()
    opened = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN and name != "HEIF"}
    assert opened - NOT_MEDIA <= IMAGE_SUFFIXES
    assert IMAGE_SUFFIXES - opened == {".heic", ".heics", ".heif", ".heifs", ".hif", ".mpo"}


def test_suffixes_of_videos_are_no_pictures():
    assert not IMAGE_SUFFIXES & VIDEO_SUFFIXES
    assert {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mts", ".3gp"} <= VIDEO_SUFFIXES
    assert IMAGE_SUFFIXES | VIDEO_SUFFIXES == MEDIA_SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in MEDIA_SUFFIXES)


def test_importing_media_loads_no_decoder():
    code = (
        "import sys, retrieval.media; print([m for m in sys.modules if m.split('.')[0] in ('PIL','av','pillow_heif')])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, env={**os.environ}
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("stamp", "offset", "expected"),
    [
        ("2024:05:01 12:30:00", None, "2024-05-01T12:30:00"),
        ("2024:05:01 12:30:00\0", "+02:00", "2024-05-01T12:30:00+02:00"),
        (b"2024:05:01 12:30:00", b"-07:30\0", "2024-05-01T12:30:00-07:30"),
        ("2024-05-01T12:30:00.000000Z", None, "2024-05-01T12:30:00+00:00"),
        ("2024-05-01T14:30:00+0200", None, "2024-05-01T14:30:00+02:00"),
        ("2024:05:01 12:30:00", "garbage", "2024-05-01T12:30:00"),
        ("0000:00:00 00:00:00", None, None),
        ("1904-01-01T00:00:00.000000Z", None, None),
        ("2024:13:45 99:00:00", None, None),
        ("yesterday", None, None),
        ("", None, None),
        (None, None, None),
        (17, ("x",), None),
    ],
)
def test_dates(stamp, offset, expected):
    assert iso_date(stamp, offset) == expected


@given(st.one_of(st.text(), st.binary(), st.integers(), st.none()), st.one_of(st.text(), st.binary(), st.none()))
def test_no_date_is_an_error(stamp, offset):
    found = iso_date(stamp, offset)
    assert found is None or len(found) >= 19


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("Image file is truncated (3 bytes not processed)"), "image file is truncated (3 bytes not processed)"),
        (ValueError("cannot identify <_io.BufferedReader name='/home/me/a.jpg'>"), "cannot identify"),
        (
            OSError("[Errno 1094995529] Invalid data found when processing input: '3'"),
            "invalid data found when processing input",
        ),
        (OSError("BMP is\nbad"), "BMP is bad"),
        (MemoryError(), "needs more memory than there is"),
        (EOFError(), "the decoder gave up (eoferror)"),
    ],
)
def test_reasons(error, expected):
    assert reason(error) == expected


@given(st.text(max_size=400))
def test_a_reason_is_one_short_line(text):
    line = reason(ValueError(text))
    assert 0 < len(line) <= 160
    assert len(line.splitlines()) == 1


def test_clock():
    assert clock(0) == "00:00:00.000"
    assert clock(12.4) == "00:00:12.400"
    assert clock(3600 * 11 + 59.9996) == "11:01:00.000"


def test_sniff():
    assert known_as(b"\xff\xd8\xff\xe0rest") == "JPEG"
    assert known_as(b"RIFF\0\0\0\0WEBPVP8 ") == "WebP"
    assert known_as(b"\0\0\0\x18ftypheic") == "HEIF"
    assert known_as(b"<html>") is None
    assert looks_like_video(b"\0\0\0\x18ftypisom")
    assert looks_like_video(b"RIFF\0\0\0\0AVI LIST")
    assert looks_like_video((b"\x47" + bytes(187)) * 3)
    assert not looks_like_video(b"\0\0\0\x18ftypavif")
    assert not looks_like_video(b"GIF89a")


def _matrix(a, b, c, d):
    one = 1 << 16
    return struct.pack("=9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),  # a quarter clockwise, as phones held upright write
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    ],
)
def test_display_matrices(matrix, turned):
    stored = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    screen = Screen.of(1.0, _matrix(*matrix))
    assert np.array_equal(screen.turned(stored), turned(stored))
    height, width = turned(stored).shape[:2]
    assert screen.size(3, 2) == (width, height)


def test_pixel_aspect():
    assert Screen.of(2.0, b"").size(100, 80) == (200, 80)
    assert Screen.of(2.0, b"").scaled(100, 80, 1000) == (100, 40)
    assert Screen.of(0.5, b"").scaled(100, 80, 20) == (20, 32)
    assert Screen.of(77.0, b"").size(100, 80) == (100, 80)
