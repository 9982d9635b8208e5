"""Recall, its ties, its intervals, class retrieval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.training.measure import bootstrap, class_recall, ranks, recall

OWNER = np.repeat(np.arange(20), 5)


def test_a_perfect_and_a_constant_model() -> None:
    perfect = (np.arange(20)[:, None] == OWNER).astype(np.float32)
    assert recall(perfect, OWNER) == ((100.0, 100.0, 100.0), (100.0, 100.0, 100.0))
    constant = np.zeros((20, 100), np.float32)
    assert recall(constant, OWNER) == ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def test_one_caption_among_the_first_is_enough_for_a_picture() -> None:
    similarity = np.zeros((20, 100), np.float32)
    similarity[3, 17] = 1.0
    _, by_image = ranks(similarity, OWNER)
    assert by_image[3] == 0
    assert by_image[4] == 95


@given(st.integers(0, 2**32 - 1))
def test_ranks_agree_with_sorting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 12, (20, 100)).astype(np.float32)
    by_text, by_image = ranks(similarity, OWNER)
    for caption in (0, 50, 99):
        others = np.delete(similarity[:, caption], OWNER[caption])
        assert by_text[caption] == (others >= similarity[OWNER[caption], caption]).sum()
    for picture in (0, 19):
        own = picture == OWNER
        assert by_image[picture] == (similarity[picture, ~own] >= similarity[picture, own].max()).sum()


def test_the_interval_holds_the_figure_and_is_repeatable() -> None:
    similarity = np.random.default_rng(2).normal(size=(20, 100)).astype(np.float32)
    similarity[np.arange(20)[:, None] == OWNER] += 1.5
    found = recall(similarity, OWNER)
    text, image = bootstrap(similarity, OWNER, rounds=300)
    for values, interval in ((found.text_to_image, text), (found.image_to_text, image)):
        assert (interval[:, 0] <= values).all()
        assert (values <= interval[:, 1]).all()
    assert (interval[0, 1] - interval[0, 0]) > 5
    assert np.array_equal(bootstrap(similarity, OWNER, rounds=300)[0], text)


def test_class_retrieval_takes_any_picture_of_the_class() -> None:
    texts = np.eye(3, dtype=np.float32)
    images = np.array([[1, 0, 0], [0.9, 0, 0.1], [0, 1, 0], [0, 1, 0.5]], np.float32)
    assert class_recall(images, texts, np.array([0, 0, 1, 2])) == pytest.approx(100.0)
    assert class_recall(images, texts, np.array([1, 0, 1, 2])) == pytest.approx(200 / 3)
