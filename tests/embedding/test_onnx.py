import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.embedding.base import cut_note, normalise, release, usable
from retrieval.embedding.onnx import OnnxEmbedder
from retrieval.errors import ModelError
from tests.model_makers import COLOURS, POISON, plain, rewrite_settings, write_tiny_model

WORDS = st.lists(st.sampled_from(["red", "dog", "Blue", "zebra", "of", "on grass", "1,234", "ü"]), max_size=12)


def pictures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_words_of_colour_find_pictures_of_that_colour(tiny: OnnxEmbedder):
    shown = tiny.embed_pixels(np.stack([tiny.preprocess(plain(colour)) for colour in COLOURS]))
    asked = tiny.embed_texts([f"a photo of a {colour} car" for colour in COLOURS])
    assert (np.argmax(asked @ shown.T, axis=1) == np.arange(len(COLOURS))).all()
    assert np.diag(asked @ shown.T).min() > 0.85


def test_vectors_have_length_one_and_the_stated_shape(tiny: OnnxEmbedder):
    for vectors in (tiny.embed_pixels(pictures(5)), tiny.embed_texts(["a", "red dog"]), tiny.embed_texts([""])):
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == tiny.dim == 64
        assert usable(vectors).all()


def test_nothing_gives_nothing(tiny: OnnxEmbedder):
    assert tiny.embed_texts([]).shape == (0, 64)
    assert tiny.embed_pixels(pictures(0)).shape == (0, 64)
    assert tiny.embed_images([]).shape == (0, 64)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(WORDS.map(" ".join), min_size=1, max_size=80))
