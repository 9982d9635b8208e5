"""``search`` in other languages: a second text tower beside the model, ``--lang``, and what is said without one."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Library, make_media, run
from tests.model_makers import write_tiny_model
from tests.tower_makers import CHINESE, write_tower


@pytest.fixture(scope="module")
def bilingual(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library indexed with a model that has a tower for Chinese beside it; shared, so tests must not change it."""
    root = tmp_path_factory.mktemp("bilingual")
    made = Library(root / "media", root / "collection", write_tiny_model(root / "model"))
    make_media(made.media)
    ran = run("index", made.media, "-c", made.collection, "--model", made.model)
    assert ran.code == 0, ran.err
    write_tower(made.model, made.model / "multilingual")  # afterwards: no picture is embedded again
    return made


def first(library: Library, *arguments: str) -> tuple[str, str]:
    """Return the file name of the best hit and what was said."""
    ran = run("search", *arguments, "-c", library.collection, "--format", "jsonl")
    assert ran.code == 0, ran.err
    return Path(json.loads(ran.out.splitlines()[0])["path"]).name, ran.err


@pytest.mark.parametrize("colour", ["green", "yellow", "white", "orange"])
def test_chinese_words_find_their_picture(bilingual: Library, colour: str) -> None:
    assert first(bilingual, f"一张{CHINESE[colour]}的照片") == (f"{colour}.png", "")


def test_parts_may_be_of_different_languages(bilingual: Library) -> None:
    ran = run("search", "绿色", "-", "blue", "-c", bilingual.collection, "--format", "paths", "-k", "20")
    assert ran.code == 0, ran.err
    found = [Path(line).name for line in ran.out.splitlines()]
    assert found[0] == "green.png"
    assert found.index("blue.png") >= len(found) - 2  # only the clip that ends in blue may be as far


def test_a_named_language_is_obeyed(bilingual: Library) -> None:
    assert first(bilingual, "黄色", "--lang", "zh-Hans") == ("yellow.png", "")
    by_own_tower = run("search", "red", "-c", bilingual.collection, "--lang", "en", "--format", "jsonl").out
    assert by_own_tower == run("search", "red", "-c", bilingual.collection, "--format", "jsonl").out
    by_second = run("search", "red", "-c", bilingual.collection, "--lang", "zh", "--format", "jsonl").out
    assert by_second != by_own_tower


def test_a_language_that_was_not_learnt_is_said(bilingual: Library) -> None:
    _, said = first(bilingual, "ein roter Hund")
    assert said.startswith("read as German, which no picture was learnt with")
    assert said.count("\n") == 1


def test_without_a_tower_that_fits_it_is_said_and_the_search_goes_on(prepared: Library) -> None:
    ran = run("search", "红色", "-c", prepared.collection, "--format", "paths")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 10
    assert ran.err.startswith(f"the model {prepared.model} does not know Chinese; ")
    assert ran.err.count("\n") == 1


def test_a_wrong_code_is_wrong_usage(prepared: Library) -> None:
    ran = run("search", "red", "-c", prepared.collection, "--lang", "chinese")
    assert ran.code == 2
    assert ran.err == "sightseek: --lang 'chinese' is not a language code; use en, zh, de, fr, es, ja and the like\n"


def test_a_damaged_tower_is_one_line(bilingual: Library, tmp_path: Path) -> None:
    model = Path(shutil.copytree(bilingual.model, tmp_path / "model"))
    media, collection = tmp_path / "media", tmp_path / "collection"
    shutil.copytree(bilingual.media, media)
    assert run("index", media, "-c", collection, "--model", model).code == 0
    (model / "multilingual" / "head.onnx").write_bytes(b"no head")
    ran = run("search", "红色", "-c", collection)
    assert ran.code == 1
    assert ran.err.startswith("sightseek: ")
    assert "SHA-256 differs" in ran.err
    assert ran.err.count("\n") == 1
    assert run("search", "red", "-c", collection).code == 0
