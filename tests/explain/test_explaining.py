"""Explaining real files: boxes lie on the drawn shape whatever turns, squeezes or cuts a picture."""

import numpy as np
import pytest
from PIL import Image

from retrieval.config import Sampling
from retrieval.errors import MediaError, QueryError
from retrieval.explain import Explanation, explain
from retrieval.query import parse_query
from retrieval.types import Query
from tests.media_makers import write_clip, write_picture
from tests.model_makers import COLOURS

RED = parse_query("red")


def drawn(size: tuple[int, int], box: tuple[int, int, int, int], ground: str = "grey") -> Image.Image:
    """A picture of one colour with a red box (left, top, right, bottom)."""
    picture = Image.new("RGB", size, COLOURS[ground])
    picture.paste(COLOURS["red"], box)
    return picture


def check_on(found: Explanation, box: tuple[int, int, int, int]) -> None:
    """The best region covers the box, to a cell and a half of the model's."""
    region = found.regions[0]
    slack_x, slack_y = 1.5 * found.target.width / 8, 1.5 * found.target.height / 8
    assert region.left == pytest.approx(box[0], abs=slack_x)
    assert region.top == pytest.approx(box[1], abs=slack_y)
    assert region.left + region.width == pytest.approx(box[2], abs=slack_x)
    assert region.top + region.height == pytest.approx(box[3], abs=slack_y)
    middle_x, middle_y = region.left + region.width / 2, region.top + region.height / 2
    assert box[0] <= middle_x <= box[2]
    assert box[1] <= middle_y <= box[3]


@pytest.mark.parametrize(
    ("resize", "size"),
    [
        *(("squash", size) for size in ((320, 320), (640, 160), (160, 640), (90, 2000))),
        *(("pad", size) for size in ((320, 320), (640, 160), (160, 640))),
    ],
)
@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_the_box_lies_on_the_shape(tiny, tmp_path, resize, size, corner):
    width, height = size
    wide, high = width * 3 // 8, height * 3 // 8
    left, top = corner[0] * (width - wide), corner[1] * (height - high)
    box = (left, top, left + wide, top + high)
    path = write_picture(tmp_path / "a.png", drawn(size, box))
    found = explain(RED, str(path), tiny(resize))
    assert (found.target.width, found.target.height) == size
    assert found.method == "cells"
    region = found.regions[0]
    assert box[0] <= region.left + region.width / 2 <= box[2]
    assert box[1] <= region.top + region.height / 2 <= box[3]
    if resize == "squash":
        check_on(found, box)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_those_of_the_upright_picture(tiny, tmp_path, orientation):
    box = (200, 0, 320, 80)
    upright = drawn((320, 200), box)
    back = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if back is None else upright.transpose(back)
    path = write_picture(tmp_path / "a.jpg", stored, exif=exif, quality=95)
    found = explain(RED, str(path), tiny("squash"))
    assert (found.target.width, found.target.height) == (320, 200)
    check_on(found, box)


def test_large_pictures_have_boxes_in_their_own_pixels(tiny, tmp_path):
    box = (0, 1500, 1200, 2400)
    path = write_picture(tmp_path / "large.jpg", drawn((3200, 2400), box), quality=90)
    check_on(explain(RED, str(path), tiny("squash")), box)


def test_transparency_is_white(tiny, tmp_path):
    picture = drawn((200, 200), (0, 0, 100, 100)).convert("RGBA")
    picture.putalpha(Image.fromarray(np.where(np.arange(200)[None] < 100, 255, 0).repeat(200, 0).astype(np.uint8)))
    path = write_picture(tmp_path / "a.png", picture)
    found = explain(parse_query("white"), str(path), tiny("squash"))
    assert found.regions[0].left >= 75


def test_outside_a_centre_crop_there_is_no_score(tiny, tmp_path):
    # Red at the far left, which the model does not look at, and a smaller red mark inside.
    picture = drawn((640, 160), (0, 0, 160, 160))
    picture.paste(COLOURS["red"], (340, 100, 390, 150))
    path = write_picture(tmp_path / "wide.png", picture)
    found = explain(RED, str(path), tiny("crop"))
    assert np.isnan(found.heat[:, : 256 * 230 // 640]).all()
    region = found.regions[0]
    assert 340 <= region.left + region.width / 2 <= 390
    assert 100 <= region.top + region.height / 2 <= 150


def test_shares_sum_to_the_score(tiny, tmp_path):
    path = write_picture(tmp_path / "a.png", drawn((200, 100), (0, 0, 100, 100)))
    other = write_picture(tmp_path / "b.png", drawn((100, 100), (0, 0, 50, 50), "blue"))
    query = parse_query('"red" + 0.5:"grey" - "blue"', like=[str(other)])
    found = explain(query, str(path), tiny("squash"))
    assert [one.part for one in found.shares] == list(query.parts)
    assert sum(one.share for one in found.shares) == pytest.approx(found.score, abs=1e-6)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    shots = [(COLOURS["blue"], 2.0), (drawn((160, 120), (80, 0, 160, 60)), 2.0), (COLOURS["green"], 2.0)]
    return write_clip(tmp_path_factory.mktemp("clips") / "shots.mp4", shots, fps=10)


def test_of_a_video_the_best_frame_is_explained(tiny, clip):
    found = explain(RED, str(clip), tiny("squash"))
    assert 2.0 <= found.target.at_s < 4.0
    assert found.target.item == f"{clip}#t={found.target.at_s:g}"
    check_on(found, (80, 0, 160, 60))


def test_a_frame_is_named_by_its_time(tiny, clip):
    found = explain(parse_query("blue"), f"{clip}#t=0.5", tiny("squash"))
    assert found.target.at_s < 2.0
    assert found.regions == ()  # it is blue all over


def test_a_clip_as_query_says_its_best_keyframe(tiny, clip, tmp_path):
    path = write_picture(tmp_path / "green.png", Image.new("RGB", (64, 64), COLOURS["green"]))
    found = explain(parse_query("", like=[str(clip)]), str(path), tiny("squash"))
    assert 4.0 <= found.shares[0].at_s <= 6.0


def test_files_that_cannot_be_explained(tiny, tmp_path):
    with pytest.raises(QueryError, match="no file"):
        explain(RED, str(tmp_path / "none.jpg"), tiny("squash"))
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(MediaError, match=r"bad\.jpg cannot be explained"):
        explain(RED, str(bad), tiny("squash"))
    with pytest.raises(QueryError, match="something to look for"):
        explain(Query(parse_query("x", minus=["red"]).parts[1:]), str(bad), tiny("squash"))


def test_usual_frames_are_used_without_a_collection(tiny, clip):
    from retrieval.explain.explaining import sampling_of

    assert sampling_of(None) == Sampling()
