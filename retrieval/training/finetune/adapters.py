"""Low-rank adapters (Hu et al., "LoRA", ICLR 2022): what is learnt of a matrix is the product of two thin ones."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_KINDS = ("weight", "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


class LowRank(nn.Module):
    """Adds ``up @ down`` to a matrix; ``up`` starts at zero, so the model starts as it was."""

    def __init__(self, like: Tensor, rank: int) -> None:
        """Make an adapter for a matrix such as ``like`` ``(rows, columns)``."""
        super().__init__()
        rows, columns = like.shape
        self.down = nn.Parameter(torch.randn(rank, columns, dtype=like.dtype, device=like.device) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank, dtype=like.dtype, device=like.device))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the matrix as it is used."""
        return weight + self.up @ self.down


def adapt(tower: nn.Module, rank: int) -> list[nn.Parameter]:
    """Put an adapter on every matrix of a tower that has more rows and columns than ``rank``; word tables have none.

    Everything else of the tower is frozen. Returned is what learns, in a fixed order.
    """
    tower.requires_grad_(False)
    found: list[nn.Parameter] = []
    for module in list(tower.modules()):
        if isinstance(module, nn.Embedding):
            continue
        for kind in _KINDS:
            matrix = getattr(module, kind, None)
            if isinstance(matrix, nn.Parameter) and matrix.ndim == 2 and min(matrix.shape) > rank:
                adapter = LowRank(matrix, rank)
                parametrize.register_parametrization(module, kind, adapter)
                found += [adapter.down, adapter.up]
    return found


def merge(tower: nn.Module) -> None:
    """Write every adapter into its matrix and take it off: the model is a plain one again."""
    for module in list(tower.modules()):
        for kind in _KINDS:
            if parametrize.is_parametrized(module, kind):
                parametrize.remove_parametrizations(module, kind, leave_parametrized=True)
