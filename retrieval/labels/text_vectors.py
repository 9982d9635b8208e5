"""Vectors of words (averaged over prompts) and of sentences, kept on disk so that they are embedded once a model.

Embedding the built-in words takes seconds to a minute, reading them back a few milliseconds.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.embedding import Embedder
from retrieval.embedding.kept import kept
from retrieval.types import FloatMatrix

TEMPLATES = (
    "{}",
    "a photo of a {}.",
    "a photo of the {}.",
    "a picture of {}.",
    "an image of a {}.",
    "a close photo of a {}.",
    "a photo that shows {}.",
    "a view of {}.",
    "there is a {}.",
    "this is a {}.",
    "a {} outdoors.",
    "someone looks at a {}.",
)
"""What a word is put into before it is embedded; the same for pictures and for moments of video."""
_AT_ONCE = 256
_FEW = 32

Progress = Callable[[int, int], None]
"""Told how many texts of how many are embedded."""


def prompts_digest() -> str:
    """Return the SHA-256 (hex) of the templates: vectors of words depend on them as on the model."""
    return hashlib.sha256(json.dumps(TEMPLATES).encode()).hexdigest()


def word_vectors(
    words: Sequence[str], embedder: Embedder, *, cache: Path | None = None, progress: Progress | None = None
) -> FloatMatrix:
    """Return ``(n, dim) float32``, rows of length 1: for each word the mean direction of its prompts.

    With a ``cache`` folder, the vectors of longer lists are kept there for the next time.

    Raises:
        ModelError: the model cannot be run.
    """

    def embed() -> FloatMatrix:
        prompts = [template.format(word) for word in words for template in TEMPLATES]
        each = _embedded(prompts, embedder, progress)
        mean = each.reshape(len(words), len(TEMPLATES), -1).mean(axis=1, dtype=np.float64)
        return _unit(mean)

    return _kept(words, embedder, cache, prompts_digest(), embed)


def sentence_vectors(
    sentences: Sequence[str], embedder: Embedder, *, cache: Path | None = None, progress: Progress | None = None
) -> FloatMatrix:
    """Return ``(n, dim) float32``, rows of length 1, in the order of ``sentences``; kept as ``word_vectors`` are.

    Raises:
        ModelError: the model cannot be run.
    """
    return _kept(sentences, embedder, cache, "sentences", lambda: _embedded(sentences, embedder, progress))


def _kept(
    texts: Sequence[str], embedder: Embedder, cache: Path | None, how: str, embed: Callable[[], FloatMatrix]
) -> FloatMatrix:
    if cache is None or len(texts) < _FEW:
        return embed()
    what = json.dumps([embedder.spec.fingerprint(), how, list(texts)], sort_keys=True)
    return _unit(kept(cache, hashlib.sha256(what.encode()).hexdigest(), (len(texts), embedder.dim), embed))


def _embedded(texts: Sequence[str], embedder: Embedder, progress: Progress | None) -> FloatMatrix:
    """Embed texts in their order, those of like length together."""
    order = sorted(range(len(texts)), key=lambda place: (len(texts[place]), texts[place]))
    vectors = np.empty((len(texts), embedder.dim), dtype=np.float32)
    for start in range(0, len(order), _AT_ONCE):
        rows = order[start : start + _AT_ONCE]
        vectors[rows] = embedder.embed_texts([texts[place] for place in rows])
        if progress:
            progress(min(start + _AT_ONCE, len(order)), len(order))
    return vectors


def _unit(rows: FloatMatrix | NDArray[np.float64]) -> FloatMatrix:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: FloatMatrix = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit
