"""The HTML report: it holds what it shows, loads nothing, and shows what was measured."""

import base64
import io
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.errors import OptionError, OutputError
from retrieval.evaluation.html import FOUND, RIGHT, bars, render, write_html
from retrieval.evaluation.moments import Place, Span
from retrieval.evaluation.results import Asked, Summary, Table
from retrieval.evaluation.thumbnails import thumbnails
from retrieval.viewing.thumbnails import SIDE
from tests.media_makers import draw_picture, write_animation, write_clip, write_picture
from tests.model_makers import COLOURS
from tests.page_reader import Page


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for seed in range(4):
        write_picture(folder / f"{seed}.jpg", draw_picture(seed, (640, 480)))
    write_clip(folder / "three.mp4", [(COLOURS[name], 2.0) for name in ("red", "blue", "green")], fps=10)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return folder


def summary(folder: Path, **changes) -> Summary:
    tables = (
        Table("", ("", "queries", "R@1"), (("text -> image", "3", "33.3 [0.0, 100.0]"),)),
        Table("published figures", ("model", "R@1/5/10", "source", "year"), (("DeViSE", "5.9/20.1/29.6", "a", "b"),)),
    )
    return Summary("Flickr8k, dev", "starter", (("pictures", 4), ("captions", 20)), tables, folder)._replace(**changes)


def words(query: str, rank: int, right: str = "0.jpg", *found: str) -> Asked:
    return Asked("text_to_image", query, False, (right,), tuple((name, 0.5) for name in found or (right,)), rank)


def every_kind() -> list[Asked]:
    return [
        words("a dog", 2, "0.jpg", "1.jpg", "0.jpg"),
        words("found at once", 1),
        words("a lost cat", 5, "broken.jpg", "none.jpg", "1.jpg"),
        Asked("image_to_text", "2.jpg", True, ("a bird",), (("a car", 0.4), ("a bird", 0.3)), 2),
        Asked(
            "library",
            "blue where:(kind:video)",
            False,
            ("three.mp4#t=2-4",),
            (("three.mp4#t=0-2", 0.9), ("three.mp4#t=2.1-4", 0.8)),
            2,
        ),
        Asked("library", '"a" - 0.75:like:"1.jpg" + item:"three.mp4#t=5"', False, ("3.jpg",), (("2.jpg", 0.1),), 99),
    ]


@pytest.fixture(scope="module")
def page(media) -> Page:
    return Page(render(summary(media), every_kind()))


# ------------------------------------------------------------------------------------------------ the page as a page


def test_it_loads_nothing_and_runs_nothing(media):
    text = render(summary(media), every_kind())
    page = Page(text)
    page.check_private(text)
    assert all(attributes.get("href", "#").startswith("#") for _, attributes in page.elements)


def test_it_can_be_read_by_everyone(page):
    (html,) = page.all("html")
    assert html["lang"] == "en"
    assert all(image["alt"].strip() for image in page.all("img"))
    assert all(header["scope"] in ("col", "row") for header in page.all("th"))
    assert len(page.all("main")) == len(page.all("h1")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.all("a")} <= set(ids)
    assert {attributes["aria-labelledby"] for attributes in page.all("section")} <= set(ids)
    scrolled = [one for one in page.all("div") if one.get("role") == "region"]
    assert all(one["tabindex"] == "0" and one["aria-label"] for one in scrolled)


def test_it_suits_the_light_and_the_dark(media):
    text = render(summary(media), [])
    assert '<meta name="color-scheme" content="light dark">' in text
    assert "@media (prefers-color-scheme: dark)" in text


def test_names_and_words_are_text_and_nothing_else(media, tmp_path):
    hostile = '<img src=x onerror="alert(1)">&amp;\u202e\x1b[31m\ud800'
    evil = tmp_path / "<script>.jpg"
    write_picture(evil, draw_picture(1))
    asked = [
        words(hostile, 3, hostile, evil.name, hostile),
        Asked("image_to_text", evil.name, True, (hostile,), ((hostile, 0.1),), 2),
        Asked("library", hostile, False, (hostile,), ((hostile, 0.1),), 2),
    ]
    tables = (Table(hostile, (hostile, hostile), ((hostile, hostile),)),)
    text = render(summary(tmp_path, title=hostile, model=hostile, tables=tables, counts=((hostile, 1),)), asked)
    page = Page(text)
    assert {one["src"][:5] for one in page.all("img")} == {"data:"}
    assert not page.all("script")
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert text.encode()  # no half of a surrogate pair
    assert any(one["alt"] == "<script>.jpg" for one in page.all("img"))


