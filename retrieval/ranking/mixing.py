"""How the parts of a query become probes, and what each part adds to a score.

A query is a small matrix of probes, ``(m, dim) float32, rows of length 1``; an item's score is its best inner product
with any of them.
"""

from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.types import FloatMatrix, Track

MAX_PROBES = 16
"""How many probes a query may have; the keyframes of clips are thinned evenly to keep to it."""

Modality = Literal["text", "picture", "vector"]

_MEAN = -1


class Embedded(NamedTuple):
    """A part of a query as vectors: one row for words, a picture or an item, one per keyframe for a clip.

    ``spread`` says how far the part's scores spread over the collection (see ``spread``), 0 where that is not known.
    ``at_s`` are the times of a clip's keyframes in seconds; empty for anything else. ``track`` is what a clip
    looks like from moment to moment, where that is known.
    """

    vectors: FloatMatrix
    weight: float
    modality: Modality
    spread: float = 0.0
    at_s: tuple[float, ...] = ()
    track: Track | None = None


class Mix(NamedTuple):
    """The probes of a query, and what each is the sum of.

    ``probes`` is ``(m, dim) float32, rows of length 1``; ``summands`` is ``(m, parts, dim) float64`` and sums over the
    parts to the probes (but for their rounding); ``rows`` is ``(m, parts) int64``: which row of a part's vectors stands
    in the probe, -1 for the mean of a clip that is taken away.
    """

    probes: FloatMatrix
    summands: NDArray[np.float64]
    rows: NDArray[np.int64]


def blend(parts: Sequence[Embedded]) -> FloatMatrix:
    """Return the probes of ``mix`` alone."""
    return mix(parts).probes


def mix(parts: Sequence[Embedded]) -> Mix:
    """Sum the parts by weight to probes; m > 1 for clips, at most 16.

    A single part with a positive weight is used as it is. Otherwise parts are summed; a clip adds one probe for each of
    its keyframes (a clip that is taken away counts by the mean of its frames), several clips one for each combination.

    Where words and pictures are mixed, each part is divided by its spread, so that a weight says how much of the order
    a part decides: pictures lie closer to pictures than words do (the modality gap, Liang et al., NeurIPS 2022), their
    scores spread further, and unscaled they would decide nearly alone. Subtracting a mean picture would not help: it
    shifts all scores alike.

    Raises:
        ValueError: the parts cancel one another out, or there are none.
    """
    if not parts:
        raise ValueError("no parts")
    if len(parts) == 1 and parts[0].weight > 0:
        rows = _places(len(parts[0].vectors), MAX_PROBES)
        probes: FloatMatrix = parts[0].vectors[rows]
        return Mix(probes, probes[:, None].astype(np.float64), rows[:, None])
    clips = sum(len(part.vectors) > 1 and part.weight > 0 for part in parts)
    each = int(MAX_PROBES ** (1 / max(clips, 1)) + 1e-9)
    choices = [_places(len(part.vectors), each) if part.weight > 0 else np.array([_MEAN]) for part in parts]
    chosen = np.array(list(product(*choices)))
    vectors = [
        part.vectors[rows] if part.weight > 0 else part.vectors.mean(axis=0)[None].repeat(len(rows), axis=0)
        for part, rows in zip(parts, chosen.T, strict=True)
    ]
    summands = np.stack(
        [factor * _unit(rows.astype(np.float64)) for factor, rows in zip(_factors(parts), vectors, strict=True)], axis=1
    )
    lengths = np.linalg.norm(summands.sum(axis=1), axis=1)
    kept = lengths > 1e-4
    if not kept.any():
        raise ValueError("the parts cancel one another out")
    summands = summands[kept] / lengths[kept, None, None]
    return Mix(summands.sum(axis=1).astype(np.float32), summands, chosen[kept])


def shares(vectors: FloatMatrix, mixed: Mix) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what each part adds to the scores of vectors, ``(n, parts)``, and which probe is best for each, ``(n,)``.

    A score is an inner product with one probe, and the probe a sum over the parts, each times its weight, divided by
    its spread where words and pictures are mixed, and by the length of the sum. So a part's share is the vector's inner
    product with its summand, and the shares add up to ``best_scores`` without anything left over; the share of a part
    that is taken away lowers the score where the vector is like it. A score beyond 1 (stored vectors are rounded)
    counts as 1, and its shares are scaled with it.
    """
    wide = vectors.astype(np.float64)
    scores = wide @ mixed.probes.T.astype(np.float64)
    best = np.where(np.isfinite(scores), scores, -np.inf).argmax(axis=1)
    found = np.einsum("nd,npd->np", wide, mixed.summands[best])
    return found / np.maximum(1.0, np.abs(found.sum(axis=1)))[:, None], best


def _factors(parts: Sequence[Embedded]) -> NDArray[np.float64]:
    """Return what each part is multiplied by, ``(parts,)``, the largest being 1 in size."""
    mixed = len({part.modality for part in parts}) > 1 and all(part.spread > 0 for part in parts)
    factors = np.array([part.weight for part in parts]) / max(abs(part.weight) for part in parts)
    factors /= np.array([part.spread for part in parts]) if mixed else 1.0
    scaled: NDArray[np.float64] = factors / np.abs(factors).max()
    return scaled


def spread(scores: NDArray[np.float32]) -> float:
    """Return how far a part's best scores over a collection spread; ``(k,)`` or ``(rows, k)``, best first.

    That is from the best tenth, so that a copy of the picture itself does not matter, down to the last; the mean over
    rows. 0 for fewer than 20 scores, which say nothing.
    """
    rows = np.atleast_2d(scores).astype(np.float64)
    if rows.shape[1] < 20 or not np.isfinite(rows).all():
        return 0.0
    found = float((rows[:, rows.shape[1] // 10] - rows[:, -1]).mean())
    return found if found > 1e-4 else 0.0


def thin(vectors: FloatMatrix, most: int) -> FloatMatrix:
    """Return at most ``most`` rows, taken evenly from first to last (the middle one when ``most`` is 1)."""
    thinned: FloatMatrix = vectors[_places(len(vectors), most)]
    return thinned


def best_scores(vectors: FloatMatrix, probes: FloatMatrix) -> NDArray[np.float64]:
    """Return the ``(n,)`` score of each vector: its best inner product with any probe.

    Summed in double precision, so that a score does not depend on its neighbours. What is not a number counts as -1.
    """
    if not len(vectors):
        return np.empty(0)
    scores = (vectors.astype(np.float64) @ probes.T.astype(np.float64)).max(axis=1)
    return np.where(np.isfinite(scores), scores, -1.0)


def _places(count: int, most: int) -> NDArray[np.int64]:
    """Return at most ``most`` of the places 0 to ``count - 1``, evenly from first to last."""
    if count <= most:
        return np.arange(count)
    places = np.linspace(0, count - 1, most + 2)[1:-1] if most < 3 else np.linspace(0, count - 1, most)
    return np.round(places).astype(np.int64)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-30)
