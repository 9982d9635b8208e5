"""What the loop needs of a model, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from retrieval.errors import ModelError
from retrieval.messages import _
from retrieval.training.finetune import losses
from retrieval.training.finetune.gradcache import Run
from retrieval.training.finetune.order import BoolArray, Draw
from retrieval.training.finetune.pairs import Pairs, Sets
from retrieval.training.finetune.settings import Tuning
from retrieval.training.finetune.unlocking import Group
from retrieval.types import FloatMatrix

MOST_SCALE = 100.0
Report = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many are done."""


class Loaded(NamedTuple):
    """A process's share of a step, ready for the towers: a row a picture, and a row a caption."""

    pictures: tuple[Tensor, ...]
    texts: Any


class Learner(nn.Module, ABC):
    """Both towers of a model, with the scale and bias of the loss.

    ``groups`` is what learns. Everything that a step computes depends on weights, draws and ``torch``'s seed alone.
    """

    log_scale: nn.Parameter
    bias: nn.Parameter
    groups: list[Group]

    def __init__(self, tuning: Tuning) -> None:
        """Note the knobs, and where and in which arithmetic to compute."""
        super().__init__()
        self.tuning = tuning
        self.device = _device(tuning.device)
        self.precision = _precision(tuning.precision, self.device)
        self.groups = []

    def start_loss(self, scale: Tensor, bias: Tensor | None) -> None:
        """Make the parameters of the loss from what the model brings, and let them learn."""
        first, other = losses.start_values(self.tuning.loss, scale.detach().float())
        own = self.tuning.loss == "siglip" and bias is not None
        self.log_scale = nn.Parameter((scale.detach().float() if own else first).clone())
        self.bias = nn.Parameter((bias.detach().float() if own and bias is not None else other).clone())
        self.bias.requires_grad_(self.tuning.loss == "siglip")
        learnt = [self.log_scale, self.bias] if self.tuning.loss == "siglip" else [self.log_scale]
        self.groups.append(Group("loss", self.tuning.head_rate, learnt))

    def loss(self, pictures: Tensor, texts: Tensor, positives: BoolArray) -> Tensor:
        """Return the loss of all vectors of a step, ``positives`` ``(n, m)``."""
        right = torch.from_numpy(positives).to(pictures.device)
        scale = self.log_scale.exp().clamp(max=MOST_SCALE)
        similarity = pictures @ texts.T
        if self.tuning.loss == "siglip":
            return losses.siglip(similarity, scale, self.bias, right, self.tuning.smoothing)
        return losses.infonce(similarity, scale, right, self.tuning.smoothing)

    def arithmetic(self) -> AbstractContextManager[Any]:
        """Half precision where it was chosen, else nothing."""
        if self.precision is None:
            return nullcontext()
        return torch.autocast("cuda", dtype=self.precision)

    def learnt(self) -> dict[str, nn.Parameter]:
        """Return what learns, by name, in a fixed order."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def tower_parameters(self) -> list[nn.Parameter]:
        """Return what learns in the towers, without the parameters of the loss."""
        return [p for p in self.learnt().values() if p is not self.log_scale and p is not self.bias]

    @abstractmethod
    def survey(self, folder: Path, sets: Sets, report: Report) -> Mapping[str, str]:
        """Look at every picture once, and return those that cannot be read, by name, with the reason of each."""

    @abstractmethod
    def begin(self, folder: Path, surveyed: Sets, sets: Sets, report: Report) -> None:
        """Get ready to learn from ``sets``, which are those ``surveyed`` without the pictures that cannot be read.

        Draws name places of ``sets.train``.
        """

    @abstractmethod
    def load(self, draws: Sequence[Draw]) -> Loaded:
        """Read what a share of a step needs; called from a thread of its own."""

    @abstractmethod
    def pictures(self, loaded: Loaded, rows: slice) -> Run:
        """Return vectors of pictures of a share."""

    @abstractmethod
    def texts(self, loaded: Loaded, rows: slice) -> Run:
        """Return vectors of captions of a share."""

    @abstractmethod
    def vectors(self, folder: Path, pairs: Pairs) -> tuple[FloatMatrix, FloatMatrix]:
        """Return vectors ``(n, dim)`` of whole pictures and ``(m, dim)`` of captions, as the model gives them."""

    @abstractmethod
    def write(self, folder: Path, description: str) -> None:
        """Write a model folder; the learner is of no more use after it, since adapters are merged."""

    def refresh(self, step: int) -> None:
        """Renew what is kept over several steps."""

    def kept(self) -> dict[str, Tensor]:
        """Return what is kept over several steps; a checkpoint holds it."""
        return {}


def _device(wanted: str) -> torch.device:
    """Return where to compute.

    Raises:
        ModelError: CUDA was asked for and is not there.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelError(_("this PyTorch finds no CUDA device; check the driver (nvidia-smi), or use --device cpu"))
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def _precision(wanted: str, device: torch.device) -> torch.dtype | None:
    """Return the half precision to use, None for none: a processor computes in single precision always.

    Raises:
        ModelError: half precision was asked for and there is no CUDA device.
    """
    if device.type != "cuda":
        if wanted in ("bf16", "fp16"):
            raise ModelError(
                _("{wanted} needs a CUDA device; leave out --precision to compute in fp32").format(wanted=wanted)
            )
        return None
    if wanted == "auto":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(wanted)
