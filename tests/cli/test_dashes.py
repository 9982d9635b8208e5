"""``car -red`` on the command line: words that begin with a minus, beside options that do."""

from pathlib import Path

import pytest

from retrieval.cli.asking import joined
from retrieval.query import parse_query
from retrieval.types import Part
from tests.cli.conftest import Library, run
from tests.cli.test_search import hits, names


def test_a_word_behind_a_minus_is_taken_away(prepared: Library) -> None:
    where = ["--where", "kind:image", "-c", prepared.collection]
    as_one = names(hits("orange -red", *where))
    assert names(hits("orange", "-red", *where)) == as_one
    assert names(hits("-red", "orange", *where)) == as_one
    assert names(hits("orange", "--minus", "red", *where)) == as_one
    assert as_one.index("red.png") > names(hits("orange", *where)).index("red.png")


@pytest.mark.parametrize("word", ["-house", "-kitchen", "-yellow", "-éclair", "-红色"])
def test_options_are_only_what_the_command_has(prepared: Library, word: str) -> None:
    found = hits("red", word, "-k", "3", "-c", prepared.collection)
    assert found == hits(f"red {word}", "-k", "3", "-c", prepared.collection)
    assert len(found) == 3


def test_options_stay_options(prepared: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared.collection.parent)
    assert len(hits("red", "-k2", "-ccollection")) == 2
    assert run("search", "-h").out.startswith("Usage")
    assert run("search", "red", "-x", "-c", prepared.collection).code == 2
    assert run("search", "red", "--no-such", "-c", prepared.collection).code == 2
    assert hits("red", "--minus", "-blue", "-k1", "-c", prepared.collection)
    assert run("search", "-c", prepared.collection, "--", "-5 degrees").code == 0


@pytest.mark.parametrize("command", [["search", "red", "-cat"], ["explain", "red", "-cat", "x.png"]])
def test_a_word_that_reads_as_an_option_says_what_to_write(command: list[str]) -> None:
    ran = run(*command)
    assert ran.code == 2
    assert ran.out == ""
    assert "--minus cat" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["car", " -red"], [("car", 1.0), ("red", -0.5)]),
        (["beach", " -red umbrella", "sand"], [("beach sand", 1.0), ("red umbrella", -0.5)]),
        (["car", " -red", "+", "snow"], [("car", 1.0), ("red", -0.5), ("snow", 1.0)]),
        (["car", "+", "snow", " -red deep"], [("car", 1.0), ("snow", 1.0), ("red deep", -0.5)]),
        (["snow", "+", " -red"], [("snow", 1.0), ("red", -0.5)]),
        ([" -red", "+", "snow"], [("red", -0.5), ("snow", 1.0)]),
        (["-red car"], [("car", 1.0), ("red", -0.5)]),
        (["car", '-"a" - "b"'], [("car", 1.0), ("a", -0.5), ("b", -0.5)]),
        (['2:("a dog" + snow)', "-", "people"], [("a dog", 2.0), ("snow", 2.0), ("people", -0.5)]),
    ],
)
def test_the_shells_words_make_a_query(words: list[str], parts: list[tuple[str, float]]) -> None:
    assert parse_query(joined(words)).parts == tuple(Part("text", *part) for part in parts)