def test_a_text_does_not_depend_on_its_neighbours(tiny: OnnxEmbedder, texts: list[str]):
    together = tiny.embed_texts(texts)
    alone = np.concatenate([tiny.embed_texts([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.integers(0, 9), min_size=1, max_size=40), size=st.integers(1, 9))
def test_a_picture_does_not_depend_on_its_neighbours(tiny: OnnxEmbedder, order: list[int], size: int):
    tiny.batch_size = size
    some = pictures(10)
    alone = np.concatenate([tiny.embed_pixels(some[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(tiny.embed_pixels(some[order]), alone[order], atol=1e-5)


def test_a_text_query_loads_the_text_tower_alone(folder: Path):
    (folder / "image.onnx").unlink()
    embedder = OnnxEmbedder(folder, "x", "cpu")
    assert embedder.embed_texts(["red"]).shape == (1, 64)
    with pytest.raises(ModelError, match=r"image\.onnx is missing") as caught:
        embedder.embed_pixels(pictures(1))
    assert "\n" not in str(caught.value)


def test_indexing_loads_the_image_tower_alone(folder: Path):
    (folder / "text.onnx").unlink()
    (folder / "tokenizer.json").unlink()
    embedder = OnnxEmbedder(folder, "x", "cpu")
    assert embedder.embed_pixels(pictures(1)).shape == (1, 64)
    with pytest.raises(ModelError, match=r"(text\.onnx|tokenizer\.json) is missing"):
        embedder.embed_texts(["red"])


def test_what_is_released_comes_again(folder: Path):
    embedder = OnnxEmbedder(folder, "x", "cpu")
    before = embedder.embed_texts(["red"]), embedder.embed_pixels(pictures(2))
    release(embedder)
    assert (embedder._image, embedder._text) == (None, None)
    np.testing.assert_array_equal(embedder.embed_texts(["red"]), before[0])
    np.testing.assert_array_equal(embedder.embed_pixels(pictures(2)), before[1])
    assert embedder._text is not None


@pytest.mark.parametrize("file", ["image.onnx", "text.onnx", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"not what it says\n" * 50])
def test_a_damaged_file_is_refused_in_one_line(folder: Path, file: str, content: bytes):
    (folder / file).write_bytes(content)
    embedder = OnnxEmbedder(folder, "x", "cpu")
    embed = (
        (lambda: embedder.embed_pixels(pictures(1))) if file == "image.onnx" else lambda: embedder.embed_texts(["a"])
    )
    with pytest.raises(ModelError, match=file.replace(".", r"\.")) as caught:
        embed()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dim": 48}, "gives vectors of 64 numbers, model.json says 48"),
        ({"image": {"height": 64}}, r"takes \[32, 32, 3\]"),
        ({"image": {"file": "text.onnx"}}, "lacks pixels"),
    ],
)
def test_a_graph_that_is_not_as_stated_is_refused(folder: Path, changes: dict, words: str):
    rewrite_settings(folder, **changes)
    embedder = OnnxEmbedder(folder, "x", "cpu")
    how = embedder.spec.preprocessing
    with pytest.raises(ModelError, match=words):
        embedder.embed_pixels(np.zeros((1, how.height, how.width, 3), dtype=np.uint8))


def test_cells_that_a_graph_does_not_have_are_refused(folder: Path):
    rewrite_settings(folder, image={"cells": [9, 9]})
    embedder = OnnxEmbedder(folder, "x", "cpu")
    assert embedder.embed_pixels(pictures(1)).shape == (1, 64)
    with pytest.raises(ModelError, match="cannot be run") as caught:
        embedder.embed_cells(pictures(1))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="wanted"):
        embedder.embed_cells(np.zeros((1, 16, 32, 3), np.uint8))


def test_pixels_of_another_shape_are_refused(tiny: OnnxEmbedder):
    for wrong in (np.zeros((1, 16, 32, 3), np.uint8), np.zeros((32, 32, 3), np.uint8), np.zeros((1, 32, 32, 3))):
        with pytest.raises(ModelError, match="wanted"):
            tiny.embed_pixels(wrong)


def test_a_row_that_cannot_be_computed_is_nan_and_alone(tmp_path: Path):
    embedder = OnnxEmbedder(write_tiny_model(tmp_path / "m", poison=True), "x", "cpu")
    batch = np.stack([plain("red", 32, 32), plain(POISON, 32, 32), plain("blue", 32, 32)])
    vectors = embedder.embed_pixels(batch)
    assert usable(vectors).tolist() == [True, False, True]
    assert np.isnan(vectors[1]).all()


def test_long_texts_are_read_in_part_and_it_is_said(tiny: OnnxEmbedder):
    assert tiny.text_notes("two dogs") == []
    assert tiny.text_notes("dog " * 30) == []
    assert tiny.text_notes("dog " * 31) == ["only the first 30 words of the text are read; the model takes no more"]
    assert "first 16 words" in tiny.text_notes("the hut " * 20)[0]  # of the 16th the first letter
    assert "first 30 characters" in tiny.text_notes("x" * 40)[0]
    long = "red " * 30
    np.testing.assert_array_equal(tiny.embed_texts([long]), tiny.embed_texts([long + "blue " * 500_000]))


def test_notes_name_the_words_that_count():
    def tokens(text: str) -> list[str]:
        return text.lower().split()[:3]

    assert "first 3 words" in cut_note("one two three four five", tokens)[0]
    assert cut_note("one two three", tokens) == []


def test_lower_case_belongs_to_the_model(tmp_path: Path):
    lower = OnnxEmbedder(write_tiny_model(tmp_path / "a"), "x", "cpu")
    exact = OnnxEmbedder(write_tiny_model(tmp_path / "b", lowercase=False), "x", "cpu")
    np.testing.assert_array_equal(lower.embed_texts(["RED"]), lower.embed_texts(["red"]))
    assert abs(exact.embed_texts(["RED"]) - exact.embed_texts(["red"])).max() > 0.05


def test_padding_belongs_to_the_model(tmp_path: Path):
    """Padded to the full context or to the longest: a masked model gives the same vectors."""
    longest = OnnxEmbedder(write_tiny_model(tmp_path / "a"), "x", "cpu")
    full = OnnxEmbedder(write_tiny_model(tmp_path / "b", padding="max"), "x", "cpu")
    texts = ["red", "a big blue car on the street", ""]
    np.testing.assert_allclose(longest.embed_texts(texts), full.embed_texts(texts), atol=1e-5)
    assert longest.spec.fingerprint() != full.spec.fingerprint()


def test_pictures_of_any_mode_are_embedded_as_shown(tiny: OnnxEmbedder):
    red = Image.new("RGB", (50, 40), "red")
    clear = Image.new("RGBA", (50, 40), (255, 0, 0, 0))
    shown = [red, red.convert("P"), red.convert("CMYK"), red.convert("RGBA"), clear, Image.new("L", (9, 9), 255)]
    vectors = tiny.embed_images(shown)
    words = tiny.embed_texts(["red", "white"])
    assert (vectors @ words.T).argmax(axis=1).tolist() == [0, 0, 0, 0, 1, 1]


def test_many_threads_may_use_one_embedder(tiny: OnnxEmbedder):
    some, texts = pictures(6), ["red dog", "a cat", "blue"]
    wanted = tiny.embed_pixels(some), tiny.embed_texts(texts)
    fresh = OnnxEmbedder(tiny.folder.path, "x", "cpu", threads=1)
    wrong: list[object] = []

    def work() -> None:
        for _ in range(5):
            if not np.allclose(fresh.embed_pixels(some), wanted[0], atol=1e-5):
                wrong.append("pixels")
            if not np.allclose(fresh.embed_texts(texts), wanted[1], atol=1e-5):
                wrong.append("texts")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_cuda_is_used_only_where_it_is(tiny_folder: Path):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(ModelError, match="--device cpu"):
        OnnxEmbedder(tiny_folder, "x", "cuda")
    assert OnnxEmbedder(tiny_folder, "x", "auto").embed_texts(["red"]).shape == (1, 64)


def test_normalise_marks_what_has_no_direction():
    rows = np.array([[3, 4], [0, 0], [np.nan, 1], [np.inf, 1], [1e-30, 0], [3e38, 3e38]], dtype=np.float32)
    found = normalise(rows)
    assert usable(found).tolist() == [True, False, False, False, True, True]
    np.testing.assert_allclose(found[0], [0.6, 0.8], rtol=1e-6)
    assert np.isnan(found[1:4]).all()
