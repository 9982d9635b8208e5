"""What hits look like: JSON lines, paths, and table cells."""

import json
import os
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.present import as_jsonl, as_paths, as_rows, as_told_rows, rounded, timestamp, visible
from retrieval.types import Hit, Hits, Part, Query, Share

PHOTO = Hit(
    1, 0.31234567, "/photos/a.jpg", "image", None, None, None, "/photos/a.jpg", 640, 480, "2024-05-01T12:30:00", 1
)
MOMENT = Hit(2, 0.25, "/videos/b.mp4", "video", 10.0, 14.5, 12.3456, "/videos/b.mp4#t=12.346", 1920, 1080, None, 2)
FILE_NAMES = st.binary(min_size=1, max_size=20).filter(lambda raw: b"\0" not in raw)


def hits(*found: Hit) -> Hits:
    return Hits(Query((Part("text", "a dog"),)), found, searched=10)


def test_json_lines_have_exactly_the_promised_keys():
    lines = [json.loads(line) for line in as_jsonl(hits(PHOTO, MOMENT))]
    assert list(lines[0]) == (
        ["rank", "score", "path", "kind", "start_s", "end_s", "at_s", "item", "width", "height", "taken_at"]
    )
    assert lines[0] == {
        "rank": 1,
        "score": 0.312346,
        "path": "/photos/a.jpg",
        "kind": "image",
        "start_s": None,
        "end_s": None,
        "at_s": None,
        "item": "/photos/a.jpg",
        "width": 640,
        "height": 480,
        "taken_at": "2024-05-01T12:30:00",
    }
    assert (lines[1]["start_s"], lines[1]["end_s"], lines[1]["at_s"]) == (10.0, 14.5, 12.346)
    assert lines[1]["taken_at"] is None


@given(FILE_NAMES)
def test_any_file_name_comes_back_byte_for_byte(raw):
    found = hits(PHOTO._replace(path=os.fsdecode(b"/" + raw)))
    (line,) = as_jsonl(found)
    assert "\n" not in line
    assert line.isascii()
    assert os.fsencode(json.loads(line)["path"]) == b"/" + raw
    assert list(as_paths(found, null=True)) == [b"/" + raw + b"\0"]
    assert list(as_paths(found)) == [b"/" + raw + b"\n"]


@given(FILE_NAMES)
def test_a_table_cell_has_no_control_characters(raw):
    ((_, _, cell, _),) = as_rows(hits(PHOTO._replace(path=os.fsdecode(b"/" + raw))))
    assert not re.search("[\x00-\x1f\x7f-\x9f]", cell)
    cell.encode()


def test_odd_names_are_made_visible():
    assert visible("a\nb\t\x1b[31mc") == r"a\nb\t\x1b[31mc"
    assert visible(os.fsdecode(b"caf\xe9.jpg")) == r"caf\xe9.jpg"
    assert visible("a\u202egpj.exe") == r"a\u202egpj.exe"
    assert visible("Foto\u202f1 – 犬 👩‍🚀.jpg") == "Foto\u202f1 – 犬 👩‍🚀.jpg"


def test_a_file_is_listed_once_at_the_place_of_its_best_moment():
    found = hits(MOMENT, PHOTO, MOMENT._replace(rank=3, at_s=40.0))
    assert list(as_paths(found)) == [b"/videos/b.mp4\n", b"/photos/a.jpg\n"]


def test_table_rows():
    assert as_rows(hits(PHOTO, MOMENT)) == [
        ("1", "0.3123", "/photos/a.jpg", ""),
        ("2", "0.2500", "/videos/b.mp4", "00:00:10.000-00:00:14.500"),
    ]


def test_no_hits_is_nothing():
    assert (list(as_jsonl(hits())), list(as_paths(hits())), as_rows(hits())) == ([], [], [])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00:00.000"),
        (12.5, "00:00:12.500"),
        (59.9996, "00:01:00.000"),
        (3723.004, "01:02:03.004"),
        (360000, "100:00:00.000"),
        (-0.0001, "00:00:00.000"),
    ],
)
def test_timestamps(seconds, text):
    assert timestamp(seconds) == text


@given(st.floats(0, 1e6))
def test_a_timestamp_is_the_time_to_the_millisecond(seconds):
    hours, minutes, rest = timestamp(seconds).split(":")
    assert int(minutes) < 60
    assert Fraction(rest) < 60
    assert float(3600 * int(hours) + 60 * int(minutes) + Fraction(rest)) == pytest.approx(seconds, abs=6e-4)


def test_parts_are_there_only_when_they_were_asked_for():
    dog, people = Part("text", "a dog"), Part("text", "people", -0.5)
    told = PHOTO._replace(shares=(Share(dog, 0.33333349), Share(people, -0.02098782)))
    plain, line = (json.loads(next(iter(as_jsonl(hits(hit))))) for hit in (PHOTO, told))
    assert line == plain | {
        "parts": [{"part": '"a dog"', "share": 0.333334}, {"part": '- "people"', "share": -0.020988}]
    }
    assert as_told_rows(hits(told))[0][4] == '+0.3333 "a dog", -0.0210 - "people"'


def test_the_keyframe_of_a_clip_is_told():
    clip = MOMENT._replace(shares=(Share(Part("image", "x.mp4"), 0.25, 61.5),))
    assert json.loads(next(iter(as_jsonl(hits(clip)))))["parts"] == [
        {"part": 'like:"x.mp4"', "share": 0.25, "at_s": 61.5}
    ]
    assert as_told_rows(hits(clip))[0][4] == '+0.2500 like:"x.mp4" at 00:01:01.500'


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8), st.sampled_from([4, 6]))
def test_rounded_shares_sum_to_the_total(shares, decimals):
    total = round(sum(shares), decimals)
    found = rounded(shares, total, decimals)
    assert round(sum(found), decimals) == pytest.approx(total, abs=1e-12)
    assert found == pytest.approx(shares, abs=len(shares) * 10.0**-decimals)
