"""Contact sheets: pictures in a grid, each in its place with its caption."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.errors import OptionError
from retrieval.query import parse_query
from retrieval.types import Hit, Hits
from retrieval.viewing.contact import (
    FRAMES,
    MOST,
    Tile,
    _columns,
    captions,
    contact_sheet,
    frame_spots,
    tile_width,
    write_sheet,
)
from tests.media_makers import write_clip, write_picture
from tests.model_makers import COLOURS

NAMED = {name: COLOURS[name] for name in ("red", "green", "blue", "yellow", "orange")}


def picture(path: Path | str, rank: int = 1, **changes) -> Hit:
    return Hit(rank, 0.5, str(path), "image", None, None, None, str(path), 1, 1, None, rank)._replace(**changes)


def places_of(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what has about this colour."""
    near = (np.abs(np.asarray(sheet, int) - colour).max(axis=2) < 24).nonzero()
    assert len(near[0]), colour
    return int(near[1].min()), int(near[0].min()), int(near[1].max()) + 1, int(near[0].max()) + 1


def test_pictures_stand_in_rows_and_keep_their_shape():
    shapes = {"red": (300, 225), "green": (300, 100), "blue": (100, 300), "yellow": (30, 30), "orange": (640, 480)}
    tiles = [
        Tile(np.full((shapes[name][1], shapes[name][0], 3), colour, np.uint8), name) for name, colour in NAMED.items()
    ]
    sheet = contact_sheet("five", tiles, 5)
    boxes = [places_of(sheet, colour) for colour in NAMED.values()]
    middles = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in boxes]
    rows = sorted({round(y) for _, y in middles})
    assert middles == sorted(middles, key=lambda one: (rows.index(round(one[1])), one[0]))
    for (left, top, right, bottom), (width, height) in zip(boxes, shapes.values(), strict=True):
        assert (right - left) / (bottom - top) == pytest.approx(width / height, abs=0.06)
        assert right - left <= tile_width(5)
    assert boxes[3][2] - boxes[3][0] == 30  # nothing is enlarged


def test_captions_are_written_below_and_cut_to_fit():
    sheet = contact_sheet("", [Tile(np.full((75, 100, 3), 200, np.uint8), "words " * 100, "more " * 100)], 1)
    pixels = np.asarray(sheet, int)
    below = pixels[24 + 48 + 240 :]
    assert (below.sum(axis=2) < 300).any()  # ink
    assert (pixels[:, -20:].sum(axis=2) > 600).all()  # and none beyond the margin


def test_what_cannot_be_seen_leaves_its_place_empty():
    sheet = contact_sheet("", [Tile(None, "gone"), Tile(np.full((75, 100, 3), (200, 0, 0), np.uint8), "red")], 2)
    assert places_of(sheet, (200, 0, 0))[0] > tile_width(2)


@given(st.integers(1, MOST), st.floats(0.8, 1.6))
def test_a_grid_is_neither_a_row_nor_a_column(count, shape):
    across = _columns(count, shape)
    down = -(-count // across)
    assert 1 <= across <= count
    if count >= 12:
        assert 1 < across * shape / down < 5


def test_a_moment_is_seen_from_beginning_to_end():
    moment = picture("/a.mp4", kind="video", start_s=10.0, end_s=14.0, at_s=11.0)
    times = [spot.at_s for spot in frame_spots(moment)]
    assert times == pytest.approx([10.25 + 0.5 * place for place in range(8)])
    assert len(frame_spots(moment._replace(end_s=500.0))) == FRAMES
    assert [spot.at_s for spot in frame_spots(moment._replace(end_s=10.0))] == [10.0]
    assert [spot.at_s for spot in frame_spots(picture("/a.jpg"))] == [0.0]


def test_captions_name_hits_and_moments():
    assert captions(picture("/a/\x1bcat.jpg", 3)) == ("3   0.5000", "\\x1bcat.jpg")
    moment = picture("/a.mp4", kind="video", start_s=62.0, end_s=64.5, at_s=63.0)
    assert captions(moment)[0].startswith("1   0.5000   1:02.0 ")


@pytest.mark.parametrize("png", [False, True])
def test_a_sheet_of_hits_is_a_file(tmp_path, png):
    hits = []
    for rank, (name, colour) in enumerate(NAMED.items(), 1):
        hits.append(picture(write_picture(tmp_path / f"{name}.png", Image.new("RGB", (64, 48), colour)), rank))
    hits.append(picture(tmp_path / "gone.png", 6))
    file, seen = io.BytesIO(), []
    found = Hits(parse_query("colours"), tuple(hits), 6)
    write_sheet(file, found, png=png, progress=lambda done, total: seen.append((done, total)))
    sheet = Image.open(file)
    assert sheet.format == ("PNG" if png else "JPEG")
    boxes = [places_of(sheet.convert("RGB"), colour) for colour in NAMED.values()]
    assert boxes == sorted(boxes, key=lambda box: (box[1], box[0]))
    assert seen[-1] == (6, 6)


def test_a_sheet_of_one_moment_shows_its_frames(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [(NAMED["red"], 0.5), (NAMED["blue"], 0.5), (NAMED["green"], 0.5)], fps=10)
    moment = picture(path, kind="video", start_s=0.0, end_s=1.5, at_s=1.0)
    file = io.BytesIO()
    write_sheet(file, Hits(parse_query("x"), (moment,), 1), png=True)
    sheet = Image.open(file).convert("RGB")
    red, blue, green = (places_of(sheet, NAMED[name]) for name in ("red", "blue", "green"))
    assert (red[1], red[0]) < (blue[1], blue[0]) < (green[1], green[0])


def test_too_many_are_refused():
    hits = Hits(parse_query("x"), (picture("/a.jpg"),) * (MOST + 1), 1)
    with pytest.raises(OptionError, match="-k"):
        write_sheet(io.BytesIO(), hits)


@pytest.mark.parametrize("text", ["", "猫", "\u0301", "🙂 a"])
def test_any_text_can_be_a_caption(text):
    contact_sheet(text, [Tile(None, text, text)], 1)
