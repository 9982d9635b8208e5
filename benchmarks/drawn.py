"""Draws as many vectors as are wanted, lying as the built-in model's vectors of pictures do.

A drawn vector is a point between a picture and one of its twenty nearest, moved by the difference of two other
neighbours (as in Chawla et al., SMOTE, 2002). Text queries are vectors of real captions.
"""

from pathlib import Path
from typing import Any, NamedTuple

import faiss as _faiss
import numpy as np

from retrieval.types import FloatMatrix

faiss: Any = _faiss
NEIGHBOURS = 20


class Real(NamedTuple):
    """Vectors of pictures and of captions, ``(n, dim) float32``, rows of length 1."""

    pictures: FloatMatrix
    captions: FloatMatrix


def vectors_of(folder: Path, cache: Path | None) -> Real:
    """Return the built-in model's vectors of pictures and captions, kept in ``cache`` (a file ``.npz``).

    The folder holds images/ and captions.tsv (image, split, caption); the split called ``test`` is left out.
    """
    if cache is not None and cache.exists():
        kept = np.load(cache)
        return Real(kept["pictures"].astype(np.float32), kept["captions"].astype(np.float32))
    from retrieval.embedding import open_embedder
    from retrieval.embedding.stream import Embedded, Job, embed_stream

    embedder = open_embedder()
    lines = (folder / "captions.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    names = list(dict.fromkeys(row[0] for row in rows if row[1] != "test"))
    stream = embed_stream((Job(folder / "images" / name) for name in names), embedder, digest=False)
    pictures = np.concatenate([one.vectors for one in stream if isinstance(one, Embedded)])
    captions = embedder.embed_texts([row[2] for row in rows if row[1] != "test"][::8])
    if cache is not None:
        np.savez(cache, pictures=pictures, captions=captions)
    return Real(pictures, captions)


class Mixture:
    """Draws vectors that lie as pictures do."""

    def __init__(self, pictures: FloatMatrix) -> None:
        index = faiss.IndexFlatIP(pictures.shape[1])
        index.add(pictures)
        self._pictures, self.dim = pictures, pictures.shape[1]
        self._near = index.search(pictures, NEIGHBOURS + 1)[1][:, 1:]

    def draw(self, count: int, rng: np.random.Generator) -> FloatMatrix:
        """Return ``(count, dim) float32``, rows of length 1."""
        start = rng.integers(0, len(self._pictures), count)
        first, second, third = (self._near[start, rng.integers(0, NEIGHBOURS, count)] for _ in range(3))
        share = rng.uniform(0.0, 0.6, (count, 1)).astype(np.float32)
        rows = self._pictures[start] * (1 - share) + self._pictures[first] * share
        rows += 0.5 * (self._pictures[second] - self._pictures[third])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float32)
