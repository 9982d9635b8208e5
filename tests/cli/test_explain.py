"""``sightseek explain`` and ``search --explain`` as a user calls them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Library, run
from tests.explain.cell_makers import write_cell_model
from tests.media_makers import write_picture
from tests.model_makers import COLOURS

KEYS = ["rank", "score", "path", "kind", "start_s", "end_s", "at_s", "item", "width", "height", "taken_at"]
FIELDS = [
    *("path", "kind", "at_s", "item", "width", "height", "model", "score", "parts", "method", "regions", "out"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cell_model(tmp_path_factory.mktemp("cells") / "model")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    drawn = Image.new("RGB", (160, 80), COLOURS["grey"])
    drawn.paste(COLOURS["red"], (80, 0, 160, 40))
    return write_picture(tmp_path_factory.mktemp("pictures") / "a b.png", drawn)


def test_a_picture_that_is_not_indexed(model: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "why.png"
    ran = run("explain", "a", "red", "car", picture, "--model", model, "--out", out, "--format", "json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert list(found) == FIELDS
    assert (found["width"], found["height"], found["method"], found["at_s"]) == (160, 80, "cells", None)
    assert found["out"] == str(out)
    region = found["regions"][0]
    assert list(region) == ["left", "top", "width", "height", "share"]
    assert 80 <= region["left"] + region["width"] / 2 <= 160
    assert region["top"] + region["height"] / 2 <= 40
    assert found["parts"] == [{"part": '"a red car"', "share": found["score"]}]
    assert out.read_bytes().startswith(b"\x89PNG")


def test_parts_and_regions_as_a_table(model: Path, picture: Path) -> None:
    ran = run("explain", "red", "-", "blue", picture, "--model", model)
    assert ran.code == 0, ran.err
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[0] for row in rows[:3]] == ["score", "part", "part"]
    assert rows[0][2].endswith("a b.png")
    assert [row[2] for row in rows[1:3]] == ['"red"', '- "blue"']
    assert float(rows[1][1]) + float(rows[2][1]) == pytest.approx(float(rows[0][1]), abs=1e-9)
    assert rows[3][0] == "region"
    assert rows[3][2].endswith(" by cells")


def test_an_indexed_moment_has_the_score_of_the_search(prepared: Library) -> None:
    searched = run("search", "blue", "--where", "kind:video", "-k", "1", "--format", "jsonl", "-c", prepared.collection)
    hit = json.loads(searched.out)
    ran = run("explain", "blue", hit["item"], "-c", prepared.collection, "--format", "json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["method"] == "masks"  # the model of this collection has no cells
    assert found["item"] == hit["item"]
    assert found["score"] == pytest.approx(hit["score"], abs=1e-3)
    assert found["regions"] == [] or found["regions"][0]["share"] <= 1


def test_pictures_can_be_the_query(model: Path, picture: Path, prepared: Library) -> None:
    ran = run(
        *("explain", "--like", prepared.media / "red.png", picture, "--model", model, "--minus", "blue"),
        *("--format", "json"),
    )
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert [one["part"] for one in found["parts"]] == [f'like:"{prepared.media / "red.png"}"', '- "blue"']
    assert sum(one["share"] for one in found["parts"]) == pytest.approx(found["score"], abs=1e-6)


def test_a_plain_picture_has_no_region(model: Path, prepared: Library) -> None:
    ran = run("explain", "red", prepared.media / "red.png", "--model", model)
    assert ran.code == 0
    assert "region" not in ran.out
    assert "no place of the picture" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["red", "no such file.jpg"], 2, "no such file.jpg"),
        (["PICTURE"], 2, "query is empty"),
        (["--minus", "red", "PICTURE"], 2, "something to look for"),
        (["red", "PICTURE", "--out", "why.jpg"], 2, "PNG"),
        (["red", "PICTURE", "--out", "PICTURE"], 2, "part of the question"),
        (["red", "PICTURE", "--out", "/no such folder/why.png"], 2, "no folder"),
        (["red where:(kind:video)", "PICTURE"], 2, "filter"),
        (["red", "--like", "missing.png", "PICTURE"], 2, "missing.png"),
        (["red", "PICTURE", "-c", "collection"], 2, "not both"),
        (["red", "TEXTFILE"], 1, "cannot be explained"),
    ],
)
def test_bad_calls_say_what_to_do(
    model: Path, picture: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    named = {"PICTURE": str(picture), "TEXTFILE": str(tmp_path / "notes.txt")}
    before = picture.read_bytes()
    ran = run("explain", *(named.get(argument, argument) for argument in arguments), "--model", model)
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert words in " ".join(ran.err.split())
    if ran.err.startswith("sightseek:"):
        assert len(ran.err.splitlines()) == 1
    assert picture.read_bytes() == before


def test_a_model_without_cells_says_so(prepared: Library, picture: Path) -> None:
    ran = run("explain", "red", picture, "--model", prepared.model, "--method", "cells")
    assert ran.code == 2
    assert "no cells" in ran.err


def test_search_says_what_each_part_added(prepared: Library) -> None:
    arguments = ["search", "red", "+", "0.5:yellow", "-", "blue", "--like", prepared.media / "clips/red then blue.mp4"]
    plain = run(*arguments, "-c", prepared.collection, "--format", "jsonl")
    ran = run(*arguments, "-c", prepared.collection, "--format", "jsonl", "--explain")
    assert ran.code == 0, ran.err
    hits = [json.loads(line) for line in ran.out.splitlines()]
    assert len(hits) == 10
    for hit in hits:
        assert list(hit) == [*KEYS, "parts"]
        parts = hit["parts"]
        assert [one["part"] for one in parts][:3] == ['"red"', '0.5:"yellow"', '- "blue"']
        assert sum(one["share"] for one in parts) == pytest.approx(hit["score"], abs=1e-6)
        assert 0 <= parts[3]["at_s"] <= 6.2
        assert all("at_s" not in one for one in parts[:3])
    unexplained = [{key: hit[key] for key in KEYS} for hit in hits]
    assert [json.loads(line) for line in plain.out.splitlines()] == unexplained


def test_search_tells_parts_in_the_table(prepared: Library) -> None:
    ran = run("search", "red", "-", "blue", "-k", "2", "--explain", "-c", prepared.collection)
    assert ran.code == 0, ran.err
    for line in ran.out.splitlines():
        cells = line.split("\t")
        assert len(cells) == 5
        shares = [float(part.split()[0]) for part in cells[4].split(", ")]
        assert sum(shares) == pytest.approx(float(cells[1]), abs=1e-9)


def test_paths_have_no_room_for_parts(prepared: Library) -> None:
    ran = run("search", "red", "--explain", "--format", "paths", "-c", prepared.collection)
    assert ran.code == 2
    assert "--explain" in ran.err
