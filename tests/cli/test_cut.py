"""``sightseek search --cut`` as a user calls it."""

import json

import pytest

from tests.cli.conftest import Library, run


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_what_is_kept_has_a_probability_in_each_form(prepared: Library) -> None:
    ran = run("search", "a red picture", "-c", prepared.collection, "--cut", "auto:0.1", "--format", "jsonl")
    assert ran.code == 0, ran.err
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert 1 <= len(found) < 10
    assert all(0.5 < hit["probability"] <= 1.0 for hit in found)
    table = run("search", "a red picture", "-c", prepared.collection, "--cut", "auto:0.1")
    rows = [row.split("\t") for row in table.out.splitlines()]
    assert [float(row[4]) for row in rows] == [pytest.approx(hit["probability"], abs=0.005) for hit in found]
    paths = run("search", "a red picture", "-c", prepared.collection, "--cut", "auto:0.1", "--format", "paths")
    assert paths.out.splitlines() == list(dict.fromkeys(hit["path"] for hit in found))


def test_nothing_relevant_is_one_line_and_no_error(prepared: Library) -> None:
    ran = run("search", "a bus at night", "-c", prepared.collection, "--cut", "auto")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("nothing relevant: ")
    assert ran.err.count("\n") == 1
    assert "--cut none" in ran.err


def test_a_score_cuts(prepared: Library) -> None:
    every = [
        json.loads(line)["score"]
        for line in run("search", "red", "-c", prepared.collection, "--format", "jsonl").out.splitlines()
    ]
    ran = run("search", "red", "-c", prepared.collection, "--cut", str(every[1]), "--format", "jsonl")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert len(found) == sum(score >= every[1] for score in every)
    assert all("probability" not in hit for hit in found)
    nothing = run("search", "red", "-c", prepared.collection, "--cut", "1.5")
    assert (nothing.code, nothing.out) == (0, "")
    assert "nothing scores 1.5 or more" in nothing.err


def test_too_few_to_judge_by_are_all_shown_and_it_is_said(prepared: Library) -> None:
    ran = run("search", "red", "-c", prepared.collection, "--cut", "auto", "--where", "name:red*")
    assert ran.code == 0
    assert ran.out
    assert "cannot tell with fewer than 10" in ran.err


def test_a_bad_cut_is_refused_in_one_line(prepared: Library) -> None:
    ran = run("search", "red", "-c", prepared.collection, "--cut", "auto:2")
    assert ran.code in (1, 2)
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert "auto:0.005" in ran.err
