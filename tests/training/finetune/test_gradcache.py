"""Gradients through chunks are those of the whole batch."""

import pytest

torch = pytest.importorskip("torch")

from retrieval.training.finetune.gradcache import Objective, Run, Side, accumulate  # noqa: E402
from retrieval.training.finetune.losses import infonce, siglip  # noqa: E402

ROWS, WIDTH = 12, 6


class Towers(torch.nn.Module):
    """Two small networks with dropout, and the parameters of a loss."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text = (
            torch.nn.Sequential(
                torch.nn.Linear(WIDTH, 16), torch.nn.GELU(), torch.nn.Dropout(dropout), torch.nn.Linear(16, 8)
            )
            for _ in range(2)
        )
        self.scale = torch.nn.Parameter(torch.tensor(5.0))
        self.bias = torch.nn.Parameter(torch.tensor(-2.0))
        self.double()
        self.pictures, self.captions = (torch.randn(n, WIDTH, dtype=torch.float64) for n in (ROWS, 2 * ROWS))
        self.right = torch.arange(ROWS)[:, None] == torch.arange(ROWS).repeat_interleave(2)

    def loss(self, pictures: "torch.Tensor", texts: "torch.Tensor") -> "torch.Tensor":
        similarity = pictures @ texts.T
        return infonce(similarity, self.scale, self.right) + siglip(similarity, self.scale, self.bias, self.right)

    def vectors(self, chunk: int, chunks: int, of_text: bool) -> "torch.Tensor":
        torch.manual_seed(100 + 2 * chunk + of_text)
        rows = (self.captions if of_text else self.pictures).chunk(chunks)[chunk]
        found = (self.text if of_text else self.image)(rows)
        return torch.nn.functional.normalize(found, dim=1)

    def extra(self, chunk: int, chunks: int) -> "torch.Tensor":
        return self.image(self.pictures.chunk(chunks)[chunk]).pow(2).sum() / ROWS

    def gradients(self) -> dict[str, "torch.Tensor"]:
        return {name: p.grad.clone() for name, p in self.named_parameters()}


def plain(towers: Towers, chunks: int, with_extra: bool) -> tuple[float, dict[str, "torch.Tensor"]]:
    """The gradients of one graph over everything (the chunks only decide what is dropped out)."""
    pictures = torch.cat([towers.vectors(i, chunks, False) for i in range(chunks)])
    texts = torch.cat([towers.vectors(i, chunks, True) for i in range(chunks)])
    value = towers.loss(pictures, texts)
    if with_extra:
        value = value + sum(towers.extra(i, chunks) for i in range(chunks))
    value.backward()
    return float(value.detach()), towers.gradients()


def cached(
    towers: Towers, chunks: int, with_extra: bool, factor: float = 1.0
) -> tuple[float, dict[str, "torch.Tensor"]]:
    def image(i: int) -> Run:
        return Run(towers.vectors(i, chunks, False), towers.extra(i, chunks) if with_extra else None)

    def text(i: int) -> Run:
        return Run(towers.vectors(i, chunks, True))

    value = accumulate(Side(image, chunks), Side(text, chunks), Objective(towers.loss, lambda one: one * factor))
    return float(value.detach()), towers.gradients()


@pytest.mark.parametrize("with_extra", [False, True])
@pytest.mark.parametrize(("dropout", "chunks"), [(0.0, 1), (0.0, 3), (0.4, 4)])
def test_gradients_are_those_of_one_graph(dropout: float, chunks: int, with_extra: bool) -> None:
    # The extra draws no dropout of its own seed, so it is compared without dropout only.
    if with_extra and dropout:
        dropout = 0.0
    loss, expected = plain(Towers(dropout).train(), chunks, with_extra)
    ours, found = cached(Towers(dropout).train(), chunks, with_extra)
    assert ours == pytest.approx(loss, abs=1e-9)
    assert max(float((found[name] - expected[name]).abs().max()) for name in expected) < 1e-9


def test_chunks_do_not_change_the_gradients() -> None:
    whole = cached(Towers(0.0), 1, True)[1]
    for chunks in (2, 6, 12):
        parts = cached(Towers(0.0), chunks, True)[1]
        assert max(float((parts[name] - whole[name]).abs().max()) for name in whole) < 1e-9


def test_a_loss_scale_multiplies_every_gradient() -> None:
    once, many = cached(Towers(0.0), 3, True)[1], cached(Towers(0.0), 3, True, 8.0)[1]
    assert all(torch.allclose(many[name], once[name] * 8, atol=1e-5) for name in once)


def test_a_tower_that_does_not_learn_is_left_alone() -> None:
    towers = Towers(0.0)
    towers.image.requires_grad_(False)
    accumulate(
        Side(lambda i: Run(towers.vectors(i, 3, False)), 3),
        Side(lambda i: Run(towers.vectors(i, 3, True)), 3),
        Objective(towers.loss),
    )
    assert all(p.grad is None for p in towers.image.parameters())
    assert all(p.grad is not None for p in towers.text.parameters())


def test_single_precision_differs_by_rounding_alone() -> None:
    made = []
    for chunks in (1, 4):
        towers = Towers(0.0).float()
        towers.pictures, towers.captions = towers.pictures.float(), towers.captions.float()
        made.append(cached(towers, chunks, False)[1])
    largest = max(float(value.abs().max()) for value in made[0].values())
    assert max(float((made[0][name] - made[1][name]).abs().max()) for name in made[0]) < 1e-6 * max(1.0, largest)
