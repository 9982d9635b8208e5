"""Knobs: from TOML, from options, by default; what makes no sense is refused by name."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import OptionError
from retrieval.training.finetune.settings import (
    Tuning,
    checked_types,
    chosen,
    completed,
    differences,
    last_blocks,
    read_toml,
    to_toml,
)


def test_options_go_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('batch = 64\nepochs = 3\ndecay = 1\nloss = "siglip"\n')
    made = completed(chosen({"epochs": 7}, file))
    assert (made.batch, made.epochs, made.decay, made.loss) == (64, 7, 1.0, "siglip")
    assert isinstance(made.decay, float)


@settings(deadline=None, max_examples=50)
@given(
    st.builds(
        lambda batch, rate, text: completed({"batch": batch, "head_rate": rate, "class_names": text}),
        st.integers(2, 9999),
        st.floats(1e-9, 1.0),
        st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, made: Tuning) -> None:
    file = tmp_path_factory.mktemp("toml") / "config.toml"
    file.write_text(to_toml(made), encoding="utf-8")
    assert completed(read_toml(file)) == made


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("bach = 3", "bach"),
        ('batch = "many"', "batch"),
        ("batch = 2.5", "batch"),
        ("batch = true", "batch"),
        ("loss = 3", "loss"),
        ("[model]\nname = 1", "model"),
        ("batch = ", "TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_it(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(OptionError, match=named) as caught:
        read_toml(file)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        read_toml(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loss", "triplet"), ("image_tower", "last:0"), ("text_tower", "last:x"), ("smoothing", 1.5), ("epochs", 0),
        ("batch", 1), ("head_rate", -1.0), ("crop", 0.0), ("average", 1.0), ("precision", "int8"),
        ("head_rate", float("nan")), ("head_rate", float("inf")), ("rank", 0), ("device", "tpu"),
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(OptionError, match=key):
        completed(checked_types({key: value}, "option"))


def test_two_locked_towers_are_refused() -> None:
    with pytest.raises(OptionError, match="both locked"):
        completed({"image_tower": "locked", "text_tower": "locked"})


def test_defaults_suit_the_model() -> None:
    starter, clip = completed({}), completed({"model": "ViT-B-32/openai"})
    assert (starter.image_tower, starter.head_rate) == ("heads", 3e-4)
    assert (clip.image_tower, clip.text_tower) == ("all", "all")
    assert clip.image_rate < clip.head_rate < starter.head_rate
    assert completed({"model": "ViT-B-32/openai", "text_tower": "lora"}).text_rate > clip.text_rate


def test_differences_name_what_changes_the_result_and_nothing_else() -> None:
    made = completed({})
    assert differences(made, made._replace(device="cuda", jobs=3)) == []
    assert differences(made, made._replace(batch=64, seed=2)) == [
        "batch (256 before, 64 now)",
        "seed (0 before, 2 now)",
    ]


@pytest.mark.parametrize(("mode", "count"), [("last:3", 3), ("last:", None), ("last:0", None), ("all", None)])
def test_last_blocks(mode: str, count: int | None) -> None:
    assert last_blocks(mode) == count
