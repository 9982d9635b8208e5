"""Vectors of words and sentences, and what is kept of them on disk."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from retrieval.embedding import Embedder, open_embedder
from retrieval.embedding import kept as keeping
from retrieval.embedding.kept import kept
from retrieval.labels.text_vectors import TEMPLATES, sentence_vectors, word_vectors
from tests.model_makers import write_tiny_model

MANY = [f"{colour} {noun}" for colour in ("red", "green", "blue", "grey") for noun in "abcdefghij"]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_word_is_the_mean_direction_of_its_prompts(embedder: Embedder) -> None:
    found = word_vectors(["red", "a {curious} word"], embedder)
    wanted = embedder.embed_texts([template.format("red") for template in TEMPLATES]).mean(axis=0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], wanted / np.linalg.norm(wanted), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_templates_are_different_and_hold_the_word() -> None:
    assert len(set(TEMPLATES)) == len(TEMPLATES) >= 10
    assert all(template.count("{}") == 1 for template in TEMPLATES)


def test_sentences_keep_their_order(embedder: Embedder) -> None:
    sentences = ["a long sentence about a red car in the snow", "blue", "a dog", "blue"]
    np.testing.assert_allclose(sentence_vectors(sentences, embedder), embedder.embed_texts(sentences), atol=1e-5)


def test_progress_ends_with_all(embedder: Embedder) -> None:
    told: list[tuple[int, int]] = []
    word_vectors(MANY, embedder, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(MANY) * len(TEMPLATES),) * 2
    assert told == sorted(told)


@pytest.mark.parametrize("embed", [word_vectors, sentence_vectors])
def test_what_is_kept_is_what_was_computed(embed, embedder: Embedder, tmp_path: Path) -> None:
    plain = embed(MANY, embedder)
    told: list[int] = []
    first = embed(MANY, embedder, cache=tmp_path / "kept", progress=lambda done, total: told.append(done))
    assert told
    told.clear()
    second = embed(MANY, embedder, cache=tmp_path / "kept", progress=lambda done, total: told.append(done))
    assert not told  # nothing was embedded again
    np.testing.assert_array_equal(first, second)
    assert (np.sum(plain * first, axis=1) > 0.9999).all()


def test_other_words_prompts_or_models_are_kept_apart(embedder: Embedder, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    word_vectors(MANY, embedder, cache=folder)
    sentence_vectors(MANY, embedder, cache=folder)
    word_vectors(MANY[::-1], embedder, cache=folder)
    word_vectors(MANY, open_embedder(str(write_tiny_model(tmp_path / "other", seed=4)), "cpu", 1), cache=folder)
    assert len(list(folder.glob("*.npy"))) == 4


def test_what_is_kept_is_private(embedder: Embedder, tmp_path: Path) -> None:
    word_vectors(MANY, embedder, cache=tmp_path / "a" / "kept")
    (file,) = (tmp_path / "a" / "kept").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not any(word.split()[0].encode() in file.name.encode() + file.read_bytes() for word in MANY)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00v\x00", b"junk" * 500], ids=["empty", "header", "junk"])
def test_a_damaged_file_is_made_anew(damage: bytes, tmp_path: Path) -> None:
    rows = unit(np.random.default_rng(0).normal(size=(40, 8))).astype(np.float32)
    first = kept(tmp_path, "x", rows.shape, lambda: rows)
    (tmp_path / "x.npy").write_bytes(damage)
    np.testing.assert_array_equal(kept(tmp_path, "x", rows.shape, lambda: rows), first)
    np.testing.assert_array_equal(kept(tmp_path, "x", rows.shape, _not_asked), first)


def test_a_file_cut_short_or_not_finite_is_made_anew(tmp_path: Path) -> None:
    rows = np.ones((40, 8), dtype=np.float32)
    for wrong in (np.ones((39, 8)), np.full((40, 8), np.nan), np.ones((40, 8), dtype=np.float64)):
        np.save(tmp_path / "x.npy", wrong.astype(wrong.dtype if wrong.dtype == np.float64 else "<f2"))
        np.testing.assert_array_equal(kept(tmp_path, "x", rows.shape, lambda: rows), rows)
        np.testing.assert_array_equal(kept(tmp_path, "x", rows.shape, _not_asked), rows)
        os.truncate(tmp_path / "x.npy", (tmp_path / "x.npy").stat().st_size - 2)
        np.testing.assert_array_equal(kept(tmp_path, "x", rows.shape, lambda: rows), rows)


def test_a_folder_that_cannot_be_used_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    rows = np.ones((40, 8), dtype=np.float32)
    np.testing.assert_array_equal(kept(tmp_path / "file" / "kept", "x", rows.shape, lambda: rows), rows)


def test_the_folder_stays_bounded_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.ones((40, 8), dtype=np.float32)
    monkeypatch.setattr(keeping, "_MOST_BYTES", 3 * (128 + rows.size * 2))
    for at, name in enumerate("abc"):
        kept(tmp_path, name, rows.shape, lambda: rows)
        os.utime(tmp_path / f"{name}.npy", (1000 + at, 1000 + at))
    kept(tmp_path, "a", rows.shape, _not_asked)  # used again, so it is no longer the oldest
    kept(tmp_path, "d", rows.shape, lambda: rows)
    assert {path.stem for path in tmp_path.iterdir()} == {"a", "c", "d"}


def _not_asked() -> np.ndarray:
    raise AssertionError("this was to be read from disk")


@pytest.mark.parametrize("damage", [b"'shape': (01, 2)", b"'shape': (((", b"\xff" * 16])
def test_a_kept_file_with_a_damaged_header_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    rows = np.ones((40, 2), np.float32)
    kept(tmp_path, "a", rows.shape, lambda: rows)
    path = tmp_path / "a.npy"
    content = bytearray(path.read_bytes())
    content[20 : 20 + len(damage)] = damage
    path.write_bytes(content)
    made = kept(tmp_path, "a", rows.shape, lambda: 2 * rows)
    np.testing.assert_array_equal(made, 2 * rows)
