"""Gradients of a contrastive loss over a batch that need not fit in memory.

The loss needs all vectors at once, the towers do not: vectors are computed chunk by chunk without a graph, the loss
gives the gradient of each vector, and a second pass over the chunks carries it into the towers (Gao et al., "Scaling
deep contrastive learning batch size under memory limited setup", RepL4NLP 2021). With one chunk the graph is kept and
there is no second pass. Over several processes every one sees all vectors and carries back its own, so that summed
gradients are those of one process with the whole batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from retrieval.training.finetune.world import World


class Run(NamedTuple):
    """What a tower gives for a chunk: vectors ``(rows, dim)``, rows of length 1, and a part of the loss of its own."""

    vectors: Tensor
    extra: Tensor | None = None


class Side(NamedTuple):
    """A share of a step: ``run(i)`` computes chunk ``i`` of ``chunks``, the same however often it is called."""

    run: Callable[[int], Run]
    chunks: int


class Objective(NamedTuple):
    """The loss of all picture and text vectors, and what multiplies it before gradients are taken (fp16)."""

    loss: Callable[[Tensor, Tensor], Tensor]
    scaled: Callable[[Tensor], Tensor] = lambda value: value


def accumulate(image: Side, text: Side, objective: Objective, world: World = World()) -> Tensor:  # noqa: B008 - frozen
    """Add the gradients of a step to the parameters, and return its loss over all processes.

    The gradients of the towers are those of this process's rows (``World.sum_gradients`` adds them up); those of the
    loss's own parameters are already whole in every process.
    """
    sides = (image, text)
    passes = [_first(side) for side in sides]
    leaves = [torch.cat([run.vectors.detach() for run in runs]).requires_grad_() for runs in passes]
    value = objective.loss(*(world.gather(leaf) for leaf in leaves))
    torch.autograd.backward([objective.scaled(value)])
    extras = [run.extra.detach() for runs in passes for run in runs if run.extra is not None]
    for side, runs, leaf in zip(sides, passes, leaves, strict=True):
        assert leaf.grad is not None
        gradients = torch.split(leaf.grad, [len(run.vectors) for run in runs])
        for i, gradient in enumerate(gradients):
            _carry(runs[0] if side.chunks == 1 else side.run(i), gradient, objective)
    return value.detach() + world.total(sum(extras, torch.zeros_like(value.detach())))


def _first(side: Side) -> list[Run]:
    with torch.set_grad_enabled(side.chunks == 1):
        return [side.run(i) for i in range(side.chunks)]


def _carry(run: Run, gradient: Tensor, objective: Objective) -> None:
    """Take the gradient of the vectors, and the loss of the chunk's own, back into the tower."""
    roots: list[tuple[Tensor, Tensor | None]] = [(run.vectors, gradient)]
    if run.extra is not None:
        roots.append((objective.scaled(run.extra), None))
    learnt = [(root, own) for root, own in roots if root.requires_grad]
    if learnt:
        torch.autograd.backward([root for root, _ in learnt], [own for _, own in learnt])
