"""The losses against plain formulas, and against the built-in recipe's."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from retrieval.training.finetune.losses import infonce, siglip, start_values  # noqa: E402
from retrieval.training.finetune.schedule import factor  # noqa: E402
from retrieval.training.losses import contrastive  # noqa: E402

SCALE = torch.tensor(7.0)


def cosines(n: int, m: int, seed: int = 0) -> "torch.Tensor":
    return torch.rand(n, m, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def blocks(n: int, captions: int) -> "torch.Tensor":
    return torch.arange(n)[:, None] == torch.arange(n).repeat_interleave(captions)


@pytest.mark.parametrize("captions", [1, 3])
def test_own_captions_alone_give_the_loss_of_the_recipe(captions: int) -> None:
    similarity = cosines(5, 5 * captions)
    ours = infonce(similarity, SCALE, blocks(5, captions))
    assert torch.allclose(ours, contrastive(similarity, SCALE, captions), atol=1e-6)


@pytest.mark.parametrize("loss", ["infonce", "siglip"])
def test_an_equal_caption_of_another_picture_is_drawn_near_not_pushed_away(loss: str) -> None:
    def slope(positives: "torch.Tensor") -> float:
        similarity = torch.zeros(3, 3, requires_grad=True)
        value = infonce(similarity, SCALE, positives) if loss == "infonce" else siglip(
            similarity, SCALE, torch.tensor(0.0), positives
        )  # fmt: skip
        value.backward()
        return float(similarity.grad[0, 1])

    apart = torch.eye(3, dtype=torch.bool)
    alike = apart.clone()
    alike[0, 1] = alike[1, 0] = True
    assert slope(apart) > 0
    assert slope(alike) < 0


def test_siglip_is_the_published_sum() -> None:
    similarity, bias = cosines(4, 4), torch.tensor(-3.0)
    expected = 0.0
    for i in range(4):
        for j in range(4):
            sign = 1 if i == j else -1
            expected += math.log(1 + math.exp(-sign * (7.0 * float(similarity[i, j]) - 3.0)))
    assert float(siglip(similarity, SCALE, bias, torch.eye(4, dtype=torch.bool))) == pytest.approx(
        expected / 4, rel=1e-5
    )


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.floats(0, 0.9))
def test_the_order_of_pictures_does_not_matter(seed: int, smoothing: float) -> None:
    similarity, right = cosines(4, 8, seed), blocks(4, 2)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    for value, moved in (
        (infonce(similarity, SCALE, right, smoothing), infonce(similarity[order], SCALE, right[order], smoothing)),
        (
            siglip(similarity, SCALE, SCALE - 9, right, smoothing),
            siglip(similarity[order], SCALE, SCALE - 9, right[order], smoothing),
        ),
    ):
        assert torch.allclose(value, moved, atol=1e-5)


def test_smoothing_makes_certainty_costly() -> None:
    sure = torch.eye(4) * 2 - 1
    right = torch.eye(4, dtype=torch.bool)
    assert infonce(sure, SCALE, right, 0.2) > infonce(sure, SCALE, right) + 1
    bias = torch.tensor(0.0)
    assert siglip(sure, SCALE, bias, right, 0.2) > siglip(sure, SCALE, bias, right) + 1
    even = torch.zeros(4, 4)
    assert infonce(even, SCALE, right, 0.2) == pytest.approx(math.log(4), abs=1e-5)


def test_start_values_are_the_published_ones() -> None:
    scale, bias = start_values("siglip", torch.tensor(2.0))
    assert float(scale.exp()) == pytest.approx(10)
    assert float(bias) == -10
    assert start_values("infonce", torch.tensor(2.0))[0] == 2.0


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 500), st.floats(0, 1))
def test_rates_rise_to_the_peak_then_fall_to_nothing(steps: int, warm_up: float) -> None:
    made = [factor(step, steps, warm_up) for step in range(steps)]
    assert all(0 <= one <= 1 for one in made)
    rising = round(warm_up * steps)
    assert made[:rising] == sorted(made[:rising])
    assert made[rising:] == sorted(made[rising:], reverse=True)
    assert max(made) == pytest.approx(1)
    if steps > 100 and warm_up < 0.5:
        assert made[-1] < 0.01
