"""Which parts of a tower learn: nothing (locked-image tuning), heads, the last blocks, adapters, or all.

Locking the image tower while the text tower learns is Zhai et al., "LiT", CVPR 2022.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from retrieval.errors import OptionError
from retrieval.messages import _
from retrieval.training.finetune.adapters import adapt
from retrieval.training.finetune.settings import last_blocks


class Tower(NamedTuple):
    """A tower by its parts: ``whole`` holds all of it, ``heads`` map to the common space, ``blocks`` come before those,
    first to last; what is in neither (the stem) learns only with everything.
    """

    name: str
    whole: nn.Module
    heads: Sequence[nn.Parameter]
    blocks: Sequence[nn.Module]


class Group(NamedTuple):
    """Parameters that learn at one peak rate."""

    name: str
    rate: float
    parameters: list[nn.Parameter]


def unlock(tower: Tower, mode: str, rank: int, rates: tuple[float, float]) -> list[Group]:
    """Freeze the tower but for what ``mode`` names, and return that as groups; ``rates`` are of heads and the rest.

    Raises:
        OptionError: the tower has fewer blocks than ``last:N`` asks for.
    """
    tower.whole.requires_grad_(False)
    if mode == "locked":
        return []
    if mode == "lora":
        return [Group(f"{tower.name} adapters", rates[1], adapt(tower.whole, rank))]
    heads = list(tower.heads)
    body: list[nn.Parameter] = []
    count = last_blocks(mode)
    if mode == "all":
        body = _without(tower.whole.parameters(), heads)
    elif count is not None:
        if count > len(tower.blocks):
            raise OptionError(
                _(
                    "the {name} tower has {count} blocks that can be told apart, not {wanted}; use "
                    "last:{count} or fewer, or all"
                ).format(name=tower.name, count=len(tower.blocks), wanted=count)
            )
        body = _without((p for block in tower.blocks[-count:] for p in block.parameters()), heads)
    for parameter in [*heads, *body]:
        parameter.requires_grad_(True)
    groups = [Group(f"{tower.name} heads", rates[0], heads), Group(tower.name, rates[1], body)]
    return [group for group in groups if group.parameters]


def optimiser(groups: Iterable[Group], decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019); norms, biases and other vectors do not decay."""
    made: list[dict[str, object]] = []
    for group in groups:
        for is_matrix in (True, False):
            own = [parameter for parameter in group.parameters if (parameter.ndim > 1) == is_matrix]
            if own:
                share = decay if is_matrix else 0.0
                rates = {"weight_decay": share, "lr": group.rate, "peak": group.rate}
                made.append({"params": own, "name": group.name, **rates})
    return torch.optim.AdamW(made, betas=(0.9, 0.98), eps=1e-6)


def _without(parameters: Iterable[nn.Parameter], others: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    known = {id(other) for other in others}
    return [parameter for parameter in parameters if id(parameter) not in known]
