"""The page of hits: it holds its pictures, loads nothing, and shows any name as what it is."""

import base64
import io
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.query import parse_query
from retrieval.types import Hit, Hits, Part, Share
from retrieval.viewing.asked import asked_with
from retrieval.viewing.sheet import SIDE, address_of, sheet_of
from tests.media_makers import draw_picture, write_clip, write_picture
from tests.page_reader import Page


def picture(rank: int, path: Path | str, **changes) -> Hit:
    text = str(path)
    return Hit(rank, 0.9 - rank / 10, text, "image", None, None, None, text, 640, 480, None, rank)._replace(**changes)


def moment(rank: int, path: Path, start_s: float, end_s: float, at_s: float) -> Hit:
    return picture(rank, path, kind="video", start_s=start_s, end_s=end_s, at_s=at_s)


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_picture(folder / "wide.jpg", draw_picture(1, (900, 300)))
    write_clip(folder / "two.mp4", [("red", 2.0), ("blue", 2.0)], fps=10)
    return folder


@pytest.fixture(scope="module")
def hits(media) -> Hits:
    found = (
        picture(1, media / "wide.jpg", taken_at="2024-05-01T12:30:59+02:00"),
        moment(2, media / "two.mp4", 2.0, 4.0, 3.0),
        picture(3, media / "gone.jpg"),
    )
    return Hits(parse_query('"a dog" - 0.75:"people" where:(kind:image or size>1)'), found, 1234)


def pixels_of(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))))


def test_it_loads_nothing_and_runs_nothing(hits):
    text = sheet_of(hits)
    page = Page(text)
    page.check_private(text)
    assert all(one["href"].startswith("file:///") for one in page.all("a"))
    assert len(page.all("a")) == 3


def test_it_shows_the_query_the_scores_and_the_moments(hits, media):
    page = Page(sheet_of(hits))
    text = " ".join(page.text)
    for words in (
        "a dog − 0.75:people",
        "only kind:image or size>1",
        "3 hits among 1,234",
        "0.8000 640 × 480 2024-05-01 12:30",
        "wide.jpg",
        "▶ 0:02.0 – 0:04.0",
        "no picture: no such file",
    ):
        assert words in text
    assert str(media) in text


def test_pictures_are_the_hits(hits):
    first, second = (pixels_of(one["src"]) for one in Page(sheet_of(hits)).all("img"))
    assert first.shape == (round(SIDE / 3), SIDE, 3)
    assert second.mean(axis=(0, 1)).argmax() == 2  # the best frame is blue


def test_a_picture_of_the_query_is_shown(media):
    query = parse_query("snow", like=[f"0.5:{media / 'wide.jpg'}", f"{media / 'two.mp4'}#t=1"])
    page = Page(sheet_of(Hits(query, (), 5)))
    assert len(page.all("img")) == 2
    text = " ".join(page.text)
    assert "weight 0.5 wide.jpg" in text
    assert "two.mp4 0:01.0" in text
    assert "Nothing was found." in text


def test_what_each_part_added_sums_to_the_score(media):
    parts = (Share(Part("text", "snow"), 0.30004), Share(Part("image", "/a/b c.jpg"), 0.30004))
    hit = picture(1, media / "wide.jpg", score=0.60008, shares=parts)
    text = " ".join(Page(sheet_of(Hits(parse_query("snow"), (hit,), 5))).text)
    assert "+0.3001 snow +0.3000 b c.jpg" in text


def test_progress_counts_pictures(hits):
    seen = []
    sheet_of(hits, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_addresses_lead_to_the_bytes_of_a_name():
    name = os.fsdecode(b"/a/\xff #%?\n\xe7\x8c\xab.jpg")
    address = address_of(picture(1, name))
    assert unquote_to_bytes(address.removeprefix("file://")) == os.fsencode(name)
    assert "#" not in address
    assert address_of(moment(1, Path("/a b.mp4"), 1.0, 2.5, 2.0)) == "file:///a%20b.mp4#t=1.000,2.500"


names = st.text(min_size=1).filter(lambda name: "/" not in name and "\0" not in name and name not in (".", ".."))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names, words=st.text(min_size=1).filter(str.strip))
def test_any_name_and_any_words_are_text(name, words):
    hits = Hits(parse_query("x"), (picture(1, f"/nowhere/{name}"),), 1)
    hits = hits._replace(query=hits.query.__class__((Part("text", words),)))
    text = sheet_of(hits)
    page = Page(text)
    page.check_private(text)
    assert len(page.all("li")) == 1
    assert "h1" in {tag for tag, _ in page.elements}
    text.encode()


def test_a_query_is_taken_apart():
    found = asked_with(parse_query('"a" + 2:"b" - like:"c.jpg" where:(kind:image)'))
    assert found.words == "a + 2:b"
    assert found.pictures == (("c.jpg", None, "without"),)
    assert found.where == "kind:image"
