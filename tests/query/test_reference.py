"""The reference of the query language: what it shows can be asked, and is read as it says."""

import re
from pathlib import Path

import pytest

from retrieval.query import parse_query
from retrieval.query.scanning import NEGATED

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = {
    "a red car": [("text", "a red car", 1)],
    "car -red": [("text", "car", 1), ("text", "red", -NEGATED)],
    'beach -"red umbrella"': [("text", "beach", 1), ("text", "red umbrella", -NEGATED)],
    'beach -(dog + "red umbrella")': [
        ("text", "beach", 1),
        ("text", "dog", -NEGATED),
        ("text", "red umbrella", -NEGATED),
    ],
    '"a dog" + "snow"': [("text", "a dog", 1), ("text", "snow", 1)],
    '"a dog" - "people"': [("text", "a dog", 1), ("text", "people", -NEGATED)],
    '1.5:snow + "a dog"': [("text", "snow", 1.5), ("text", "a dog", 1)],
    '2:("a dog" + "snow")': [("text", "a dog", 2), ("text", "snow", 2)],
    'like:"photo.jpg"': [("image", "photo.jpg", 1)],
    'clip:"film.mp4"': [("clip", "film.mp4", 1)],
    'item:"film.mp4#t=12.5"': [("item", "film.mp4#t=12.5", 1)],
    'like:"photo.jpg#xywh=percent:25,25,50,50"': [("image", "photo.jpg#xywh=percent:25,25,50,50", 1)],
    'vector:"red.npy"': [("vector", "red.npy", 1)],
    "a dog where:(kind:video)": [("text", "a dog", 1)],
}


@pytest.mark.parametrize("name", ["searching.md", "searching.zh.md"])
def test_all_that_is_shown_is_told_here(name: str) -> None:
    table = (DOCS / name).read_text(encoding="utf-8").split("\n## ")[1]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    shown = [query for row in rows for query in re.findall(r"`([^`]+)`", row) if query != "percent:"]
    assert shown == list(SHOWN)


@pytest.mark.parametrize("text", SHOWN)
def test_what_is_shown_is_read_so(text: str) -> None:
    query = parse_query(text)
    assert [(part.kind, part.value, part.weight) for part in query.parts] == SHOWN[text]
    assert (query.where is not None) == ("where" in text)
    assert parse_query(str(query)) == query


@pytest.mark.parametrize("text", ["beach - 2019", "wi-fi", "-5 degrees"])
def test_signs_that_are_characters(text: str) -> None:
    assert [(part.value, part.weight) for part in parse_query(text).parts] == [(text, 1)]
