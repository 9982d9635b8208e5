"""What an embedder promises, and what all embedders share."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from retrieval.config import ModelSpec
from retrieval.errors import ModelError
from retrieval.messages import _, ngettext
from retrieval.types import FloatMatrix, Pixels

if TYPE_CHECKING:
    from PIL import Image


class Embedder(Protocol):
    """Turns pictures and words into vectors of one space.

    All vectors are ``(n, dim) float32``, rows of length 1, in the order of the input; a row does not depend on its
    neighbours beyond 1e-5. A row that a model could not compute (not finite, or of length 0) is NaN throughout.
    """

    spec: ModelSpec
    dim: int
    batch_size: int

    def preprocess(self, pixels: Pixels) -> Pixels:
        """Return ``(height, width, 3) uint8`` at the tower's size. Safe to call from many threads."""
        ...

    def embed_pixels(self, batch: NDArray[np.uint8]) -> FloatMatrix:
        """Embed ``(n, height, width, 3) uint8`` preprocessed pixels to ``(n, dim)``."""
        ...

    def embed_images(self, images: Sequence["Image.Image"]) -> FloatMatrix:
        """Embed opened pictures of any size and mode to ``(n, dim)``."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> FloatMatrix:
        """Embed texts to ``(n, dim)``. Raises ModelError when a text has no usable vector."""
        ...

    def text_notes(self, text: str) -> list[str]:
        """Return what the user should know of how ``text`` is read, one line each; empty when nothing."""
        ...


class CellEmbedder(Embedder, Protocol):
    """An embedder that also tells what is where in a picture.

    ``cells`` is (rows, columns) of the equal cells a preprocessed picture is divided into.
    """

    @property
    def cells(self) -> tuple[int, int] | None:
        """(rows, columns); None when the model at hand tells no cells apart."""
        ...

    def embed_cells(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed ``(n, height, width, 3) uint8`` to ``(n, rows * columns, dim)``, cells by rows from the top left.

        The score of a cell for a text is their product: how near the picture would be if all of it looked like that
        cell. Raises ModelError when ``cells`` is None.
        """
        ...


def tells_cells(embedder: Embedder) -> TypeGuard[CellEmbedder]:
    """Return whether ``embed_cells`` can be used."""
    return getattr(embedder, "cells", None) is not None


def release(embedder: Embedder) -> None:
    """Let an embedder that can (it has a method ``release``) go of its model; what it embeds next loads it again."""
    let_go = getattr(embedder, "release", None)
    if let_go is not None:
        let_go()


class ImageInput(ABC):
    """The part of an embedder between a picture and ``embed_pixels``, equal for all models."""

    spec: ModelSpec
    dim: int
    batch_size: int
    batch_choices: tuple[int, ...] = ()
    """Batch sizes that may be faster than ``batch_size``, by machine; see ``batches``."""

    def preprocess(self, pixels: Pixels) -> Pixels:
        """Return ``(height, width, 3) uint8`` at the tower's size."""
        from retrieval.embedding.preprocess import preprocess

        return preprocess(pixels, self.spec.preprocessing)

    def embed_images(self, images: Sequence["Image.Image"]) -> FloatMatrix:
        """Embed opened pictures to ``(n, dim)``; transparency is composed on white, EXIF is not looked at."""
        from retrieval.media.pixels import to_pixels

        target = max(self.spec.preprocessing.height, self.spec.preprocessing.width)
        parts = []
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            pixels = [self.preprocess(to_pixels(image, target)) for image in part]
            parts.append(self.embed_pixels(np.stack(pixels)))
        return np.concatenate(parts) if parts else np.empty((0, self.dim), dtype=np.float32)

    def embed_pixels(self, batch: NDArray[np.uint8]) -> FloatMatrix:
        """Embed ``(n, height, width, 3) uint8`` to ``(n, dim)``, at most ``batch_size`` rows at a time.

        Raises:
            ModelError: the batch is not of the tower's shape, or the model cannot be loaded.
        """
        self._check_pixels(batch)
        out = np.empty((len(batch), self.dim), dtype=np.float32)
        for start in range(0, len(batch), self.batch_size):
            stop = start + self.batch_size
            out[start:stop] = normalise(self._run_images(np.ascontiguousarray(batch[start:stop])))
        return out

    def _check_pixels(self, batch: NDArray[np.uint8]) -> None:
        wanted = (self.spec.preprocessing.height, self.spec.preprocessing.width, 3)
        if batch.dtype != np.uint8 or batch.shape[1:] != wanted:
            raise ModelError(
                _("pixels of shape {shape} and type {dtype} were given; wanted (n, {wanted}) uint8").format(
                    shape=batch.shape, dtype=batch.dtype, wanted=wanted
                )
            )

    @abstractmethod
    def _run_images(self, batch: NDArray[np.uint8]) -> FloatMatrix:
        """Run the image tower over at most ``batch_size`` pictures."""


def normalise(vectors: FloatMatrix) -> FloatMatrix:
    """Return ``(n, dim) float32`` with rows of length 1; a row that is zero or not finite becomes NaN throughout."""
    rows = np.asarray(vectors, dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        good = np.isfinite(lengths) & (lengths > 0)
        return np.where(good, rows / np.where(good, lengths, 1.0), np.nan).astype(np.float32)


def usable(vectors: FloatMatrix) -> NDArray[np.bool_]:
    """Return ``(n,) bool``: which rows are finite and of length 1 (to 1e-3)."""
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        good: NDArray[np.bool_] = np.isfinite(lengths) & (np.abs(lengths - 1.0) < 1e-3)
    return good


def all_alike(vectors: FloatMatrix) -> bool:
    """Return whether vectors ``(n, dim)`` of different pictures, 8 or more, hardly differ: the model is broken then."""
    if len(vectors) < 8:
        return False
    return bool((vectors @ vectors.mean(axis=0) > 1 - 1e-3).all())


def cut_note(text: str, tokens: Callable[[str], Sequence[int]]) -> list[str]:
    """Say how much of a text that is known to be too long is read.

    ``tokens`` gives the ids a tower would see, cut where the tower cuts. The fewest leading words (characters, where no
    spaces divide the text) that give the same ids are those that are read; found by bisection.
    """
    whole = tokens(text)
    for pieces, glue in ((text.split(), " "), (list(text), "")):
        low, high = 1, len(pieces)
        while low < high:
            middle = (low + high) // 2
            if tokens(glue.join(pieces[:middle])) == whole:
                high = middle
            else:
                low = middle + 1
        if high < len(pieces):
            if glue:
                said = ngettext(
                    "only the first {count} word of the text is read; the model takes no more",
                    "only the first {count} words of the text are read; the model takes no more",
                    high,
                )
            else:
                said = ngettext(
                    "only the first {count} character of the text is read; the model takes no more",
                    "only the first {count} characters of the text are read; the model takes no more",
                    high,
                )
            return [said.format(count=high)]
    return []


def processors() -> int:
    """Return how many processors this process may use (at least 1)."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
