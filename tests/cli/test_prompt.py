"""``search --prompt``: sentences that words are put into."""

from pathlib import Path

import pytest

from tests.cli.conftest import Library, run
from tests.cli.test_search import hits


def test_a_prompt_is_as_if_its_sentence_was_written(prepared: Library) -> None:
    written = hits("a photo of red", "-c", prepared.collection)
    assert hits("red", "--prompt", "photo", "-c", prepared.collection) == written
    assert hits("red", "--prompt", "none", "-c", prepared.collection) == hits("red", "-c", prepared.collection)
    assert len(hits("red", "--prompt", "ensemble", "-c", prepared.collection)) == 10


def test_the_users_own_prompts(prepared: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text('[prompts]\nbig = ["a big {} car"]\n')
    monkeypatch.setenv("SIGHTSEEK_SETTINGS", str(tmp_path / "settings.toml"))
    assert hits("red", "--prompt", "big", "-c", prepared.collection) == hits("a big red car", "-c", prepared.collection)
    ran = run("search", "red", "--prompt", "small", "-c", prepared.collection)
    assert ran.code == 2
    assert "none, photo, ensemble, big" in ran.err
