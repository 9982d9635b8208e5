"""``sightseek evaluate`` as a user calls it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from retrieval.cli.progress import time_left
from tests.cli.conftest import Library, run
from tests.media_makers import write_picture
from tests.model_makers import COLOURS


@pytest.fixture
def captioned(tmp_path: Path) -> Path:
    lines = []
    for name, colour in COLOURS.items():
        write_picture(tmp_path / "images" / f"{name}.png", Image.new("RGB", (40, 30), colour))
        lines += [f"{name}.png\ttest\ta photo of something {name}", f"{name}.png\ttest\t{name}"]
    (tmp_path / "captions.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_json_is_one_object_of_the_contract(prepared: Library, captioned: Path) -> None:
    ran = run(
        "evaluate", captioned / "images", captioned / "captions.tsv", "--model", prepared.model, "--format", "json"
    )
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert list(report)[:4] == ["images", "captions", "text_to_image", "image_to_text"]
    assert (report["images"], report["captions"]) == (8, 16)
    for direction in ("text_to_image", "image_to_text"):
        assert list(report[direction]) == ["R@1", "R@5", "R@10", "median_rank"]
        assert report[direction]["R@1"] == 100
        assert report[direction]["median_rank"] == 1


def test_the_table_names_model_counts_and_intervals(prepared: Library, captioned: Path) -> None:
    ran = run("evaluate", captioned / "images", captioned / "captions.tsv", "--model", prepared.model)
    assert "8 pictures, 16 captions" in ran.out
    assert "100.0 [100.0, 100.0]   " in ran.out


def test_what_cannot_be_evaluated_is_one_line(prepared: Library, captioned: Path) -> None:
    for arguments in (["--split", "dev"], ["--model", "./nowhere"]):
        model = [] if "--model" in arguments else ["--model", str(prepared.model)]
        ran = run("evaluate", captioned / "images", captioned / "captions.tsv", *arguments, *model)
        assert ran.code == 1
        assert len(ran.err.splitlines()) == 1
    ran = run("evaluate", captioned / "none", captioned / "captions.tsv", "--model", prepared.model)
    assert ran.code == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (45.4, "45 s"), (125, "2 min"), (5399, "90 min"), (11_100, "3 h 05 min")]
)
def test_time_left_is_short(seconds: float, text: str) -> None:
    assert time_left(seconds) == text
