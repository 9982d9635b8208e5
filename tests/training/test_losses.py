"""What the losses count as right and as wrong."""

import pytest

torch = pytest.importorskip("torch")

from retrieval.training.losses import contrastive, hardest, keeping, naming, softened  # noqa: E402


def similarity(right: float, wrong: float, n: int = 4, captions: int = 2) -> "torch.Tensor":
    owner = torch.arange(n).repeat_interleave(captions)
    return torch.where(torch.arange(n)[:, None] == owner, right, wrong)


def test_captions_of_the_same_picture_are_never_negatives() -> None:
    found = similarity(0.9, -0.9).requires_grad_()
    contrastive(found, torch.tensor(20.0), 2).backward()
    own = torch.arange(4)[:, None] == torch.arange(4).repeat_interleave(2)
    assert bool((found.grad[~own] >= 0).all()), "foreign captions are pushed away or left alone"
    near = similarity(0.2, 0.1).requires_grad_()
    contrastive(near, torch.tensor(1.0), 2).backward()
    assert bool((near.grad[own] < 0).all()), "both own captions are pulled"
    assert bool((near.grad[~own] > 0).all())


def test_the_best_loss_of_soft_targets_is_their_entropy() -> None:
    loss = contrastive(similarity(1.0, -1.0), torch.tensor(100.0), 2)
    assert loss.item() == pytest.approx(float(torch.log(torch.tensor(2.0))) / 2, abs=1e-4)


def test_wrong_pairs_cost_more_than_right_ones() -> None:
    right, wrong = similarity(0.8, 0.1), similarity(0.1, 0.8)
    for loss in (lambda s: contrastive(s, torch.tensor(10.0), 2), lambda s: hardest(s, 2)):
        assert loss(right).item() < loss(wrong).item()


def test_the_hardest_negative_within_the_margin_counts_alone() -> None:
    found = similarity(0.8, 0.0)
    found[0, 7] = 0.75
    expected = 0.15 / 8 + 0.15 / 4
    assert hardest(found, 2).item() == pytest.approx(expected, abs=1e-6)


def test_keeping_is_zero_for_unchanged_guesses_only() -> None:
    logits = torch.randn(5, 10, generator=torch.Generator().manual_seed(1))
    assert keeping(logits, logits).item() == pytest.approx(0.0, abs=1e-6)
    assert keeping(logits + 1.0, logits).item() == pytest.approx(0.0, abs=1e-6)
    assert keeping(-logits, logits).item() > 0.1


def test_naming_wants_each_name_at_its_own_class() -> None:
    table = torch.eye(6)
    named = torch.tensor([4, 0])
    right = naming(table[named] @ table.T, torch.tensor(10.0), named)
    wrong = naming(table[[1, 2]] @ table.T, torch.tensor(10.0), named)
    assert right.item() < 0.01 < wrong.item()


def test_soft_targets_of_a_sure_teacher_are_the_hard_ones() -> None:
    found, scale = similarity(0.6, 0.1), torch.tensor(10.0)
    found[0, 5] = 0.5
    sure = similarity(1.0, -1.0)
    assert softened(found, scale, sure, 0.01).item() == pytest.approx(contrastive(found, scale, 2).item(), abs=1e-5)


def test_what_is_described_alike_is_no_full_negative() -> None:
    likeness = similarity(1.0, 0.0)
    likeness[0, 2:4] = 0.95  # the captions of picture 1 suit picture 0 nearly as well
    found = similarity(0.8, 0.1).requires_grad_()
    softened(found, torch.tensor(5.0), likeness, 0.05).backward()
    assert bool((found.grad[0, 2:4] < 0).all()), "they are pulled"
    assert bool((found.grad[0, 4:] > 0).all()), "others are pushed"