# ------------------------------------------------------------------------------------------------ what it shows


def test_figures_stand_in_tables(page):
    for cell in ("Flickr8k, dev", "model starter", "33.3", "[0.0, 100.0]", "text → image", "DeViSE", "5.9/20.1/29.6"):
        assert cell in page.text
    assert [one["class"] for one in page.all("td") if "class" in one][:2] == ["number", "number"]


def test_each_direction_has_its_part(page):
    titles = [title for title in page.text if title in ("Words to pictures", "Pictures to words")]
    assert titles == ["Words to pictures", "Pictures to words"] * 2  # the links, then the parts
    assert "Queries of the library" in page.text
    assert "Rank of the best right one, 3 queries" in page.text
    assert "Rank of the best right one, 1 query" in page.text


def test_the_worst_come_first_and_the_best_not_at_all(media):
    asked = [words(f"query {rank} {copy}", rank) for rank in (3, 1, 9, 2) for copy in "ab"]
    text = render(summary(media), asked, worst=5)
    assert re.findall(r">(query \d \w)<", text) == ["query 9 a", "query 9 b", "query 3 a", "query 3 b", "query 2 a"]
    assert "the right one stands at 3" in text
    assert "the right one was not found" in text  # 9 of 4 pictures
    assert "Every query found a right one first." in render(summary(media), [words("fine", 1)])
    assert len(Page(render(summary(media), asked, worst=0)).all("li")) == 0


def test_right_ones_are_marked_where_they_were_found(page):
    assert sum(text.startswith("✓ right") for text in page.text) == 3  # one a direction
    marked = [one for one in page.all("li") if one.get("class") == "right"]
    assert len(marked) == 3


def test_a_moment_is_shown_by_its_own_frame_and_time(page):
    shown = {one["alt"]: one["src"] for one in page.all("img")}
    for name, colour in {
        "three.mp4 at 0:02.0 – 0:04.0": "blue",
        "three.mp4 at 0:00.0 – 0:02.0": "red",
        "three.mp4 at 0:05.0": "green",
    }.items():
        assert np.abs(pixels_of(shown[name]).mean(axis=(0, 1)) - COLOURS[colour]).max() < 12


def pixels_of(uri: str) -> np.ndarray:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), dtype=np.float64)


def test_what_cannot_be_read_says_why(page):
    reasons = [text for text in page.text if text.startswith("no picture: ")]
    assert any("damaged picture" in reason for reason in reasons)
    assert "no picture: no such file or directory" in reasons


def test_a_query_of_the_library_shows_its_parts(page):
    assert "without weight 0.75" in page.text
    assert {"1.jpg", "three.mp4 at 0:05.0"} <= {one["alt"] for one in page.all("img")}
    assert "blue where:(kind:video)" in page.text


def test_no_more_is_shown_than_helps(media):
    many = tuple(f"{n}.jpg" for n in range(4)) * 3
    asked = Asked("text_to_image", "many", False, many, tuple((name, 0.1) for name in many[:10]), 2)
    page = Page(render(summary(media), [asked]))
    assert len(page.all("img")) == RIGHT + FOUND
    assert f"right, and {len(many) - RIGHT} more" in page.text
    long = Page(render(summary(media), [words("word " * 5000, 2)]))
    assert max(map(len, long.text)) < 500


# ------------------------------------------------------------------------------------------------ thumbnails


def test_thumbnails_are_small_and_keep_their_shape(tmp_path):
    write_picture(tmp_path / "wide.png", draw_picture(1, (900, 300)))
    write_picture(tmp_path / "tiny.png", draw_picture(1, (20, 30)))
    found = thumbnails([Place("wide.png"), Place("tiny.png")], tmp_path)
    assert [(one.width, one.height) for one in found.values()] == [(SIDE, round(SIDE / 3)), (20, 30)]
    assert all(len(one.uri) < 20_000 for one in found.values())
    for one in found.values():
        assert pixels_of(one.uri).shape == (one.height, one.width, 3)


def test_moments_of_animations_and_behind_the_end(tmp_path):
    write_animation(tmp_path / "a.gif", ["red", "blue"], [1000, 1000])
    write_animation(tmp_path / "b.webp", ["red", "blue"], [1000, 1000], lossless=True)
    for name in ("a.gif", "b.webp"):
        places = [Place(name, Span(1.2, 1.8)), Place(name), Place(name, Span(7, 9))]
        found = thumbnails(places, tmp_path)
        colours = [pixels_of(found[place].uri).mean(axis=(0, 1)).argmax() for place in places]
        assert colours == [2, 0, 2]  # blue, red, and the last there is


