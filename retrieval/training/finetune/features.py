"""What never changes in a run, computed once and kept in files that are mapped into memory."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from retrieval.config import Preprocessing
from retrieval.errors import MediaError
from retrieval.media import open_picture
from retrieval.training.finetune.augment import PLAIN, Augment, view
from retrieval.types import Pixels

Array = npt.NDArray[np.generic]
Piece = tuple[tuple[Array, ...], dict[str, str]]
"""Rows of each array, and which pictures among them could not be read, with the reason of each."""
_AHEAD = 4
_VIEW = 11


class Views(NamedTuple):
    """How a set of pictures is looked at: view 0 is the whole picture, others are varied by ``augment``.

    ``sided`` names the pictures that must not be mirrored.
    """

    how: Preprocessing
    augment: Augment
    number: int
    seed: int
    sided: frozenset[str] = frozenset()

    def pixels(self, pixels: Pixels, name: str) -> Pixels:
        """Return this view of a picture, the same for all time."""
        if not self.number:
            return view(pixels, self.how, PLAIN, np.random.default_rng(0))
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        rng = np.random.default_rng([self.seed, _VIEW, self.number, int.from_bytes(digest[:8], "big")])
        return view(pixels, self.how, self.augment, rng, name not in self.sided)

    def key(self) -> str:
        """Return what tells this view from others."""
        return repr((self.how, self.augment, self.number, self.seed, sorted(self.sided)) if self.number else self.how)


class Batch(NamedTuple):
    """Consecutive pictures: where they begin, their pixels ``(n, h, w, 3)``, and reasons by place of those unreadable
    (their pixels are black).
    """

    start: int
    pixels: Pixels
    failed: dict[int, str]


def batches(folder: Path, names: Sequence[str], views: Views, size: int, threads: int = 1) -> Iterator[Batch]:
    """Yield views of pictures in their order, read ahead by threads."""
    side = max(views.how.height, views.how.width)

    def read(name: str) -> Pixels | str:
        try:
            return views.pixels(open_picture(folder / name, side), name)
        except MediaError as error:
            return str(error)

    def gather(start: int) -> Batch:
        found = [read(name) for name in names[start : start + size]]
        black = np.zeros((views.how.height, views.how.width, 3), np.uint8)
        failed = {start + i: one for i, one in enumerate(found) if isinstance(one, str)}
        return Batch(start, np.stack([black if isinstance(one, str) else one for one in found]), failed)

    starts = range(0, len(names), size)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(gather, start) for start in starts[:_AHEAD]]
        try:
            for place in range(len(starts)):
                if place + _AHEAD < len(starts):
                    waiting.append(pool.submit(gather, starts[place + _AHEAD]))
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


class Kept(NamedTuple):
    """Arrays of as many rows as there are pictures, and the pictures (by name) that could not be read."""

    arrays: tuple[Array, ...]
    failed: dict[str, str]


def kept(folder: Path, key: str, compute: Callable[[], Iterator[Piece]]) -> Kept:
    """Return what ``compute`` yields, piece after piece of rows, from ``folder`` when it is there already.

    The files' names depend on ``key``; a file appears when it is whole.
    """
    stem = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    index = folder / f"{stem}.json"
    if not index.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        described = _written(folder / stem, compute())
        part = index.with_suffix(".part")
        part.write_text(json.dumps(described), encoding="utf-8")
        part.replace(index)
    return _opened(folder, stem)


def _written(stem: Path, pieces: Iterator[Piece]) -> dict[str, object]:
    """Write the rows as they come, an array a file; returned is what they are."""
    failed: dict[str, str] = {}
    kinds: list[tuple[str, list[int]]] = []
    with ExitStack() as files:
        streams: list[BinaryIO] = []
        for arrays, wrong in pieces:
            failed |= wrong
            if not streams:
                kinds = [(str(array.dtype), list(array.shape[1:])) for array in arrays]
                names = [stem.with_name(f"{stem.name}.{i}.raw") for i in range(len(arrays))]
                streams = [files.enter_context(name.open("wb")) for name in names]
            for stream, array in zip(streams, arrays, strict=True):
                stream.write(np.ascontiguousarray(array).tobytes())
    return {"arrays": kinds, "failed": failed}


def _opened(folder: Path, stem: str) -> Kept:
    described = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
    arrays = []
    for i, (kind, shape) in enumerate(described["arrays"]):
        flat: Array = np.memmap(folder / f"{stem}.{i}.raw", dtype=kind, mode="r")
        arrays.append(flat.reshape(-1, *shape))
    return Kept(tuple(arrays), described["failed"])
