"""The image tower on one device or several: batches are divided among them, each fed by a thread of its own."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Device, ModelSpec
from retrieval.errors import ModelError
from retrieval.messages import _
from retrieval.types import FloatMatrix

MOST_ON_A_DEVICE = 512
"""Pictures a device is given at a time at most: with more, nothing goes faster."""
_SHARE = 0.6
"""How much of a device's free memory pictures on their way may take."""
_TRIAL = 8
_HALF_SINCE = (7, 0)
"""From this generation on CUDA devices are faster with half precision; many older ones are far slower."""


class Replicas:
    """The same tower on each device. Safe to call from many threads; they take turns."""

    def __init__(self, devices: Sequence[str], towers: Sequence[Any], spec: ModelSpec, precision: str) -> None:
        """Take a tower for each device, already there and of that precision (OpenCLIP's word for it)."""
        self._devices, self._towers, self._spec, self._precision = tuple(devices), tuple(towers), spec, precision
        self._lock = threading.Lock()
        self._most: int | None = None
        self._pool = ThreadPoolExecutor(len(devices), "device") if len(devices) > 1 else None

    @property
    def most(self) -> int | None:
        """How many pictures a device is given at a time; None until that was found out."""
        return self._most

    def run(self, batch: NDArray[np.uint8]) -> FloatMatrix:
        """Embed ``(n, height, width, 3) uint8`` to ``(n, dim)``; less at a time where the memory does not suffice.

        Raises:
            ModelError: a device cannot take a single picture.
        """
        import torch

        with self._lock:
            if self._most is None:
                self._most = self._fitting(batch)
            while True:
                try:
                    return self._divided(batch, self._most)
                except torch.OutOfMemoryError:
                    if self._most == 1:
                        raise ModelError(
                            _("the model does not fit into the memory of the GPU; use --device cpu, or a smaller one")
                        ) from None
                    self._most = max(1, min(self._most, len(batch)) // 2)
                if self._on_cuda:
                    torch.cuda.empty_cache()

    @property
    def _on_cuda(self) -> bool:
        return self._devices[0].startswith("cuda")

    def _divided(self, batch: NDArray[np.uint8], most: int) -> FloatMatrix:
        """Run shares of equal size on all devices side by side; rows come back in their order."""
        share = min(most, -(-len(batch) // len(self._devices)))
        parts = [batch[at : at + share] for at in range(0, len(batch), share)]
        if self._pool is None:
            return np.concatenate([self._run_on(0, part) for part in parts])
        numbers = [number % len(self._devices) for number in range(len(parts))]
        return np.concatenate(list(self._pool.map(self._run_on, numbers, parts)))

    def _run_on(self, number: int, part: NDArray[np.uint8]) -> FloatMatrix:
        import torch

        device = self._devices[number]
        source = torch.from_numpy(np.array(part))
        if device.startswith("cuda"):
            source = source.pin_memory()  # so that the device fetches it by itself
        with torch.inference_mode():
            x = source.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255.0)
            x = x.sub_(self._channels("mean", device)).div_(self._channels("std", device))
            x = x.to(dtype=dtype_of(self._precision), memory_format=torch.channels_last)
            return rows_of(self._towers[number].encode_image(x))

    def _channels(self, which: Literal["mean", "std"], device: str) -> Any:  # noqa: ANN401 - torch comes late
        import torch

        values = getattr(self._spec.preprocessing, which)
        return torch.tensor(values, dtype=torch.float32, device=device).view(1, 3, 1, 1)

    def _fitting(self, batch: NDArray[np.uint8]) -> int:
        """Return how many pictures the smallest device takes at a time, by what a few of them need there."""
        if not self._on_cuda:
            return MOST_ON_A_DEVICE
        import torch

        sizes = []
        for number, device in enumerate(self._devices):
            some = batch[:1].repeat(_TRIAL, axis=0)
            self._run_on(number, some[:1])  # what is set up once is not counted
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            self._run_on(number, some)
            needed = (torch.cuda.max_memory_allocated(device) - before) / _TRIAL
            sizes.append(fitting(torch.cuda.mem_get_info(device)[0], needed))
        return min(sizes)


def fitting(free_bytes: int, each_bytes: float) -> int:
    """Return how many pictures that need ``each_bytes`` each may be on a device at a time: a power of two, at least 1.

    A part of the free memory is left to others, and more than ``MOST_ON_A_DEVICE`` are of no use.
    """
    count = min(MOST_ON_A_DEVICE, int(_SHARE * free_bytes / max(1.0, each_bytes)))
    return 1 << max(0, count.bit_length() - 1)


def devices_for(device: Device) -> tuple[str, ...]:
    """Return PyTorch's names of the devices to run on: all CUDA devices, or the processor.

    Raises:
        ModelError: CUDA was asked for and is not there.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(_("this PyTorch finds no CUDA device; check the driver (nvidia-smi), or use --device cpu"))
    if device == "cpu" or not torch.cuda.is_available():
        return ("cpu",)
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def precision_for(devices: Sequence[str]) -> str:
    """Return OpenCLIP's word for the arithmetic: half on CUDA devices that have it, single on any processor.

    With half precision, which some processors have, a vector would depend on the processor and on its neighbours.
    bfloat16 is not used where half is there: it keeps fewer digits, and vectors would be off by a hundredth.
    """
    import torch

    if not devices[0].startswith("cuda"):
        return "fp32"
    return precision_of([torch.cuda.get_device_capability(device) for device in devices])


def precision_of(capabilities: Sequence[tuple[int, int]]) -> str:
    """Return the arithmetic for CUDA devices of these compute capabilities: the same on all, for equal vectors."""
    return "fp16" if min(capabilities) >= _HALF_SINCE else "fp32"


def dtype_of(precision: str) -> Any:  # noqa: ANN401 - torch comes late
    """Return PyTorch's type for OpenCLIP's word."""
    import torch

    return {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.float32)


def rows_of(features: Any) -> FloatMatrix:  # noqa: ANN401 - torch comes late
    """Return a tensor of features as ``(n, dim) float32`` in ordinary memory."""
    rows: FloatMatrix = features.float().cpu().numpy()
    return rows
