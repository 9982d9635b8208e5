"""The built-in model, as a user meets it; its golden vectors are tested beside its training."""

import numpy as np
import pytest
from PIL import Image

from retrieval.embedding import check_files, model_folder, open_embedder
from retrieval.embedding.base import usable
from retrieval.errors import ModelError


def missing() -> bool:
    try:
        return model_folder("starter") is None
    except ModelError:
        return True


pytestmark = pytest.mark.skipif(missing(), reason="the built-in model is not in this checkout")


@pytest.fixture(scope="module")
def starter():
    return open_embedder("starter", "cpu")


def test_its_files_are_those_it_names():
    assert check_files(model_folder("starter")) == []


def test_sentences_of_one_meaning_are_near(starter):
    dog, hound, city = starter.embed_texts(["a dog runs on the beach", "a hound on the sand", "skyscrapers at night"])
    assert dog @ hound > dog @ city + 0.1


def test_different_pictures_have_different_vectors(starter):
    vectors = starter.embed_images([Image.new("RGB", (300, 200), colour) for colour in ("black", "white")])
    assert usable(vectors).all()
    assert vectors[0] @ vectors[1] < 0.99


def test_batches_do_not_change_vectors(starter):
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (6, 8, 3), dtype=np.uint8) for _ in range(5)]
    pixels = np.stack([starter.preprocess(picture) for picture in small])
    together = starter.embed_pixels(pixels)
    alone = np.concatenate([starter.embed_pixels(pixels[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    texts = ["a dog", "", "a very long sentence about a man who rides a bicycle down the hill", "zwei Hunde", "x" * 300]
    together = starter.embed_texts(texts)
    alone = np.concatenate([starter.embed_texts([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_tower_opened_briefly_gives_the_same_vectors(starter):
    texts = ["a dog", "two children on a red slide in the park", ""]
    brief = open_embedder("starter", briefly=True).embed_texts(texts)
    np.testing.assert_allclose(brief, starter.embed_texts(texts), atol=2e-6)


def test_long_texts_are_read_in_part_and_it_is_said(starter):
    assert starter.text_notes("two dogs play in the snow") == []
    assert "only the first" in starter.text_notes("two dogs play in the snow " * 20)[0]
