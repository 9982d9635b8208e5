"""Pure ranking: how the parts of a query become probes, and how scored frames become moments.

A query is a small matrix of probes, ``(m, dim) float32, rows of length 1``; an item's score is its best inner product
with any of them. Nothing here reads files or a collection.
"""

from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.types import FloatMatrix

MAX_PROBES = 16
"""How many probes a query may have; the keyframes of clips are thinned evenly to keep to it."""
MAX_MOMENT_S = 30.0
"""How many seconds a moment may last, unless a single frame stands for longer."""
BRIDGE_S = 2.0
"""A dip no longer than this between frames that both belong to a moment is a blink, not another scene."""
TOLERANCE = 0.01
"""A moment takes in frames this far below its peak in any case: neighbouring frames of one shot differ as much."""

Modality = Literal["text", "picture"]

_MEAN = -1


class Embedded(NamedTuple):
    """A part of a query as vectors: one row for words, a picture or an item, one per keyframe for a clip.

    ``spread`` says how far the part's scores spread over the collection (see ``spread``), 0 where that is not known.
    ``at_s`` are the times of a clip's keyframes in seconds; empty for anything else.
    """

    vectors: FloatMatrix
    weight: float
    modality: Modality
    spread: float = 0.0
    at_s: tuple[float, ...] = ()


class Mix(NamedTuple):
    """The probes of a query, and what each is the sum of.

    ``probes`` is ``(m, dim) float32, rows of length 1``; ``summands`` is ``(m, parts, dim) float64`` and sums over the
    parts to the probes (but for their rounding); ``rows`` is ``(m, parts) int64``: which row of a part's vectors stands
    in the probe, -1 for the mean of a clip that is taken away.
    """

    probes: FloatMatrix
    summands: NDArray[np.float64]
    rows: NDArray[np.int64]


class Moment(NamedTuple):
    """A stretch of one video in seconds; ``at_s``, ``score`` and ``frame`` (its place) are those of the best frame."""

    start_s: float
    end_s: float
    at_s: float
    score: float
    frame: int


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


def moments(
    scores: NDArray[np.float64],
    at_s: NDArray[np.float64],
    start_s: NDArray[np.float64],
    end_s: NDArray[np.float64],
    per_video: int = 3,
) -> list[Moment]:
    """Cut the frames of one video, in time order, to at most ``per_video`` moments, best first.

    A moment grows from its best frame to the better of its neighbours as long as that one's score stays within half the
    way down from the peak to the video's median score (its noise floor), or within ``TOLERANCE`` of the peak, and as
    long as it lasts at most ``MAX_MOMENT_S``. The next one begins at the best frame left that is no worse than both its
    neighbours, so that the shoulder of a moment is not reported as another; where it is good enough to belong to
    a better one and only a dip of at most ``BRIDGE_S`` lies between, it becomes a part of that. Moments do not overlap.
    """
    values = np.nan_to_num(scores, nan=-1.0, posinf=-1.0, neginf=-1.0)
    if not len(values):
        return []
    floor = float(np.median(values))
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    peaks = np.flatnonzero((values >= padded[:-2]) & (values >= padded[2:]))
    free = np.ones(len(values), dtype=bool)
    spans: list[_Span] = []
    for peak in peaks[np.lexsort((peaks, -values[peaks]))]:
        if not free[peak]:
            continue
        least = values[peak] - max(TOLERANCE, 0.5 * (values[peak] - floor))
        span = _Span(
            int(peak),
            *_grow(int(peak), values, free & (values >= least) & (values <= values[peak]), start_s, end_s),
            least,
        )
        belongs = (place for place, other in enumerate(spans) if values[peak] >= other.least)
        near = next((place for place in belongs if _bridged(span, spans[place], free, start_s, end_s)), None)
        if near is not None:
            span = spans[near] = spans[near].joined(span)
        elif len(spans) < per_video:
            spans.append(span)
        else:
            break
        free[span.first : span.last + 1] = False
    return [
        Moment(
            float(start_s[one.first]), float(end_s[one.last]), float(at_s[one.peak]), float(values[one.peak]), one.peak
        )
        for one in spans
    ]


class _Span(NamedTuple):
    """A moment as places of frames; ``least`` is the lowest score that belongs to it."""

    peak: int
    first: int
    last: int
    least: float

    def joined(self, other: "_Span") -> "_Span":
        return self._replace(first=min(self.first, other.first), last=max(self.last, other.last))


def _bridged(
    one: _Span,
    other: _Span,
    free: NDArray[np.bool_],
    start_s: NDArray[np.float64],
    end_s: NDArray[np.float64],
) -> bool:
    """Return whether only a short dip that is in no moment parts the two, and they are short enough together."""
    early, late = sorted((one, other), key=lambda span: span.first)
    dip_s = start_s[late.first] - end_s[early.last]
    whole_s = end_s[late.last] - start_s[early.first]
    return bool(dip_s <= BRIDGE_S and whole_s <= MAX_MOMENT_S and free[early.last + 1 : late.first].all())


def _grow(
    peak: int,
    values: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    start_s: NDArray[np.float64],
    end_s: NDArray[np.float64],
) -> tuple[int, int]:
    """Return the first and last frame of the moment around ``peak``."""
    first = last = peak
    while True:
        left = first > 0 and bool(allowed[first - 1]) and end_s[last] - start_s[first - 1] <= MAX_MOMENT_S
        right = last + 1 < len(values) and bool(allowed[last + 1]) and end_s[last + 1] - start_s[first] <= MAX_MOMENT_S
        if left and not (right and values[last + 1] >= values[first - 1]):
            first -= 1
        elif right:
            last += 1
        else:
            return first, last


def _places(count: int, most: int) -> NDArray[np.int64]:
    """Return at most ``most`` of the places 0 to ``count - 1``, evenly from first to last."""
    if count <= most:
        return np.arange(count)
    places = np.linspace(0, count - 1, most + 2)[1:-1] if most < 3 else np.linspace(0, count - 1, most)
    return np.round(places).astype(np.int64)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-30)
