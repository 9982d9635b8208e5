"""Pure measures of moments: how well the stretch of video that a hit names lies on the one that was labelled.

The overlap is the temporal intersection over union, and the figures are recall at an overlap, ``R@1,IoU=0.5`` (Gao et
al., TALL, ICCV 2017; with 0.7 as in Lei et al., QVHighlights, NeurIPS 2021), and its mean over queries, ``mIoU``. Hits
come from the whole collection, so a hit in another file overlaps with nothing: moment retrieval from a corpus of videos
(Escorcia et al., 2019).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOMENT_DEPTHS = (1, 5)
"""The k of ``R@k,IoU=m``."""
OVERLAPS = (0.5, 0.7)
"""The m of ``R@k,IoU=m``."""
MEAN_IOU = "mIoU"

_TIME = r"(?:\d+:)?(?:\d+:)?\d+(?:\.\d*)?"
_NAME = re.compile(rf"(.+)#t=({_TIME})-({_TIME})", re.DOTALL | re.ASCII)


class Span(NamedTuple):
    """A stretch of a video in seconds; ``end_s`` is not before ``start_s``."""

    start_s: float
    end_s: float


class Place(NamedTuple):
    """A picture or a whole video (``span`` is ``None``), or a moment of a video; ``path`` is the file's name."""

    path: str
    span: Span | None = None


def iou(a: Span, b: Span) -> float:
    """Return the intersection of two spans over their union, from 0 to 1; 1 for equal ones, also of no length."""
    if a == b:
        return 1.0
    longest_s = max(a.end_s, b.end_s) - min(a.start_s, b.start_s)
    shared_s = min(a.end_s, b.end_s) - max(a.start_s, b.start_s)
    return shared_s / longest_s if shared_s > 0 else 0.0


def meets(a: Place, b: Place) -> bool:
    """Return whether two places have something in common: the same file and, where both are moments, some time."""
    if a.path != b.path:
        return False
    if a.span is None or b.span is None:
        return True
    first, last = max(a.span.start_s, b.span.start_s), min(a.span.end_s, b.span.end_s)
    return first < last or (first == last and 0 in (a.span.end_s - a.span.start_s, b.span.end_s - b.span.start_s))


def best_overlaps(found: Sequence[Place], labelled: Sequence[Place]) -> NDArray[np.float64]:
    """Return ``(5,)`` the IoU of each of the first five hits with the labelled moment it lies on best.

    A hit that is a picture, lies in a file without a labelled moment, or is missing has 0.
    """
    overlaps = np.zeros(max(MOMENT_DEPTHS))
    for place, hit in enumerate(found[: len(overlaps)]):
        moments = (one.span for one in labelled if one.path == hit.path and one.span is not None)
        if hit.span is not None:
            overlaps[place] = max((iou(hit.span, moment) for moment in moments), default=0.0)
    return overlaps


def moment_values(overlaps: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return what each query adds to each figure, ``(q,)`` in per cent, from the ``(q, 5)`` overlaps of its first hits.

    ``R@k,IoU=m`` asks whether one of the first k hits reaches the overlap m; ``mIoU`` is the overlap of the first hit.
    """
    found: dict[str, NDArray[np.float64]] = {
        f"R@{k},IoU={least:g}": np.where((overlaps[:, :k] >= least).any(axis=1), 100.0, 0.0)
        for k in MOMENT_DEPTHS
        for least in OVERLAPS
    }
    return {**found, MEAN_IOU: 100.0 * overlaps[:, 0]}


def format_place(place: Place) -> str:
    """Write a place as ``path`` or ``path#t=3-7.5``, in seconds to the millisecond."""
    if place.span is None:
        return place.path
    start, end = (f"{seconds:.3f}".rstrip("0").rstrip(".") for seconds in place.span)
    return f"{place.path}#t={start}-{end}"


def parse_place(name: str) -> Place:
    """Read ``path#t=3-7.5``, with seconds, ``mm:ss`` or ``hh:mm:ss.mmm``; anything else is a path."""
    found = _NAME.fullmatch(name)
    return Place(found[1], Span(_seconds(found[2]), _seconds(found[3]))) if found else Place(name)


def _seconds(text: str) -> float:
    seconds = 0.0
    for number in text.split(":"):
        seconds = 60 * seconds + float(number)
    return seconds
