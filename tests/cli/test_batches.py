"""``sightseek search --queries`` as a user calls it."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Library, run, run_process

LINES = """# colours
red

"green" + 0.5:"blue"
red where:(size>>3)
blue where:(kind:video)
-red
"""


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    file = tmp_path / "queries.txt"
    file.write_text(LINES, encoding="utf-8")
    return file


def objects(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def without(found: list[dict[str, object]], *names: str) -> list[dict[str, object]]:
    return [{name: value for name, value in one.items() if name not in names} for one in found]


def test_each_line_finds_what_it_finds_alone(prepared: Library, queries: Path) -> None:
    ran = run("search", "--queries", queries, "-k", "3", "--format", "jsonl", "-c", prepared.collection)
    assert ran.code == 3, ran.err
    found = objects(ran.out)
    for number, text in ((2, "red"), (4, '"green" + 0.5:"blue"'), (6, "blue where:(kind:video)")):
        alone = objects(run("search", text, "-k", "3", "--format", "jsonl", "-c", prepared.collection).out)
        mine = [one for one in found if one["number"] == number]
        assert {one["query"] for one in mine} == {text}
        assert without(mine, "number", "query", "score") == without(alone, "score")
        assert [one["score"] for one in mine] == pytest.approx([one["score"] for one in alone], abs=1e-5)


def test_what_is_wrong_with_a_line_is_recorded_and_the_others_are_answered(prepared: Library, queries: Path) -> None:
    ran = run("search", "--queries", queries, "-k", "1", "--format", "jsonl", "-c", prepared.collection)
    wrong = [one for one in objects(ran.out) if "error" in one]
    assert [(one["number"], one["query"]) for one in wrong] == [(5, "red where:(size>>3)"), (7, "-red")]
    told = [line for line in ran.err.splitlines() if line.startswith(f"{queries}, line ")]
    assert told == [f"{queries}, line {one['number']}: {one['error']}" for one in wrong]
    assert ran.code == 3


def test_tables_begin_with_the_number_of_the_line(prepared: Library, queries: Path) -> None:
    ran = run("search", "--queries", queries, "-k", "2", "-c", prepared.collection)
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[0] + row[1] for row in rows] == ["21", "22", "41", "42", "61", "62"]


def test_csv_has_one_head(prepared: Library, queries: Path) -> None:
    ran = run("search", "--queries", queries, "-k", "2", "--format", "csv", "-c", prepared.collection)
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert list(rows[0])[:4] == ["number", "query", "rank", "score"]
    assert [row["number"] for row in rows] == ["2", "2", "4", "4", "6", "6"]
    assert rows[2]["query"] == '"green" + 0.5:"blue"'
    assert float(rows[4]["at_s"]) >= 0


def test_csv_of_one_query(prepared: Library) -> None:
    ran = run("search", "red", "-k", "4", "--format", "csv", "-c", prepared.collection)
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    lines = objects(run("search", "red", "-k", "4", "--format", "jsonl", "-c", prepared.collection).out)
    assert list(rows[0]) == [*lines[0], "probability"]
    told = [{**line, "probability": None} for line in lines]
    assert rows == [{key: "" if value is None else str(value) for key, value in line.items()} for line in told]


def test_parts_and_filters_go_with_each_line(prepared: Library, tmp_path: Path) -> None:
    file = tmp_path / "queries.txt"
    file.write_bytes(b"\xef\xbb\xbfred\r\ngreen\r\n")
    options = ["--like", str(prepared.media / "blue.png"), "--where", "kind:image", "-k", "3", "--format", "jsonl"]
    ran = run("search", "--queries", file, *options, "-c", prepared.collection)
    found = without(objects(ran.out), "number", "query")
    alone = [objects(run("search", one, *options, "-c", prepared.collection).out) for one in ("red", "green")]
    assert without(found, "score") == without([hit for hits in alone for hit in hits], "score")


def test_paths_and_files_without_hits(prepared: Library, queries: Path) -> None:
    ran = run_process("search", "--queries", queries, "-k", "1", "-0", "-c", prepared.collection)
    assert len(ran.stdout.split(b"\0")) == 4
    ran_none = run("search", "--queries", queries, "--where", "ext:none", "-c", prepared.collection)
    assert ran_none.out == ""
    assert ran_none.err.count("nothing found: the collection has nothing that --where selects") == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["red", "--queries", "FILE"], 2, "not both"),
        (["--queries", "no such file"], 2, "No such file"),
        (["--queries", "EMPTY"], 2, "no query"),
        (["--queries", "BYTES"], 2, "not UTF-8"),
        (["--queries", "FILE", "--where", "size>>3"], 2, "size"),
        (["--queries", "FILE", "--format", "html"], 2, "--queries goes with"),
        (["--queries", "FILE", "--open"], 2, "--queries goes with"),
        (["--queries", "FILE", "--format", "csv", "--explain"], 2, "--explain"),
    ],
)
def test_wrong_use_is_said_once(
    prepared: Library, queries: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    files = {"FILE": queries, "EMPTY": tmp_path / "empty.txt", "BYTES": tmp_path / "bytes.txt"}
    files["EMPTY"].write_text("\n# nothing\n")
    files["BYTES"].write_bytes(b"\xff\xfe")
    ran = run("search", *(str(files.get(one, one)) for one in arguments), "-c", prepared.collection)
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert words in " ".join(ran.err.split())
    assert ran.err.count("size>>3") <= 1


def test_queries_from_stdin(prepared: Library) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "retrieval", "search", "--queries", "-", "-k", "1", "-c", str(prepared.collection)]
    ran = subprocess.run(command, input="red\n绿\n".encode(), capture_output=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [line.split(b"\t")[0] for line in ran.stdout.splitlines()] == [b"1", b"2"]
