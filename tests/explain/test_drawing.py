"""The heat map as a file: what it shows, how it is written, what is never overwritten."""

import stat

import numpy as np
import pytest

from retrieval.errors import CollectionError, OptionError
from retrieval.explain import check_out, explain, write_heat_map
from retrieval.media import open_picture
from retrieval.query import parse_query
from tests.explain.test_explaining import drawn
from tests.media_makers import write_picture


def read(path) -> np.ndarray:
    """The drawing's pixels; it is never reduced, being small."""
    return open_picture(path, 2000).astype(float)


def test_the_hot_place_is_coloured_and_the_rest_is_dark(tiny, tmp_path):
    path = write_picture(tmp_path / "a.png", drawn((320, 200), (200, 0, 320, 80)))
    out = tmp_path / "why.png"
    write_heat_map(explain(parse_query("red"), str(path), tiny("squash")), out)
    shown = read(out)
    assert shown.shape == (480, 768, 3)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "why.png"]
    hot, cold = shown[80:110, 600:650].mean(axis=(0, 1)), shown[380:410, 80:130].mean(axis=(0, 1))
    assert hot[1] > hot[2] + 40  # towards yellow
    assert abs(cold - cold.mean()).max() < 25  # grey under a dark violet veil
    assert hot.mean() > cold.mean() + 15


def test_what_the_model_does_not_see_is_dark(tiny, tmp_path):
    path = write_picture(tmp_path / "wide.png", drawn((640, 160), (300, 40, 340, 80), "white"))
    out = tmp_path / "why.png"
    write_heat_map(explain(parse_query("red"), str(path), tiny("crop")), out)
    shown = read(out)
    assert shown[:, :200].mean() < 0.6 * shown[:, shown.shape[1] // 2 - 100 : shown.shape[1] // 2 + 100].mean()


def test_drawings_are_bounded(tiny, tmp_path):
    path = write_picture(tmp_path / "long.png", drawn((4000, 40), (0, 0, 1000, 40)))
    out = tmp_path / "why.png"
    write_heat_map(explain(parse_query("red"), str(path), tiny("squash")), out)
    assert read(out).shape == (16, 1600, 3)


def test_files_are_not_overwritten_by_mistake(tmp_path):
    picture = write_picture(tmp_path / "a.png", drawn((32, 32), (0, 0, 8, 8)))
    link = tmp_path / "link.png"
    link.symlink_to(picture)
    for out, why in (
        (tmp_path / "a.jpg", "not a name for a PNG"),
        (picture, "part of the question"),
        (link, "part of the question"),
        (tmp_path / "none" / "why.png", "no folder"),
    ):
        with pytest.raises(OptionError, match=why):
            check_out(out, {picture})
    check_out(tmp_path / "why.png", {picture})


def test_what_cannot_be_written_is_said(tiny, tmp_path):
    path = write_picture(tmp_path / "a.png", drawn((32, 32), (0, 0, 8, 8)))
    found = explain(parse_query("red"), str(path), tiny("squash"))
    with pytest.raises(CollectionError, match="cannot write"):
        write_heat_map(found, tmp_path / "gone" / "why.png")