def test_a_moment_late_in_a_long_clip_is_shown(tmp_path):
    shots = [(COLOURS["red"], 700.0), (COLOURS["blue"], 60.0), (COLOURS["green"], 60.0)]
    write_clip(tmp_path / "long.mp4", shots, fps=1, size=(64, 48))
    places = [Place("long.mp4", Span(710, 750)), Place("long.mp4", Span(10, 20))]
    found = thumbnails(places, tmp_path)
    assert [pixels_of(found[place].uri).mean(axis=(0, 1)).argmax() for place in places] == [2, 0]


def test_the_page_is_bounded(media):
    places = [Place(f"{seed}.jpg") for seed in range(4)]
    size = len(thumbnails(places[:1], media)[places[0]].uri)
    found = thumbnails(places, media, most_bytes=size)
    assert [bool(found[place].uri) for place in places] == [True, True, False, False]
    assert found[places[3]].reason == "left out to keep the page small"


def test_thumbnails_tell_how_far_they_are(media):
    seen = []
    places = [Place("0.jpg"), Place("three.mp4", Span(0, 1)), Place("three.mp4", Span(3, 4)), Place("0.jpg")]
    assert len(thumbnails(places, media, progress=lambda done, total: seen.append((done, total)))) == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_name_no_file_can_have_is_a_file_that_is_missing(media):
    place = Place("a\0b.jpg")
    assert thumbnails([place], media)[place].reason


# ------------------------------------------------------------------------------------------------ the file


def test_the_file_is_private_and_replaced_in_one_step(media, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    path.chmod(0o644)
    write_html(path, summary(media), every_kind())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_link_keeps_pointing_at_the_file(media, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "there" / "real.html")
    write_html(tmp_path / "link.html", summary(media), [])
    assert (tmp_path / "link.html").is_symlink()
    assert "Flickr8k" in (tmp_path / "there" / "real.html").read_text(encoding="utf-8")


def test_where_no_file_can_be_is_said_in_one_line(media, tmp_path):
    for path, said in (
        (tmp_path / "none" / "report.html", "there is no folder"),
        (tmp_path, "is no ordinary file"),
        (Path(os.devnull), "is no ordinary file"),
    ):
        with pytest.raises(OptionError, match=said) as caught:
            write_html(path, summary(media), [])
        assert "\n" not in str(caught.value)


def test_what_was_there_stays_when_the_file_cannot_be_written(media, tmp_path):
    folder = Path("/proc/self")  # where nobody can make a file
    if not folder.is_dir():
        pytest.skip("no /proc on this system")
    with pytest.raises(OutputError, match="cannot write /proc/"):
        write_html(folder / "report.html", summary(media), [])


# ------------------------------------------------------------------------------------------------ the histogram


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 300), max_size=30))
def test_every_query_is_in_one_bar(ranks):
    found = bars(ranks)
    assert sum(bar.queries for bar in found) == len(ranks)
    assert sum(bar.share for bar in found) == pytest.approx(100 if ranks else 0)
    assert max(bar.width for bar in found) == (100 if ranks else 0)
    assert [bar.queries for bar in found][:2] == [ranks.count(1), sum(1 < rank <= 5 for rank in ranks)][: len(found)]


def test_bars_behind_the_last_rank_are_left_out():
    assert [bar.label for bar in bars([1, 7])] == ["1", "2–5", "6–10"]
    assert [bar.label for bar in bars([101])][-1] == "over 100"
    assert [bar.label for bar in bars([])] == ["1"]


def test_what_was_not_found_is_said_though_its_rank_is_small(media):
    """Where few hits were looked at, or some pictures failed, what is never found has a rank within the gallery."""
    asked = [
        Asked("text_to_image", "a", False, ("0.jpg",), (("1.jpg", 0.5),), 3, ()),
        Asked("text_to_image", "b", False, ("0.jpg",), (("1.jpg", 0.5), ("0.jpg", 0.4)), 2, (2,)),
    ]
    page = " ".join(Page(render(summary(media), asked)).text)
    assert page.count("the right one was not found") == 1
    assert page.count("the right one stands at 2") == 1
    assert "stands at 3" not in page
    assert [(bar.label, bar.queries, bar.share) for bar in bars([2], missed=1)] == [
        ("1", 0, 0), ("2–5", 1, 50), ("not found", 1, 50),
    ]  # fmt: skip
    assert "not found 1 50.0 %" in page
