"""The tables of speed say what was measured."""

import json
import re
from typing import Any

import pytest

from benchmarks.everything import BENCHMARKS, RESULTS
from benchmarks.table import PROJECT, TABLES, filled, lines, results


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_what_the_results_say(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    assert filled(name, text, results()) == text, "run: python -m benchmarks.table"


@pytest.mark.skipif(not list(RESULTS.glob("*.json")), reason="nothing was measured yet")
def test_every_row_has_its_results() -> None:
    for name, (rows, _chinese) in TABLES.items():
        assert len(list(lines(name, results()))) == len(rows) + 2, name


def test_both_languages_tell_the_same_numbers() -> None:
    for row in (row for rows, _chinese in TABLES.values() for row in rows):
        fields = [re.findall(r"{[^}]*}", " ".join(texts)) for texts in (row.english, row.chinese)]
        assert sorted(fields[0]) == sorted(fields[1])


def test_a_row_without_its_result_is_left_out() -> None:
    assert len(list(lines("README.md", {}))) == 2


def test_results_say_versions_and_machine_and_no_places() -> None:
    found: dict[str, Any] = results()
    assert set(found) <= set(BENCHMARKS)
    for name, result in found.items():
        assert result["cores"], name
        assert result["versions"]["onnxruntime"], name
        assert "/home/" not in json.dumps(result)
        assert not re.search(r'"/(tmp|work|root|Users)/', (RESULTS / f"{name}.json").read_text(encoding="utf-8")), name
