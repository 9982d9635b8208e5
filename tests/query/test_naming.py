"""Names of items: times and regions as W3C Media Fragments write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.query import Crop, ItemName, format_item, parse_query, read_item
from retrieval.types import Part

NUMBERS = st.integers(0, 10**9).map(lambda thousandths: thousandths / 1000)
CROPS = st.builds(Crop, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.booleans())
PATHS = st.text(min_size=1).filter(lambda path: read_item(path) == ItemName(path))


@given(st.builds(ItemName, PATHS, st.none() | NUMBERS, st.none() | CROPS))
def test_a_name_reads_as_it_was_written(named):
    assert read_item(format_item(*named)) == named


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("a.jpg#xywh=10,20,30,40", ItemName("a.jpg", None, Crop(10, 20, 30, 40))),
        ("a.jpg#xywh=pixel:10,20,30,40", ItemName("a.jpg", None, Crop(10, 20, 30, 40))),
        ("a.jpg#xywh=percent:25,25,50,50.5", ItemName("a.jpg", None, Crop(25, 25, 50, 50.5, percent=True))),
        ("a.mp4#t=12.5&xywh=1,2,3,4", ItemName("a.mp4", 12.5, Crop(1, 2, 3, 4))),
        ("a.mp4#xywh=1,2,3,4&t=0:01:02", ItemName("a.mp4", 62.0, Crop(1, 2, 3, 4))),
        ("b #1.jpg#t=2", ItemName("b #1.jpg", 2.0)),
    ],
)
def test_times_and_regions(value, named):
    assert read_item(value) == named


@pytest.mark.parametrize(
    "value",
    [
        "a.jpg",
        "a.jpg#",
        "#xywh=1,2,3,4",
        "a.jpg#xywh=1,2,3",
        "a.jpg#xywh=1,2,3,-4",
        "a.jpg#xywh=1,2,3,x",
        "a.jpg#xywh=1,2,3,4&xywh=1,2,3,4",
        "a.mp4#t=1&t=2",
        "a.mp4#t=1&y=2",
        "a.mp4#t=1,2",
        "a.mp4#track=1",
    ],
)
def test_anything_else_is_all_path(value):
    assert read_item(value) == ItemName(value)


def test_regions_of_files_are_parts(tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.touch()
    region = f"{photo}#xywh=percent:0,0,50,50"
    assert parse_query("", like=[region]).parts == (Part("item", region, 1.0),)
    assert parse_query("dog", minus=[region, f"2:{region}"]).parts[1:] == (
        Part("item", region, -0.5),
        Part("item", region, -2.0),
    )


def test_vectors_are_parts(tmp_path):
    array = tmp_path / "Red.NPY"
    array.touch()
    assert parse_query("", like=[str(array), f"0.5:{array}"], minus=[str(array)]).parts == (
        Part("vector", str(array), 1.0),
        Part("vector", str(array), 0.5),
        Part("vector", str(array), -0.5),
    )
    assert parse_query('2:vector:"x.npy"').parts == (Part("vector", "x.npy", 2.0),)
