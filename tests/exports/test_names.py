"""Names of exported files: any name becomes one that every disk takes, and none is taken twice."""

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.exports.names import MOST_BYTES, alternatives, name_of
from retrieval.present import visible
from retrieval.types import Hit


def hit(path: str, rank: int = 1, **changes) -> Hit:
    return Hit(rank, 0.5, path, "image", None, None, None, path, 1, 1, None, 7)._replace(**changes)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/ginger cat.jpg", "01 ginger cat.jpg"),
        ("/a/.hidden.jpg", "01 hidden.jpg"),
        ("/a/\n\u202egpj.exe", "01 __gpj.exe"),
        ("/a/x:y*z?.png", "01 x_y_z_.png"),
        ("/a/" + os.fsdecode(b"\xff.jpg"), "01 _.jpg"),
        ("/a/two.tar.gz", "01 two.tar.gz"),
        ("/a/猫.jpg", "01 猫.jpg"),
        ("/a/ends with dots....jpg", "01 ends with dots.jpg"),
        ("/a/noending", "01 noending"),
        ("/a/CON.jpg", "01 CON.jpg"),
    ],
)
def test_names_are_safe_and_in_order(path, name):
    assert name_of(hit(path), 2) == name


def test_clips_say_when_they_begin():
    moment = hit("/a/film.mkv", 7, kind="video", start_s=62.5, end_s=70.0, at_s=64.0)
    assert name_of(moment, 1, ".mp4") == "7 film 00-01-02.500.mp4"
    assert name_of(moment, 3) == "007 film.mkv"


def test_long_names_keep_their_ending():
    for stem in ("a" * 300, "猫" * 300):
        name = name_of(hit(f"/a/{stem}.jpeg"), 2)
        assert name.endswith(".jpeg")
        assert len(name.encode()) <= MOST_BYTES
    assert len(name_of(hit("/a/x." + "y" * 300), 2).encode()) <= MOST_BYTES


@given(st.binary(min_size=1, max_size=300).filter(lambda raw: not {0, ord("/")} & set(raw)), st.integers(1, 10**6))
def test_any_name_becomes_one_that_can_be_written(raw, rank):
    name = name_of(hit("/a/" + os.fsdecode(raw), rank), 4)
    assert name.startswith(f"{rank:04d} ")
    assert 0 < len(name.encode()) <= MOST_BYTES
    assert visible(name) == name
    assert not set(name) & set('/\\<>:"|?*')
    assert not name.startswith((".", "-"))
    assert not name.endswith(("/", "\n"))


def test_taken_names_get_a_number():
    assert list(itertools.islice(alternatives("1 a.b.jpg"), 3)) == ["1 a.b.jpg", "1 a.b (2).jpg", "1 a.b (3).jpg"]
