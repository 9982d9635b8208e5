"""The order of a run: every picture once an epoch, and equal captions right for each other's pictures."""

import numpy as np
import pytest

from retrieval.errors import DatasetError
from retrieval.training.finetune.order import Order, chunk_seed
from retrieval.training.finetune.pairs import Pairs
from retrieval.training.finetune.settings import completed


def make(count: int = 10, **given: object) -> Order:
    captions = tuple(f"caption {i} {j}" for i in range(count) for j in range(3))
    names = tuple(f"{i}.jpg" for i in range(count))
    return Order(Pairs(names, captions, np.repeat(np.arange(count), 3)), completed({"batch": 4, "epochs": 3, **given}))


def test_an_epoch_shows_each_picture_at_most_once_with_its_own_captions() -> None:
    order = make()
    assert (order.per_epoch, order.steps) == (2, 6)
    for epoch in range(3):
        draws = [draw for step in (0, 1) for draw in order.draws(2 * epoch + step)]
        assert len({draw.picture for draw in draws}) == 8
        assert all(len(set(draw.captions)) == 2 for draw in draws)
        assert all(caption // 3 == draw.picture for draw in draws for caption in draw.captions)


def test_a_step_is_the_same_whenever_and_in_whatever_order_it_is_asked_for() -> None:
    order = make()
    forth = [order.draws(step) for step in range(order.steps)]
    back = [make().draws(step) for step in reversed(range(order.steps))]
    assert forth == back[::-1]
    assert make(seed=1).draws(0) != forth[0]
    assert forth[0] != forth[2]


def test_more_captions_than_there_are_repeat_some() -> None:
    assert all(len(draw.captions) == 5 for draw in make(captions=5).draws(0))


def test_equal_captions_are_right_for_each_others_pictures() -> None:
    captions = ("A dog .", "a cat", "a  dog", "a hat", "a cat")
    pairs = Pairs(("0", "1", "2"), captions, np.array([0, 0, 1, 1, 2]))
    order = Order(pairs, completed({"batch": 3, "captions": 1}))
    draws = sorted(order.draws(0))
    drawn = [captions[draw.captions[0]] for draw in draws]
    own = {0: {"a dog", "a cat"}, 1: {"a dog", "a hat"}, 2: {"a cat"}}
    plain = [" ".join(text.lower().rstrip(" .").split()) for text in drawn]
    assert order.positives(draws).tolist() == [[text in own[row] for text in plain] for row in range(3)]


def test_a_picture_whose_caption_says_left_is_not_mirrored() -> None:
    pairs = Pairs(("0", "1"), ("a dog", "the left dog", "a cat"), np.array([0, 0, 1]))
    draws = Order(pairs, completed({"batch": 2, "captions": 1})).draws(0)
    assert {draw.picture: draw.mirror for draw in draws} == {0: False, 1: True}


def test_a_batch_greater_than_the_pictures_is_refused_with_what_to_do() -> None:
    with pytest.raises(DatasetError, match=r"batch of 11 is greater than the 10 pictures.*--batch 10"):
        make(batch=11)


def test_chunks_have_seeds_of_their_own() -> None:
    tuning = completed({})
    seeds = {chunk_seed(tuning, step, chunk, tower) for step in range(5) for chunk in range(5) for tower in (0, 1)}
    assert len(seeds) == 50
