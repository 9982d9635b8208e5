"""What is to be seen at spots of files."""

from pathlib import Path

from retrieval.types import Hit
from retrieval.viewing.thumbnails import Spot, looks, spot_of, thumbnails
from tests.media_makers import draw_picture, write_clip, write_picture


def test_each_spot_is_shown_once_and_each_file_opened_once(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [("red", 2.0), ("blue", 2.0)], fps=10)
    picture = write_picture(tmp_path / "b.png", draw_picture(1, (60, 40)))
    spots = [Spot(clip, 3.0), Spot(picture), Spot(clip, 1.0), Spot(clip, 3.0), Spot(tmp_path / "none.jpg")]
    found = list(looks(spots, 100))
    assert [one.spot for one in found] == [Spot(clip, 1.0), Spot(clip, 3.0), Spot(picture), Spot(tmp_path / "none.jpg")]
    assert [int(one.pixels[20, 20].argmax()) for one in found[:2] if one.pixels is not None] == [0, 2]
    assert found[2].pixels.shape == (40, 60, 3)
    assert found[3].pixels is None
    assert "no such file" in found[3].reason


def test_a_file_that_breaks_off_shows_what_came_before(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    (seen,) = looks([Spot(tmp_path / "a.mp4")], 100)
    assert seen.pixels is None
    assert seen.reason


def test_thumbnails_have_the_side_that_is_asked_for(tmp_path):
    picture = write_picture(tmp_path / "b.png", draw_picture(1, (900, 300)))
    (found,) = thumbnails([Spot(picture)], side=240).values()
    assert (found.width, found.height) == (240, 80)


def test_a_hit_is_shown_by_its_best_frame():
    hit = Hit(1, 0.5, "/a.mp4", "video", 2.0, 6.0, 4.5, "/a.mp4#t=4.5", 1, 1, None, 7)
    assert spot_of(hit) == Spot(Path("/a.mp4"), 4.5)
    assert spot_of(hit._replace(at_s=None)) == Spot(Path("/a.mp4"), 0.0)
