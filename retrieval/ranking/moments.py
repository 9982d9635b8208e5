"""How scored frames of a video become moments: a watershed over their scores, bounded by shots.

Moments grow around peaks of the scores as basins do when water falls, and end where a shot does, as in the moment
retrieval without training of Diwan et al. (2023); the level to which the water falls is set for each peak.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_MOMENT_S = 30.0
"""How many seconds a moment may last, unless a single frame stands for longer."""
BRIDGE_S = 2.0
"""A dip no longer than this between frames that both belong to a moment is a blink, not another scene."""
TOLERANCE = 0.01
"""A moment takes in frames this far below its peak in any case: neighbouring frames of one shot differ as much."""


class Moment(NamedTuple):
    """A stretch of one video in seconds; ``at_s``, ``score`` and ``frame`` (its place) are those of the best frame."""

    start_s: float
    end_s: float
    at_s: float
    score: float
    frame: int


def moments(
    scores: NDArray[np.float64],
    at_s: NDArray[np.float64],
    start_s: NDArray[np.float64],
    end_s: NDArray[np.float64],
    per_video: int = 3,
    shots: NDArray[np.int64] | None = None,
) -> list[Moment]:
    """Cut the frames of one video, in time order, to at most ``per_video`` moments, best first.

    ``shots`` are the shots that the frames are in; where none are known, the video is taken for a single one.

    A moment grows from its best frame to the better of its neighbours in the same shot as long as that one's score
    stays within half the way down from the peak to the noise floor (the median score of what is not of this shot, if
    there is such, else of all), or within ``TOLERANCE`` of the peak, and as long as it lasts at most ``MAX_MOMENT_S``.
    The next one begins at the best frame left that is no worse than both its neighbours of its shot, so that the
    shoulder of a moment is not reported as another; where it is good enough to belong to a better one of the same shot
    and only a dip of at most ``BRIDGE_S`` lies between, it becomes a part of that. Moments do not overlap.
    """
    values = np.nan_to_num(scores, nan=-1.0, posinf=-1.0, neginf=-1.0)
    if not len(values):
        return []
    shots = np.zeros(len(values), np.int64) if shots is None else shots
    peaks = _peaks(values, shots)
    free = np.ones(len(values), dtype=bool)
    spans: list[_Span] = []
    for peak in peaks[np.lexsort((peaks, -values[peaks]))]:
        if not free[peak]:
            continue
        mine = shots == shots[peak]
        floor = float(np.median(values if mine.all() else values[~mine]))
        least = values[peak] - max(TOLERANCE, 0.5 * (values[peak] - floor))
        allowed = free & mine & (values >= least) & (values <= values[peak])
        span = _Span(int(peak), *_grow(int(peak), values, allowed, start_s, end_s), least)
        belongs = (place for place, other in enumerate(spans) if mine[other.peak] and values[peak] >= other.least)
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


def _peaks(values: NDArray[np.float64], shots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of frames that are no worse than both their neighbours of the same shot."""
    rising = (values[1:] > values[:-1]) & (shots[1:] == shots[:-1])
    falling = (values[1:] < values[:-1]) & (shots[1:] == shots[:-1])
    return np.flatnonzero(~np.append(rising, False) & ~np.insert(falling, 0, False))


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
