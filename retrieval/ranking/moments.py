"""How scored frames of a video become moments."""

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
