"""The size of batches: measured on the real runtime, remembered, overridden; vectors never depend on it."""

import json
from pathlib import Path

import numpy as np
import pytest

from retrieval.embedding import open_embedder
from retrieval.embedding.batches import batch_cache, fastest, paces, tune_batch
from tests.model_makers import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(write_tiny_model(tmp_path / "model"))


def test_a_size_is_measured_once_and_remembered_for_this_model(model: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    first = open_embedder(model, "cpu")
    size = tune_batch(first, folder=kept)
    assert size in first.batch_choices
    assert first.batch_size == size
    (file,) = kept.iterdir()
    other = next(choice for choice in first.batch_choices if choice != size)
    file.write_text(json.dumps({"batch": other}))  # as if another size had been the fastest
    again = open_embedder(model, "cpu")
    assert tune_batch(again, folder=kept) == again.batch_size == other
    different = open_embedder(str(write_tiny_model(tmp_path / "different", seed=1)), "cpu")
    tune_batch(different, folder=kept)
    assert len(list(kept.iterdir())) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"batch": 7}', '{"batch": "8"}', '{"batch": true}', "\x00\xff"])
def test_what_is_damaged_is_measured_anew(model: str, tmp_path: Path, damage: str) -> None:
    tune_batch(open_embedder(model, "cpu"), folder=tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    file.write_text(damage, encoding="latin-1")
    embedder = open_embedder(model, "cpu")
    assert tune_batch(embedder, folder=tmp_path / "kept") in embedder.batch_choices
    assert json.loads(file.read_text())["batch"] == embedder.batch_size


def test_a_folder_that_cannot_be_written_is_no_error(model: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    embedder = open_embedder(model, "cpu")
    assert tune_batch(embedder, folder=tmp_path / "file" / "below") in embedder.batch_choices


def test_a_size_that_is_asked_for_is_used_and_nothing_measured(model: str, tmp_path: Path) -> None:
    embedder = open_embedder(model, "cpu")
    assert tune_batch(embedder, 3, tmp_path / "kept") == embedder.batch_size == 3
    assert not (tmp_path / "kept").exists()
    assert tune_batch(embedder, 9999, tmp_path / "kept") == 1024


def test_only_a_gain_beyond_noise_changes_the_usual_size() -> None:
    assert fastest({4: 1.0, 8: 1.04, 16: 1.2}, 8) == 8
    assert fastest({4: 1.0, 8: 1.1, 16: 1.2}, 8) == 4
    assert fastest({4: 1.3, 8: 1.1, 16: 0.9}, 8) == 16


def test_a_slow_model_is_measured_once(model: str) -> None:
    embedder = open_embedder(model, "cpu")
    ticks = iter(float(tick) for tick in range(1000))
    found = paces(embedder, (4, 8), lambda: next(ticks) * 10)
    assert set(found) == {4, 8}
    assert next(ticks) <= 7  # one look at the beginning, two a size, one at the end of the only round
    assert embedder.batch_size == 8


@pytest.mark.parametrize("name", ["starter", "tiny"])
def test_vectors_do_not_depend_on_the_size(name: str, model: str) -> None:
    embedder = open_embedder(name if name == "starter" else model, "cpu")
    how = embedder.spec.preprocessing
    pixels = np.random.default_rng(0).integers(0, 256, (17, how.height, how.width, 3), np.uint8)
    found = []
    for size in (1, *embedder.batch_choices):
        embedder.batch_size = size
        found.append(embedder.embed_pixels(pixels))
    for vectors in found[1:]:
        assert np.abs(vectors - found[0]).max() < 1e-5


def test_sizes_are_kept_beside_the_other_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert batch_cache() == tmp_path / "sightseek" / "batches"
