"""Whether two videos show the same from beginning to end, told from their tracks alone (see ``types.Track``)."""

import numpy as np
from numpy.typing import NDArray

from retrieval.types import FloatMatrix, Track

COURSE_ALIKE = 0.75
"""Cosine of two courses below which videos are not compared moment by moment."""
MATCHING = 0.75
"""Share of what was seen that must match for two videos to look identical."""
LENGTH_S, LENGTH_SHARE = 1.0, 0.12
"""By how many seconds, or what share, the lengths of copies may differ."""

_LUMA = 64
_PARTS, _LOOKS = 8, 32
_MOST = 240
_SLIP_S, _NEARBY_S = 1.0, 0.15
_LEAST_KNOWN = 0.2
_MEAN, _PEAK, _CHROMA, _MOVING = 8.0, 32.0, 20.0, 0.7


def comparable(one_s: float, other_s: float) -> bool:
    """Return whether videos of these lengths, in seconds, may be copies of one another, also at another speed."""
    return abs(one_s - other_s) <= max(LENGTH_S, LENGTH_SHARE * max(one_s, other_s))


def course(track: Track, length_s: float) -> FloatMatrix:
    """Return how a video looks in each eighth of its length, ``(1, 768) float32``, of length 1.

    Means over time do not depend on which frames were looked at, so copies have nearly the same course however they
    were encoded.
    """
    times = (np.arange(_LOOKS) + 0.5) / _LOOKS * length_s
    cells = _cells(track)[_shown(track, times)].reshape(_PARTS, -1, track.signatures.shape[1]).mean(axis=1)
    cells[:, :_LUMA] -= cells[:, :_LUMA].mean()
    row: FloatMatrix = cells.reshape(1, -1)
    return row / max(float(np.linalg.norm(row)), 1.0)


def matching(one: Track, other: Track, one_s: float, other_s: float) -> float:
    """Return which share of what was seen of each video, 0-1, the other shows at the same time; the lesser of the two.

    A look is compared with what the other shows within a second of the same part of its length, so the order counts. It
    is left out where the other was not looked at nearby and shows something else before and after: of a video with
    keyframes close together only these are in its track. Where that leaves less than a fifth, nothing is known, and 0
    is returned.
    """
    if not len(one.at_s) or not len(other.at_s) or not comparable(one_s, other_s):
        return 0.0
    return min(_found(one, other, one_s, other_s), _found(other, one, other_s, one_s))


def _found(one: Track, other: Track, one_s: float, other_s: float) -> float:
    places = _some(len(one.at_s))
    shown_s = np.diff(one.at_s[places], append=max(one_s, float(one.at_s[-1])))
    shown_s = np.maximum(shown_s, 1e-3)
    times_s = one.at_s[places] * (other_s / one_s if one_s > 0 else 1.0)
    theirs = _cells(other)
    mine = _toned(_cells(one)[places], theirs[_shown(other, times_s)])
    low, high = (limit(theirs[:-1], theirs[1:]) if len(theirs) > 1 else theirs for limit in (np.minimum, np.maximum))
    first = np.minimum(_shown(other, times_s - _SLIP_S), len(low) - 1)
    last = _shown(other, times_s + _SLIP_S)
    same = np.array(
        [
            _same(look, low[begin : end + 1], high[begin : end + 1])
            for look, begin, end in zip(mine, first, last, strict=True)
        ]
    )
    known = same | (_apart_s(other, times_s) <= _NEARBY_S)
    if shown_s[known].sum() < _LEAST_KNOWN * shown_s.sum():
        return 0.0
    return float(shown_s[same].sum() / shown_s[known].sum())


def _some(count: int) -> NDArray[np.int64]:
    """Return the places of all looks, or of so many that comparing them does not take long."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST)).astype(np.int64))


def _apart_s(track: Track, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far from each of the times the track's nearest look is, in seconds."""
    before = _shown(track, times_s)
    after = np.minimum(before + 1, len(track.at_s) - 1)
    apart: NDArray[np.float64] = np.minimum(np.abs(track.at_s[before] - times_s), np.abs(track.at_s[after] - times_s))
    return apart


def _same(look: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]) -> bool:
    """Return whether a look, ``(96,)``, lies between two that follow one another, ``(n, 96)``.

    Frames are looked at now and then, in copies not at the same times; in between, each cell goes about straight from
    one value to the next.
    """
    off = np.maximum(np.maximum(low - look, look - high), 0.0)
    span = high - low
    luma, chroma = off[:, :_LUMA], off[:, _LUMA:]
    alike = (luma.mean(axis=1) <= _MEAN) & (luma <= _PEAK + _MOVING * span[:, :_LUMA]).all(axis=1)
    return bool((alike & (chroma <= _CHROMA + _MOVING * span[:, _LUMA:]).all(axis=1)).any())


def _toned(mine: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return looks with the brightness and contrast of the others, as far as a copy may differ in them."""
    one, other = mine[:, :_LUMA], theirs[:, :_LUMA]
    gain = float(np.clip(other.std() / max(float(one.std()), 1.0), 0.75, 1.33))
    shift = float(np.clip(other.mean() - gain * one.mean(), -40.0, 40.0))
    return np.concatenate([one * gain + shift, mine[:, _LUMA:] * gain], axis=1)


def _cells(track: Track) -> NDArray[np.float32]:
    cells = track.signatures.astype(np.float32)
    cells[:, _LUMA:] -= 128.0
    return cells


def _shown(track: Track, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which of the track's frames is shown at each of the times: the last one before, else the first."""
    return np.clip(np.searchsorted(track.at_s, times_s, side="right") - 1, 0, len(track.at_s) - 1)
