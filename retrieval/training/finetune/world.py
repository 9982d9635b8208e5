"""The processes of a run: one, or several that ``torchrun`` started, each with its share of every batch."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn

from retrieval.errors import OptionError
from retrieval.messages import _

_PATIENCE = timedelta(hours=2)
"""So long the others wait while the first process measures or writes."""
Row = TypeVar("Row")


class World(NamedTuple):
    """A process among ``size``, counted from 0; ``local`` counts those of this machine (its GPU)."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process measures, writes and talks."""
        return self.rank == 0

    def share(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return this process's part of rows that divide evenly."""
        each = len(rows) // self.size
        return rows[self.rank * each : (self.rank + 1) * each]

    def gather(self, own: Tensor) -> Tensor:
        """Return the rows of all processes in their order; gradients reach the own ones."""
        if self.size == 1:
            return own
        parts = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(parts, own.detach().contiguous())
        parts[self.rank] = own
        return torch.cat(parts)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes; one that a process lacks counts as zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a value over all processes."""
        if self.size > 1:
            value = value.clone()
            distributed.all_reduce(value)
        return value

    def any(self, said: bool) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return said
        flag = torch.tensor([float(said)], device=_device())
        distributed.all_reduce(flag)
        return bool(flag.item() > 0)

    def told(self, value: float) -> float:
        """Return the first process's value to all."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=_device())
        distributed.broadcast(told, 0)
        return float(told.item())


@contextmanager
def joined() -> Iterator[World]:
    """Join the processes that ``torchrun`` started, if it did, and leave them at the end.

    Raises:
        OptionError: what ``torchrun`` sets is incomplete.
    """
    try:
        size, rank, local = (int(os.environ.get(f"{key}", default)) for key, default in _VARIABLES)
    except ValueError as error:
        raise OptionError(
            _("WORLD_SIZE, RANK and LOCAL_RANK are set oddly ({reason}); start with torchrun").format(reason=error)
        ) from None
    if size == 1:
        yield World()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield World(rank, size, local)
    finally:
        distributed.destroy_process_group()


_VARIABLES = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))


def _device() -> str:
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
