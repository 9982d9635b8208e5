"""Prompts: texts put into sentences, averaged, and left alone where the sentence is in another language."""

import numpy as np
import pytest

from retrieval.embedding import open_embedder
from retrieval.embedding.polyglot import Polyglot
from retrieval.embedding.prompts import PROMPTS, SLOT, embed_prompted, prompt_named
from retrieval.errors import OptionError
from tests.model_makers import write_tiny_model


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny", context_length=12)), "cpu", 1)


def test_without_a_prompt_texts_are_embedded_as_they_are(embedder):
    vectors, notes = embed_prompted(embedder, ["red", "blue", "red"], ())
    assert vectors == pytest.approx(embedder.embed_texts(["red", "blue", "red"]), abs=1e-6)
    assert notes == [[], [], []]
    assert embed_prompted(embedder, [], ("a {}",))[0].shape == (0, embedder.dim)


def test_one_sentence_is_that_sentence(embedder):
    vectors, _ = embed_prompted(embedder, ["red", "blue"], PROMPTS["photo"])
    assert vectors == pytest.approx(embedder.embed_texts(["a photo of red", "a photo of blue"]), abs=1e-6)


def test_several_sentences_are_averaged_in_the_space_of_vectors(embedder):
    sentences = [one.replace(SLOT, "red") for one in PROMPTS["ensemble"]]
    mean = embedder.embed_texts(sentences).astype(np.float64).mean(axis=0)
    vectors, _ = embed_prompted(embedder, ["red"], PROMPTS["ensemble"])
    assert vectors[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-6)
    assert len(set(PROMPTS["ensemble"])) == len(PROMPTS["ensemble"]) > 1


def test_a_text_that_holds_braces_stays_whole(embedder):
    vectors, _ = embed_prompted(embedder, ["red {} {0}"], ("a {}", "{} {}"))
    sentences = ["a red {} {0}", "red {} {0} red {} {0}"]
    mean = embedder.embed_texts(sentences).astype(np.float64).mean(axis=0)
    assert vectors[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_what_is_cut_off_of_the_longest_sentence_is_said(embedder):
    _, notes = embed_prompted(embedder, ["red " * 9, "red"], ("a {}", "a photo of the small {}"))
    assert "of the text are read" in notes[0][0]
    assert notes[1] == []


def test_words_in_another_language_are_read_without_the_prompt(embedder):
    polyglot = Polyglot(embedder)
    vectors, notes = embed_prompted(polyglot, ["红色的汽车", "red"], PROMPTS["photo"])
    assert vectors[0] == pytest.approx(polyglot.embed_texts(["红色的汽车"])[0], abs=1e-6)
    assert vectors[1] == pytest.approx(embedder.embed_texts(["a photo of red"])[0], abs=1e-6)
    assert "another language" in notes[0][0]
    own, notes = embed_prompted(polyglot, ["红色的汽车"], ("一张{}的照片",))
    assert own[0] == pytest.approx(polyglot.embed_texts(["一张红色的汽车的照片"])[0], abs=1e-6)
    assert not any("another language" in note for note in notes[0])


def test_prompts_have_names():
    assert prompt_named("none", {}) == ()
    assert prompt_named("mine", {"mine": ("x {}",)}) == ("x {}",)
    assert prompt_named("photo", {"photo": ("my {}",)}) == ("my {}",)
    with pytest.raises(OptionError, match=r"no prompt 'other'; use none, photo, ensemble, mine"):
        prompt_named("other", {"mine": ("x {}",)})
