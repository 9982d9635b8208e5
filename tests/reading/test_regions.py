"""Regions of pictures and frames as queries: what is cut out, at what size, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.embedding import open_embedder
from retrieval.errors import MediaError, QueryError
from retrieval.query import Crop, format_item, parse_query
from retrieval.reading import read_query
from retrieval.reading.regions import SHARPER, cut_out, target_of
from tests.media_makers import write_clip, write_picture
from tests.model_makers import COLOURS, write_tiny_model

CORNERS = {"red": (0, 0), "blue": (1, 0), "green": (0, 1), "yellow": (1, 1)}


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")), "cpu", 1)


def corners(width: int = 640, height: int = 480) -> Image.Image:
    """A picture of four colours, one in each corner."""
    picture = Image.new("RGB", (width, height))
    for colour, (right, low) in CORNERS.items():
        box = (right * width // 2, low * height // 2, (right + 1) * width // 2, (low + 1) * height // 2)
        picture.paste(COLOURS[colour], box)
    return picture


def vector_of(embedder, item: str) -> np.ndarray:
    return read_query(parse_query(f'item:"{item}"'), embedder).mixed.probes[0]


def plain_vector(embedder, tmp_path: Path, colour: str) -> np.ndarray:
    path = write_picture(tmp_path / f"{colour}.png", Image.new("RGB", (64, 48), COLOURS[colour]))
    return read_query(parse_query("", like=[str(path)]), embedder).mixed.probes[0]


@pytest.mark.parametrize("colour", CORNERS)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "huge.jpg"])
def test_a_region_is_what_is_looked_for(embedder, tmp_path, colour, name):
    size = (3200, 2400) if "huge" in name else (640, 480)
    path = write_picture(tmp_path / name, corners(*size))
    right, low = CORNERS[colour]
    width, height = size[0] // 2, size[1] // 2
    wanted = plain_vector(embedder, tmp_path, colour)
    for region in (
        f"xywh={right * width},{low * height},{width},{height}",
        f"xywh=percent:{50 * right},{50 * low},50,50",
        f"xywh=percent:{50 * right + 20},{50 * low + 20},10,10",
        f"xywh={right * width + 8},{low * height + 8},16,16",
    ):
        assert vector_of(embedder, f"{path}#{region}") @ wanted > 0.95, region
    assert vector_of(embedder, str(path) + "#xywh=percent:0,0,100,100") @ wanted < 0.9


def test_regions_are_of_the_upright_picture(embedder, tmp_path):
    turned = corners().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = write_picture(tmp_path / "turned.jpg", turned, exif=exif)
    assert vector_of(embedder, f"{path}#xywh=320,0,320,240") @ plain_vector(embedder, tmp_path, "blue") > 0.99


def test_a_region_of_a_frame_and_of_all_frames(embedder, tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [("white", 2.0), (corners(), 2.0)], fps=10, size=(320, 240))
    yellow = plain_vector(embedder, tmp_path, "yellow")
    assert vector_of(embedder, f"{clip}#t=3&xywh=percent:55,55,40,40") @ yellow > 0.98
    assert vector_of(embedder, f"{clip}#xywh=200,140,100,80&t=0:03") @ yellow > 0.98
    read = read_query(parse_query("", like=[f"{clip}#xywh=percent:55,55,40,40"]), embedder)
    assert (read.mixed.probes @ yellow).max() > 0.98
    assert len(read.mixed.probes) > 1
    assert read.embedded[0].at_s


def test_a_region_may_be_named_as_a_picture_and_taken_away(embedder, tmp_path):
    path = write_picture(tmp_path / "a.png", corners())
    region = f"{path}#xywh=percent:0,0,50,50"
    read = read_query(parse_query(f'"blue" - like:"{region}"'), embedder)
    assert read.own == {str(path)}
    assert read.mixed.probes[0] @ plain_vector(embedder, tmp_path, "red") < 0


@pytest.mark.parametrize("region", ["700,0,10,10", "0,480,10,10", "0,0,0,10", "percent:100,0,10,10", "10,10,5,0"])
def test_a_region_outside_says_so(embedder, tmp_path, region):
    path = write_picture(tmp_path / "a.png", corners())
    with pytest.raises(QueryError, match="lies outside the picture, which is 640 x 480"):
        vector_of(embedder, f"{path}#xywh={region}")


def test_a_region_of_no_picture_says_so(embedder, tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(QueryError, match=r"no file for the region .*name a picture as photo\.jpg#xywh"):
        vector_of(embedder, f"{tmp_path}/gone.jpg#xywh=0,0,10,10")
    with pytest.raises(QueryError, match=r"name a picture as photo\.jpg#xywh"):
        vector_of(embedder, f"{tmp_path}/text.jpg#xywh=0,0")
    with pytest.raises(MediaError, match="cannot be used to search with"):
        vector_of(embedder, f"{tmp_path}/text.jpg#xywh=0,0,10,10")


def test_a_file_of_exactly_that_name_is_that_file(embedder, tmp_path):
    path = write_picture(tmp_path / "a.png#xywh=0,0,10,10", corners(), format="PNG")
    write_picture(tmp_path / "a.png", Image.new("RGB", (64, 48), "red"))
    query = parse_query("", like=[str(path)])
    assert query.parts[0].kind == "image"
    assert read_query(query, embedder).mixed.probes[0] @ plain_vector(embedder, tmp_path, "red") < 0.9


SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))


@given(SIZES, st.lists(st.floats(0, 90), min_size=4, max_size=4), st.floats(0.02, 1), st.integers(1, 400))
def test_a_region_is_within_and_as_large_as_it_can_be(size, numbers, scale, wanted):
    left, top, width, height = numbers
    crop = Crop(left, top, width + 1, height + 1, percent=True)
    decoded = tuple(max(1, round(side * scale)) for side in size)
    pixels = np.broadcast_to(np.arange(decoded[0], dtype=np.uint16)[None, :, None], (decoded[1], decoded[0], 3))
    cut = cut_out(pixels, crop, size)
    assert cut.size > 0
    assert abs(cut[0, 0, 0] - left / 100 * decoded[0]) <= 1
    assert abs(cut.shape[1] - min(width + 1, 100 - left) / 100 * decoded[0]) <= 2
    target = target_of(Path("a.jpg"), crop, size, wanted)
    assert 1 <= target <= min(size)
    share = min(min(width + 1, 100 - left) * size[0], min(height + 1, 100 - top) * size[1]) / 100 / min(size)
    assert target == min(size) or target * share >= SHARPER * wanted - 2


def test_the_name_of_a_region_reads_back():
    crop = Crop(12.5, 0, 30, 40.125, percent=True)
    assert format_item("a.jpg", None, crop) == "a.jpg#xywh=percent:12.5,0,30,40.125"
