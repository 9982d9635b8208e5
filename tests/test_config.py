"""What can be chosen: sampling notation, model fingerprints, settings from environment and file."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.config import ModelSpec, Preprocessing, Sampling, default_collection, load_settings, model_cache
from retrieval.errors import RetrievalError

SPEC = ModelSpec("m", 8, "ab" * 32, Preprocessing(224, 224, "crop", mean=(0.5, 0.4, 0.3), std=(1, 1, 1)), "bpe", "x")


@given(st.integers(1, 10_000_000))
def test_sampling_notation_is_read_as_it_is_printed(thousandths: int) -> None:
    every = Sampling.parse(f"every:{thousandths}ms")
    assert every.every_s == pytest.approx(thousandths / 1000)
    assert Sampling.parse(str(every)).every_s == pytest.approx(every.every_s, rel=1e-5)
    for mode in ("auto", "keyframes", "all"):
        assert str(Sampling.parse(mode)) == mode


@pytest.mark.parametrize("text", ["", "every", "every:", "every:0s", "every:-1s", "sometimes", "every:2h", "Auto"])
def test_unknown_sampling_names_the_choices(text: str) -> None:
    with pytest.raises(RetrievalError, match="every:2s") as caught:
        Sampling.parse(text)
    assert "\n" not in str(caught.value)


def test_minutes_and_plain_seconds() -> None:
    assert Sampling.parse("every:1.5m").every_s == 90
    assert Sampling.parse("every:3").every_s == 3


def test_a_spec_survives_json() -> None:
    import json

    assert ModelSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_the_fingerprint_holds_what_decides_the_vectors() -> None:
    assert replace(SPEC, name="other", knows="other").fingerprint() == SPEC.fingerprint()
    for changed in (
        replace(SPEC, dim=9),
        replace(SPEC, digest="cd" * 32),
        replace(SPEC, text="other"),
        replace(SPEC, preprocessing=replace(SPEC.preprocessing, resize="squash")),
    ):
        assert changed.fingerprint() != SPEC.fingerprint()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('collection = "/from/file"\nmodel = "file-model"\njobs = 3\n')
    settings = load_settings({"SIGHTSEEK_SETTINGS": str(file), "SIGHTSEEK_MODEL": "env-model"})
    assert settings.collection == Path("/from/file")
    assert settings.model == "env-model"
    assert settings.jobs == 3
    assert settings.device == "auto"


def test_the_users_prompts_are_sentences_by_name(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('jobs = 2\n[prompts]\nart = "a painting of {}"\nboth = ["a {}", "the {}"]\n')
    settings = load_settings({"SIGHTSEEK_SETTINGS": str(file)})
    assert settings.prompts == {"art": ("a painting of {}",), "both": ("a {}", "the {}")}
    assert settings.jobs == 2


def test_without_anything_the_users_data_folder_is_used(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})
    assert settings.collection.parts[-2:] == ("sightseek", "collection")
    assert settings.model is None


@pytest.mark.parametrize(
    ("content", "environment"),
    [
        ("not toml [", {}),
        ("", {"SIGHTSEEK_JOBS": "many"}),
        ("", {"SIGHTSEEK_DEVICE": "abacus"}),
        ("jobs = 'x'", {}),
        ("colection = '/x'", {}),
        ("model = [1]", {}),
        ("prompts = 'a photo of {}'", {}),
        ("[prompts]\nmine = 'a photo'", {}),
        ("[prompts]\nmine = ['a {}', 3]", {}),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, content: str, environment: dict[str, str]) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(content)
    with pytest.raises(RetrievalError) as caught:
        load_settings({"SIGHTSEEK_SETTINGS": str(file), **environment})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("named", ["", "relative", "/somewhere/else", "~/not/expanded"])
def test_the_users_folders_are_those_of_platformdirs(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, named)
    monkeypatch.delenv("SIGHTSEEK_SETTINGS", raising=False)
    assert default_collection() == Path(platformdirs.user_data_dir("sightseek", appauthor=False)) / "collection"
    assert model_cache() == Path(platformdirs.user_cache_dir("sightseek", appauthor=False)) / "models"
