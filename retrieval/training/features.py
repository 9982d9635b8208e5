"""Features of the untrained part of the image tower, computed once and kept in a folder."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from retrieval.training.data import Pixels, read_view
from retrieval.training.image_tower import SIDE, Weights, trunk_model

HalfArray = npt.NDArray[np.float16]


class ImageFeatures(NamedTuple):
    """What the trunk gives for n pictures: maps (n, 208, 81) and shallow (n, 560), both float16."""

    maps: HalfArray
    shallow: HalfArray


def image_features(paths: Sequence[Path], weights: Weights, cache: Path, view: int = 0, seed: int = 0) -> ImageFeatures:
    """Features of `paths`; view 0 is the whole picture, any other a random part of it, given by `seed`.

    They are kept in `cache` under a name that depends on the pictures' names, the weights and the view, and are
    read from there (memory-mapped) when they exist.
    """
    model = trunk_model(weights)
    digest = hashlib.sha256(model)
    digest.update("\n".join(p.name for p in paths).encode())
    digest.update(f"{view} {seed if view else 0}".encode())
    stem = cache / digest.hexdigest()[:16]
    files = [stem.with_suffix(".maps.npy"), stem.with_suffix(".shallow.npy")]
    if not all(f.is_file() for f in files):
        cache.mkdir(parents=True, exist_ok=True)
        for file, array in zip(files, _compute(paths, model, view, seed), strict=True):
            part = file.with_suffix(".part.npy")
            np.save(part, array)
            part.replace(file)
    return ImageFeatures(*(np.load(f, mmap_mode="r") for f in files))


def _compute(paths: Sequence[Path], model: bytes, view: int, seed: int) -> ImageFeatures:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    maps: list[HalfArray] = []
    shallow: list[HalfArray] = []
    for pixels in _batches(paths, view, seed):
        found, low = session.run(["maps", "shallow"], {"pixels": pixels})
        maps.append(found.reshape(*found.shape[:2], -1).astype(np.float16))
        shallow.append(low.astype(np.float16))
    return ImageFeatures(np.concatenate(maps), np.concatenate(shallow))


def _batches(paths: Sequence[Path], view: int, seed: int, size: int = 16) -> Iterator[Pixels]:
    def read(index: int) -> Pixels:
        rng = np.random.default_rng([seed, view, index]) if view else None
        return read_view(paths[index], SIDE, rng)

    with ThreadPoolExecutor(1) as pool:
        pending = None
        for start in range(0, len(paths), size):
            chunk = range(start, min(start + size, len(paths)))
            following = pool.submit(lambda c: np.stack([read(i) for i in c]), chunk)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
