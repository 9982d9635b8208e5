"""``sightseek search`` as a user calls it."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Library, run, run_process
from tests.media_makers import draw_picture, pan, write_clip
from tests.model_makers import write_tiny_model
from tests.page_reader import Page

KEYS = ["rank", "score", "path", "kind", "start_s", "end_s", "at_s", "item", "width", "height", "taken_at"]


def hits(*arguments: str | Path) -> list[dict[str, object]]:
    ran = run("search", *arguments, "--format", "jsonl")
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def names(found: list[dict[str, object]]) -> list[str]:
    return [Path(str(hit["path"])).name for hit in found]


def test_json_lines_have_the_keys_of_the_contract(prepared: Library) -> None:
    found = hits("red", "-c", prepared.collection)
    assert len(found) == 10
    assert all(list(hit) == KEYS for hit in found)
    assert [hit["rank"] for hit in found] == list(range(1, 11))
    scores = [hit["score"] for hit in found]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("colour", ["green", "yellow", "white", "orange"])
def test_words_find_their_picture(prepared: Library, colour: str) -> None:
    assert names(hits(f"a photo of something {colour}", "-c", prepared.collection))[0] == f"{colour}.png"


def test_words_find_the_moment(prepared: Library) -> None:
    found = hits("blue", "--where", "kind:video", "-c", prepared.collection)
    assert found[0]["kind"] == "video"
    assert 2.5 <= found[0]["start_s"] <= found[0]["at_s"] <= found[0]["end_s"] <= 6.2
    assert found[0]["item"] == f"{found[0]['path']}#t={found[0]['at_s']:g}"


def test_the_place_of_a_clip_has_a_speed(tmp_path: Path) -> None:
    shots = [(pan(draw_picture(seed), (160, 120), 6.0), 3.0) for seed in range(4)]
    write_clip(tmp_path / "films" / "long.mp4", shots, size=(160, 120), fps=12)
    write_clip(tmp_path / "cut.mp4", shots[1:3], size=(160, 120), fps=12)
    model = write_tiny_model(tmp_path / "tiny")
    assert run("index", tmp_path / "films", "--model", model, "-c", tmp_path / "collection").code == 0
    first = hits("--like", tmp_path / "cut.mp4", "-c", tmp_path / "collection")[0]
    assert list(first) == [*KEYS, "speed"]
    assert first["speed"] == pytest.approx(1.0, abs=0.05)
    assert (first["start_s"], first["end_s"]) == (pytest.approx(3.0, abs=0.3), pytest.approx(9.0, abs=0.3))


def test_so_many_moments_of_one_video(prepared: Library) -> None:
    asked = ("blue", "--where", "kind:video", "-c", prepared.collection)
    both = hits(*asked, "--sort", "video")
    assert [hit["rank"] for hit in both] == [2, 1]  # red comes before blue
    assert hits(*asked, "--per-video", "1") == [both[1]]


def test_a_picture_finds_others_and_not_itself(prepared: Library) -> None:
    found = names(hits("--like", prepared.media / "red.png", "-c", prepared.collection))
    assert "red.png" not in found
    assert found[0] == "red then blue.mp4"


def test_an_item_of_a_result_is_a_query(prepared: Library) -> None:
    moment = hits("blue", "--where", "kind:video", "-c", prepared.collection)[0]
    assert names(hits("--like", str(moment["item"]), "-c", prepared.collection))[0] == "blue.png"


def test_signs_between_words_mix_parts(prepared: Library) -> None:
    plain = names(hits("red", "-c", prepared.collection, "--where", "kind:image"))
    less = names(hits("red", "+", "blue", "-", "red", "-c", prepared.collection, "--where", "kind:image"))
    assert plain[0] == "red.png"
    assert less[0] == "blue.png"


def test_minus_takes_away(prepared: Library) -> None:
    args = ["0.5:red", "--like", prepared.media / "blue.png", "-c", prepared.collection]
    assert "red.png" in names(hits(*args))[:3]
    assert "red.png" not in names(hits(*args, "--minus", "2:red"))[:3]


def test_filters_are_inside_the_search(prepared: Library) -> None:
    found = hits("red", "--where", "ext:png and not path:red.png", "-k", "3", "-c", prepared.collection)
    assert len(found) == 3
    assert all(name.endswith(".png") and name != "red.png" for name in names(found))


def test_pages_follow_one_another(prepared: Library) -> None:
    whole = names(hits("red", "-k", "6", "-c", prepared.collection))
    pages = [names(hits("red", "-k", "2", "--offset", str(start), "-c", prepared.collection)) for start in (0, 2, 4)]
    assert [name for page in pages for name in page] == whole


def test_paths_for_other_programs(prepared: Library) -> None:
    ran = run_process("search", "red", "-k", "2", "-0", "-c", prepared.collection)
    paths = ran.stdout.split(b"\0")
    assert paths[-1] == b""
    assert all(Path(os.fsdecode(path)).exists() for path in paths[:-1])
    assert len(paths) == 3


def test_a_pipe_gets_plain_text(prepared: Library) -> None:
    ran = run_process("search", "red", "-c", prepared.collection)
    assert ran.returncode == 0, ran.stderr
    assert b"\x1b" not in ran.stdout
    assert len(ran.stdout.splitlines()) == 10


def test_no_hit_is_not_an_error(prepared: Library) -> None:
    ran = run("search", "red", "--where", "width>99999", "-c", prepared.collection)
    assert (ran.code, ran.out) == (0, "")
    assert "nothing found" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "words"),
        (["--minus", "red"], 2, ""),
        (["red", "--where", "size>>3"], 2, "size"),
        (["red", "--where", "(kind:video"], 2, ""),
        (["red", "-k", "0"], 2, ""),
        (["red", "--format", "xml"], 2, ""),
        (["--like", "no such file.jpg"], 2, "no such file.jpg"),
    ],
)
def test_bad_queries_say_what_to_do(prepared: Library, arguments: list[str], code: int, words: str) -> None:
    ran = run("search", *arguments, "-c", prepared.collection)
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert words in ran.err
    if ran.err.startswith("sightseek:"):
        assert len(ran.err.splitlines()) == 1


def test_without_a_collection_the_way_to_one_is_said(tmp_path: Path) -> None:
    ran = run("search", "red", "-c", tmp_path / "none")
    assert ran.code == 1
    assert "sightseek index" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_broken_pipe_is_quiet(prepared: Library) -> None:
    import subprocess
    import sys

    command = f"{sys.executable} -m retrieval search red -k 1000 --format jsonl -c '{prepared.collection}' | head -n 0"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in ran.stderr
    assert b"BrokenPipe" not in ran.stderr


def test_a_page_of_the_hits(prepared: Library) -> None:
    ran = run_process("search", "red", "-k", "4", "--format", "html", "-c", prepared.collection)
    assert ran.returncode == 0, ran.stderr
    page = Page(ran.stdout.decode())
    page.check_private(ran.stdout.decode())
    assert len(page.all("img")) == 4
    assert "red.png" in page.text
    assert b"Traceback" not in ran.stderr


def test_a_page_of_no_hits_is_a_page(prepared: Library) -> None:
    ran = run_process("search", "red", "--where", "width>9999", "--format", "html", "-c", prepared.collection)
    assert "Nothing was found." in Page(ran.stdout.decode()).text


@pytest.mark.parametrize("fusion", ["rrf", "scores", "hybrid"])
def test_parts_may_be_fused_otherwise(prepared: Library, fusion: str) -> None:
    args = ["red", "+", "blue", "-c", prepared.collection, "-k", "4", "--explain"]
    found = hits(*args, "--fusion", fusion)
    assert "red then blue.mp4" in names(found)
    for one in found:
        assert sum(part["share"] for part in one["parts"]) == pytest.approx(one["score"], abs=1e-6)
    assert [one["score"] for one in found] != [one["score"] for one in hits(*args)]


def test_words_of_names_and_folders_find_files(prepared: Library) -> None:
    args = ["drawings of blue", "-c", prepared.collection]
    assert set(names(hits(*args, "--match", "words"))) == {
        "drawing 1.jpg", "drawing 2.jpg", "blue.png", "red then blue.mp4",
    }  # fmt: skip
    assert names(hits("clips", "-c", prepared.collection, "--match", "words")) == ["red then blue.mp4"]
    assert len(hits(*args, "--match", "both")) == 10
    assert hits("xylophone", "-c", prepared.collection, "--match", "words") == []


@pytest.mark.parametrize("match", ["words", "both"])
def test_words_are_wanted_to_match_words(prepared: Library, match: str) -> None:
    ran = run("search", "--like", prepared.media / "red.png", "--match", match, "-c", prepared.collection)
    assert (ran.code, ran.out) == (2, "")
    assert "--match visual" in ran.err
    assert len(ran.err.splitlines()) == 1
