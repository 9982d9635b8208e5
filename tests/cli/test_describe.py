"""``sightseek describe`` as a user calls it."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Library, run
from tests.model_makers import COLOURS


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "label-cache"))


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    path = tmp_path / "bank.txt"
    path.write_text("\n".join(f"Something {colour} is here." for colour in COLOURS))
    return path


def test_the_nearest_sentence_comes_first(prepared: Library, bank: Path) -> None:
    ran = run("describe", prepared.media / "green.png", "--bank", bank, "-c", prepared.collection, "--format", "jsonl")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found["sentences"][0]["text"] == "Something green is here."
    assert len(found["sentences"]) == 3
    scores = [one["score"] for one in found["sentences"]]
    assert scores == sorted(scores, reverse=True)


def test_moments_of_a_film_are_described_apart(prepared: Library, bank: Path) -> None:
    film = prepared.media / "clips" / "red then blue.mp4"
    ran = run("describe", film, "--bank", bank, "-k", "1", "-c", prepared.collection)
    cells = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[3] for row in cells] == ["Something red is here.", "Something blue is here."]
    assert cells[0][1].startswith("00:00:00.000-")


def test_captions_are_a_bank(prepared: Library, tmp_path: Path) -> None:
    path = tmp_path / "captions.tsv"
    path.write_text("".join(f"{colour}.png\ttrain\tall {colour}\n" for colour in COLOURS))
    ran = run("describe", prepared.media / "blue.png", "--bank", path, "-k", "1", "-c", prepared.collection)
    assert ran.out.rstrip("\n").endswith("\tall blue")


def test_without_a_bank_the_built_in_sentences_are_used_and_it_is_said(prepared: Library) -> None:
    ran = run("describe", prepared.media / "red.png", "-k", "2", "-c", prepared.collection)
    assert ran.code == 0, ran.err
    assert len(ran.out.splitlines()) == 2
    assert "--bank FILE" in ran.err


def test_sentences_that_are_too_long_are_said(prepared: Library, tmp_path: Path) -> None:
    path = tmp_path / "bank.txt"
    path.write_text("red\n" + "a dog and " * 60 + "a cat\n")
    ran = run("describe", prepared.media / "red.png", "--bank", path, "-c", prepared.collection)
    assert ran.code == 0
    assert "1 of 2 sentences" in ran.err


def test_a_collection_can_be_described_whole(prepared: Library, bank: Path) -> None:
    ran = run("describe", "--bank", bank, "-k", "1", "-c", prepared.collection, "--where", "ext:png")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == len(COLOURS)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["none.jpg"], 2), (["--bank", "none.txt"], 2), (["--bank", "."], 2), (["-k", "0"], 2), (["--model", "./no"], 1)],
)
def test_bad_calls_say_what_to_do(prepared: Library, arguments: list[str], code: int) -> None:
    ran = run("describe", *arguments, "-c", prepared.collection)
    assert ran.code == code, ran.err
    assert ran.out == ""
    if ran.err.startswith("sightseek:"):
        assert len(ran.err.splitlines()) == 1
