"""How many pictures a model is given at a time: measured once on this machine, and remembered.

Which size is fastest depends on the processor's caches and on the model, not on the pictures, and the vectors do not
depend on it. So it is looked for when many pictures are about to be embedded, within a second or two, and kept in the
user's cache folder by machine and model.
"""

import contextlib
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from retrieval.config import model_cache
from retrieval.embedding.base import Embedder, processors

MANY = 1000
"""From so many files on it pays to measure."""
LEAST_GAIN = 0.05
"""Another size than the usual one must be faster by this share: less than that is noise."""
LARGEST = 1024
_ROUNDS = 3
_LONGEST_S = 4.0


def batch_cache() -> Path:
    """Return the folder where sizes are remembered."""
    return model_cache().parent / "batches"


def tune_batch(embedder: Embedder, wanted: int = 0, folder: Path | None = None) -> int:
    """Set ``embedder.batch_size`` to ``wanted``, or where that is 0 to the fastest of its ``batch_choices``; return it.

    What was measured before on such a machine with such a model is taken from ``folder`` (the user's cache). A folder
    that cannot be written is no error, and neither is a file in it that is damaged: it is measured anew.

    Raises:
        ModelError: the model cannot be run.
    """
    choices = getattr(embedder, "batch_choices", ())
    if wanted > 0:
        embedder.batch_size = min(wanted, LARGEST)
    elif len(choices) > 1:
        path = (folder or batch_cache()) / f"{_machine_and_model(embedder)}.json"
        found = _read(path, choices)
        if found is None:
            usual = embedder.batch_size
            found = fastest(paces(embedder, choices), usual)
            _write(path, {"batch": found, "model": embedder.spec.name})
        embedder.batch_size = found
    return embedder.batch_size


def paces(embedder: Embedder, sizes: Sequence[int], clock: Callable[[], float] = time.perf_counter) -> dict[int, float]:
    """Return the seconds a picture takes in batches of each of the sizes, the least of a few rounds.

    The sizes take turns, so that what else the machine does reaches all of them. A model so slow that this takes more
    than a few seconds is measured once.
    """
    shape, usual = embedder.spec.preprocessing, embedder.batch_size
    noise = np.random.default_rng(0).integers(0, 256, (max(sizes), shape.height, shape.width, 3), np.uint8)
    found = dict.fromkeys(sizes, float("inf"))
    try:
        embedder.embed_pixels(noise[:1])  # loads the model
        began_s = clock()
        for _round in range(_ROUNDS):
            for size in sizes:
                embedder.batch_size = size
                before_s = clock()
                embedder.embed_pixels(noise[:size])
                found[size] = min(found[size], (clock() - before_s) / size)
            if clock() - began_s > _LONGEST_S:
                break
    finally:
        embedder.batch_size = usual
    return found


def fastest(found: dict[int, float], usual: int) -> int:
    """Return the size that takes the least time a picture; the usual one unless another gains ``LEAST_GAIN``."""
    best = min(found, key=lambda size: found[size])
    if usual in found and found[best] > found[usual] * (1 - LEAST_GAIN):
        return usual
    return best


def _machine_and_model(embedder: Embedder) -> str:
    """Return a name for what the fastest size depends on."""
    import onnxruntime

    parts = (embedder.spec.digest, _processor(), str(processors()), onnxruntime.__version__)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line
    return f"{platform.machine()} {platform.processor()}"


def _read(path: Path, choices: Sequence[int]) -> int | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["batch"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) and found in choices else None


def _write(path: Path, found: dict[str, object]) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(found, file)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
