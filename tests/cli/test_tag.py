"""``sightseek tag`` as a user calls it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.embedding import open_embedder
from retrieval.labels.calibration import Calibration, Quality
from retrieval.labels.text_vectors import prompts_digest
from tests.cli.conftest import Library, run, run_process
from tests.media_makers import write_picture
from tests.model_makers import COLOURS

NOT_CALIBRATED = "cosines, not probabilities"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "label-cache"))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("# colours\n" + "\n".join(COLOURS))
    return path


def write_calibration(path: Path, model: Path, **changes: object) -> Path:
    spec = open_embedder(str(model), "cpu", 1).spec
    quality = Quality(1, 1, 0.5, 0.1, 0.5, 0.1, 0.2)
    plain = Calibration("tiny", spec.digest, prompts_digest(), 12.0, -6.0, np.zeros(spec.dim), 1, quality)
    path.write_text(json.dumps(plain._replace(**changes).to_json()))  # type: ignore[arg-type]
    return path


def rows(*arguments: str | Path) -> list[dict[str, object]]:
    ran = run("tag", *arguments, "--format", "jsonl")
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_all_of_a_collection_is_tagged_from_the_store(prepared: Library, words: Path) -> None:
    found = rows("-c", prepared.collection, "--words", words, "-k", "1")
    first = {Path(str(row["path"])).name: row["tags"][0]["word"] for row in found if row["kind"] == "image"}
    assert {name: first[f"{name}.png"] for name in COLOURS} == {name: name for name in COLOURS}
    film = [row for row in found if row["kind"] == "video"]
    assert [row["tags"][0]["word"] for row in film] == ["red", "blue"]
    assert film[0]["start_s"] == 0
    assert film[0]["end_s"] == film[1]["start_s"]
    assert film[1]["item"] == f"{film[1]['path']}#t={film[1]['at_s']:g}"


def test_a_filter_narrows_and_files_exclude_one(prepared: Library, words: Path) -> None:
    found = rows("-c", prepared.collection, "--words", words, "--where", "kind:video")
    assert {row["kind"] for row in found} == {"video"}
    ran = run("tag", prepared.media / "red.png", "--where", "kind:video", "-c", prepared.collection)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    ran = run("tag", "-c", prepared.collection, "--words", words, "--where", "width>99999")
    assert (ran.code, ran.out) == (0, "")
    assert "nothing" in ran.err


def test_files_need_no_collection(prepared: Library, words: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SIGHTSEEK_COLLECTION", str(tmp_path / "none"))
    new = write_picture(tmp_path / "new.png", Image.new("RGB", (40, 30), COLOURS["green"]))
    found = rows(new, "--model", prepared.model, "--words", words)
    assert found[0]["tags"][0]["word"] == "green"
    assert len(found[0]["tags"]) == 5
    assert not (tmp_path / "none").exists()


def test_an_item_is_one_moment(prepared: Library, words: Path) -> None:
    film = prepared.media / "clips" / "red then blue.mp4"
    (found,) = rows(f"{film}#t=5", "--words", words, "-c", prepared.collection)
    assert found["tags"][0]["word"] == "blue"


def test_the_table_is_tab_separated_in_a_pipe(prepared: Library, words: Path) -> None:
    ran = run_process("tag", prepared.media / "red.png", "-k", "2", "--words", words, "-c", prepared.collection)
    assert ran.returncode == 0, ran.stderr
    path, moment, tags = ran.stdout.decode().rstrip("\n").split("\t")
    assert (path, moment) == (str(prepared.media / "red.png"), "")
    assert tags.startswith("red ")
    assert tags.count(",") == 1
    assert b"\x1b" not in ran.stdout


def test_without_a_calibration_scores_are_cosines_and_it_is_said_once(prepared: Library, words: Path) -> None:
    ran = run("tag", "-c", prepared.collection, "--words", words, "--format", "jsonl")
    assert ran.err.count(NOT_CALIBRATED) == 1
    for line in ran.out.splitlines():
        for tag in json.loads(line)["tags"]:
            assert tag["probability"] is None
            assert tag["score"] == tag["cosine"]


def test_with_a_calibration_scores_are_probabilities(prepared: Library, words: Path, tmp_path: Path) -> None:
    made = write_calibration(tmp_path / "made.json", prepared.model)
    ran = run("tag", "-c", prepared.collection, "--words", words, "--calibration", made, "--format", "jsonl")
    assert NOT_CALIBRATED not in ran.err
    for line in ran.out.splitlines():
        for tag in json.loads(line)["tags"]:
            wanted = 1 / (1 + np.exp(6.0 - 12.0 * tag["cosine"]))
            assert tag["score"] == tag["probability"] == pytest.approx(wanted, abs=1e-4)


def test_a_calibration_of_another_model_is_not_used(prepared: Library, words: Path, tmp_path: Path) -> None:
    other = write_calibration(tmp_path / "other.json", prepared.model, digest="00" * 32)
    ran = run("tag", "-c", prepared.collection, "--words", words, "--calibration", other, "--format", "jsonl")
    assert ran.code == 0
    assert ran.err.count(NOT_CALIBRATED) == 1
    assert "another model" in ran.err
    assert json.loads(ran.out.splitlines()[0])["tags"][0]["probability"] is None


def test_min_leaves_out_what_scores_less(prepared: Library, words: Path) -> None:
    args = ("-c", prepared.collection, "--words", words, "-k", "8")
    kept = [tag["score"] for row in rows(*args, "--min", "0.5") for tag in row["tags"]]
    every = [tag["score"] for row in rows(*args) for tag in row["tags"]]
    assert kept == [score for score in every if score >= 0.5]
    assert 0 < len(kept) < len(every)


def test_what_the_model_makes_of_own_words_is_said(prepared: Library, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("red\nRed\n" + "dog " * 45 + "\n")
    ran = run("tag", prepared.media / "red.png", "--words", path, "-c", prepared.collection)
    assert ran.code == 0
    assert "more than once" in ran.err
    assert "only the first 30 words" in ran.err


def test_what_cannot_be_read_is_said_at_the_end(prepared: Library, words: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    ran = run("tag", tmp_path / "bad.jpg", prepared.media / "red.png", "--words", words, "-c", prepared.collection)
    assert ran.code == 3
    assert len(ran.out.splitlines()) == 1
    assert "bad.jpg" in ran.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no such file.jpg"], 2, "no such file.jpg"),
        (["--words", "none.txt"], 2, "none.txt"),
        (["--calibration", "none.json"], 2, "none.json"),
        (["--where", "size>>3"], 2, "size"),
        (["--min", "2"], 2, ""),
        (["-k", "0"], 2, ""),
        (["--format", "xml"], 2, ""),
        (["--model", "./nowhere"], 1, "nowhere"),
    ],
)
def test_bad_calls_say_what_to_do(prepared: Library, arguments: list[str], code: int, said: str) -> None:
    ran = run("tag", *arguments, "-c", prepared.collection)
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert said in ran.err
    if ran.err.startswith("sightseek:"):
        assert len(ran.err.splitlines()) == 1


def test_without_anything_to_tag_the_way_is_said(tmp_path: Path, prepared: Library) -> None:
    ran = run("tag", "-c", tmp_path / "none")
    assert ran.code == 1
    assert "sightseek index" in ran.err
    ran = run("tag", prepared.media / "red.png", "-c", tmp_path / "none")  # one that is named must be there
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1


def test_another_model_than_the_collections(prepared: Library, words: Path, tmp_path: Path) -> None:
    from tests.model_makers import write_tiny_model

    other = write_tiny_model(tmp_path / "other", seed=3)
    ran = run("tag", "-c", prepared.collection, "--words", words, "--model", other)
    assert ran.code == 1
    assert "--reembed" in ran.err
    (found,) = rows(prepared.media / "red.png", "-c", prepared.collection, "--words", words, "--model", other)
    assert found["tags"][0]["word"] == "red"


def test_files_are_tagged_with_the_default_model_when_the_collections_is_gone(
    library: Library, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.model_makers import write_tiny_model

    first = write_tiny_model(tmp_path / "first", seed=7)
    assert run("index", library.media, "-c", tmp_path / "c", "--model", first).code == 0
    first.rename(tmp_path / "moved")
    monkeypatch.setenv("SIGHTSEEK_COLLECTION", str(tmp_path / "c"))
    monkeypatch.setenv("SIGHTSEEK_MODEL", str(library.model))
    ran = run("tag", library.media / "blue.png", "--words", words, "-k", "1", "--format", "jsonl")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["tags"][0]["word"] == "blue"
    assert "the collection is not used" in ran.err
    assert run("tag", "--words", words).code == 1  # without files it is needed


def test_stored_vectors_need_no_decoder(prepared: Library, words: Path) -> None:
    from tests.cli.test_start import imported

    loaded = imported("tag", "-c", str(prepared.collection), "--words", str(words), "--format", "jsonl")
    assert not loaded & {"torch", "av", "PIL", "sqlalchemy", "alembic", "rich", "pillow_heif"}
