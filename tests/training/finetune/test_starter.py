"""Whole runs with a small model of the starter's kind."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("matplotlib")

from PIL import Image  # noqa: E402

from retrieval.embedding import check_files, open_embedder  # noqa: E402
from retrieval.errors import OptionError  # noqa: E402
from retrieval.training.finetune.measuring import rank  # noqa: E402
from retrieval.training.finetune.pairs import read_sets  # noqa: E402
from retrieval.training.finetune.settings import completed  # noqa: E402
from tests.training.conftest import CLASSES  # noqa: E402
from tests.training.finetune.conftest import Toy, curve, losses, tuned  # noqa: E402


@pytest.mark.slow
def test_heads_learn_from_features_that_are_computed_once(toy: Toy, small_starter: Path, tmp_path: Path) -> None:
    knobs = {
        "model": str(small_starter), "from_scratch": "heads", "epochs": 10, "views": 2, "flip": 0.5, "crop": 0.8,
        "head_rate": 3e-4, "captions": 2, "every": 10,
    }  # fmt: skip
    cache = tmp_path / "cache"
    first = tuned(toy, tmp_path / "run", until=7, cache=cache, **knobs)
    assert first.interrupted
    kept = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    outcome = tuned(toy, tmp_path / "run", resume=True, cache=cache)
    found = losses(tmp_path / "run")
    assert len(found) == 30
    assert np.mean(found[-3:]) < np.mean(found[:3]) - 0.3
    assert outcome.best.step > 0
    tuned(toy, tmp_path / "again", cache=cache, **knobs)
    assert len(kept) > 4
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == kept
    assert curve(tmp_path / "again") == curve(tmp_path / "run")


def test_what_comes_out_is_an_onnx_folder_that_gives_what_was_measured(
    toy: Toy, small_starter: Path, tmp_path: Path
) -> None:
    knobs = {"model": str(small_starter), "image_tower": "lora", "text_tower": "all", "epochs": 1, "views": 1}
    outcome = tuned(toy, tmp_path / "run", chunk=6, **knobs)
    assert not (tmp_path / "run" / "features").exists()
    assert check_files(outcome.model) == []
    embedder = open_embedder(str(outcome.model))
    assert "trained further" in embedder.spec.knows
    sets = read_sets(toy.images, toy.captions, completed({}))
    pictures = embedder.embed_images([Image.open(toy.images / name) for name in sets.dev.names])
    texts = embedder.embed_texts(sets.dev.captions)
    found = rank(pictures, texts, sets.dev).figures()
    assert found["mean"] == pytest.approx(outcome.best.mean, abs=8)  # int8 weights move a rank or two of twelve


def bank_of(model: Path) -> np.ndarray:
    from retrieval.training.hubs import Balanced
    from retrieval.training.reload import load_starter

    found = load_starter(model).model
    assert isinstance(found, Balanced)
    return found.of_pictures.bank.numpy()


def test_the_correction_for_hubs_is_made_anew_from_what_was_learnt(
    toy: Toy, small_starter: Path, tmp_path: Path
) -> None:
    moved = tuned(toy, tmp_path / "moved", model=str(small_starter), from_scratch="heads", epochs=1, views=1)
    learnt = read_sets(toy.images, toy.captions, completed({})).train
    assert len(bank_of(moved.model)) == len(learnt.names) + CLASSES
    stopped = tuned(toy, tmp_path / "stopped", until=0, model=str(small_starter), views=1)
    assert stopped.best.step == 0
    assert np.array_equal(bank_of(stopped.model), bank_of(small_starter))


def test_towers_made_from_scratch_are_refused(toy: Toy, small_starter: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--from-scratch heads"):
        tuned(toy, tmp_path / "run", model=str(small_starter), from_scratch="all")
