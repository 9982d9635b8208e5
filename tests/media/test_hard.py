"""Awkward files from elsewhere: each decodes or is refused for a reason people can read, soon and within bounds."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import MediaError
from retrieval.media import MEDIA_SUFFIXES, open_media

HARD = Path(os.environ.get("SIGHTSEEK_DATA", Path(__file__).parents[3] / "shared" / "data")) / "hard"
pytestmark = pytest.mark.skipif(not HARD.is_dir(), reason="no folder of awkward files; set SIGHTSEEK_DATA")


def files():
    return sorted(p for p in HARD.rglob("*") if p.is_file() and p.suffix != ".tsv") if HARD.is_dir() else []


def test_their_suffixes_are_looked_at():
    assert {path.suffix.lower() for path in files()} <= MEDIA_SUFFIXES


def peak_kib() -> int:
    """The process's highest memory since ``reset_peak``."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+)", status, re.MULTILINE)[1])


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.timeout(300)
def test_each_decodes_or_says_why_not():
    decoded = 0
    for path in files():
        try:
            with open_media(path) as media:
                samples = list(media)
            assert samples, path
            assert all(s.pixels.dtype == np.uint8 and s.pixels.shape[2] == 3 for s in samples), path
            assert media.info.width > 0, path
            decoded += 1
        except MediaError as error:
            line = str(error)
            assert 5 < len(line) <= 200, (path, line)
            assert not re.search(r"[\n<>]|0x[0-9a-f]{4}|/home|errno|cannot identify", line, re.IGNORECASE), (path, line)
    assert decoded > 400


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory can be reset on Linux only")
def test_no_file_takes_much_memory():
    reset_peak()
    before = peak_kib()
    for path in files():
        try:
            with open_media(path) as media:
                for _ in media:
                    pass
        except MediaError:
            pass
    assert peak_kib() - before < 1_000_000
