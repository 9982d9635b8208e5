"""Awkward files from elsewhere: each decodes or is refused for a reason people can read, soon and within bounds."""

import os
import re
import resource
import sys
import time
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


def test_each_decodes_or_says_why_not():
    decoded = 0
    for path in files():
        begun = time.process_time()
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
            assert not re.search(r"[\n<>]|0x[0-9a-f]{4}|/work|errno|cannot identify", line, re.IGNORECASE), (path, line)
        assert time.process_time() - begun < 20, path
    assert decoded > 400
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_500_000
