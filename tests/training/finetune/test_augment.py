"""Views of pictures."""

import numpy as np
import pytest

from retrieval.config import Preprocessing
from retrieval.embedding.preprocess import preprocess
from retrieval.training.finetune.augment import PLAIN, Augment, sided, view
from tests.training.drawings import drawing

HOW = Preprocessing(24, 32)
PIXELS = np.asarray(drawing("red", "stripes", 60))


def make(augment: Augment, seed: int, mirror: bool = True) -> np.ndarray:
    return view(PIXELS, HOW, augment, np.random.default_rng(seed), mirror)


@pytest.mark.parametrize("how", [HOW, Preprocessing(24, 24, "crop"), Preprocessing(24, 24, "pad")])
def test_a_plain_view_is_what_the_model_sees_later(how: Preprocessing) -> None:
    assert np.array_equal(view(PIXELS, how, PLAIN, np.random.default_rng(0)), preprocess(PIXELS, how))


def test_a_view_has_the_towers_size_and_follows_its_seed() -> None:
    varied = Augment(0.3, 0.5, 0.4)
    made = [make(varied, seed) for seed in range(8)]
    assert {one.shape for one in made} == {(24, 32, 3)}
    assert all(np.array_equal(one, make(varied, seed)) for seed, one in enumerate(made))
    assert len({one.tobytes() for one in made}) == 8


def test_mirrored_is_the_mirror_image_and_only_where_it_may_be() -> None:
    always = Augment(1.0, 1.0, 0.0)
    assert np.array_equal(make(always, 0), make(PLAIN, 0)[:, ::-1])
    assert np.array_equal(make(always, 0, mirror=False), make(PLAIN, 0))


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a man on the left", True), ("Turning RIGHT.", True), ("the leftmost dog", True), ("一只狗在左边", True),
        ("a clockwise turn", True), ("leftover pizza", False), ("a bright day", False), ("", False),
    ],
)  # fmt: skip
def test_left_and_right_are_noticed_as_words(caption: str, expected: bool) -> None:
    assert sided(["a dog", caption]) is expected
