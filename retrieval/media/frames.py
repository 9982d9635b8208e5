"""Which frames of a video are kept: pure functions of times and signatures, causal, in constant memory.

A signature is a thumbnail of 16x16 cells; a shot change is seen by the mean difference of two signatures (as in the
comparison of coarse pictures of consecutive frames by Nagasaka and Tanaka, 1992), a small thing that moves by the
cells that differ most.
"""

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Sampling
from retrieval.types import Pixels

Payload = TypeVar("Payload")

Signature = NDArray[np.float32]
"""``(16, 16, 3) float32``: luma 0-255 and two chroma differences of the cells of a frame."""

GRID = 16
CUT = 22.0
"""Mean difference above which a frame counts as another shot, whatever lies between, and is kept at once."""
STILL = 12.0
"""Difference of the most changed cells up to which nothing has happened."""
STILL_MAX_S = 60.0
"""The longest stretch one frame stands for, in seconds, however still it is (where there are frames)."""
LOOKS_A_GAP = 4
"""How many frames are looked at in each ``max_gap_s`` of a stretch that is decoded."""
KEYFRAMES_APART_S = 0.2
"""Keyframes nearer than this are not all looked at (there are formats where every frame is one)."""
DARK_MEAN, DARK_PEAK = 20.0, 36.0
_TICK_SLACK_S = 0.0005  # time stamps are rounded to the container's time base

_TO_LUMA_CHROMA = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], dtype=np.float32).T


class Frame(NamedTuple, Generic[Payload]):
    """A frame that may be kept: its time in seconds, its signature, whatever goes with it, and its shot."""

    at_s: float
    signature: Signature
    payload: Payload
    shot: int = 0


class Chosen(NamedTuple, Generic[Payload]):
    """A frame that is kept; it stands for everything from ``start_s`` to ``end_s`` (seconds)."""

    at_s: float
    start_s: float
    end_s: float
    payload: Payload
    signature: Signature
    shot: int


class Change(NamedTuple):
    """How much two signatures differ, 0-255: over the whole picture, and in its most changed sixteenth."""

    overall: float
    local: float


def signature(pixels: Pixels) -> Signature:
    """Return the signature of a frame: the mean colours of 16x16 cells as luma and chroma."""
    from PIL import Image

    cells = Image.fromarray(pixels).resize((GRID, GRID), Image.Resampling.BOX)
    return np.asarray(np.asarray(cells, dtype=np.float32) @ _TO_LUMA_CHROMA, dtype=np.float32)


def compact(sig: Signature) -> bytes:
    """Return a signature in 384 bytes, as an item keeps it: the luma, and the chroma of 8x8 cells + 128."""
    return _bytes(sig[..., 0], _halved(sig[..., 1:])).tobytes()


def coarse(sig: Signature) -> NDArray[np.uint8]:
    """Return a signature in 96 bytes, ``(96,) uint8``, as a track keeps it: 8x8 cells of luma, 4x4 of chroma + 128."""
    return _bytes(_halved(sig[..., :1]), _halved(_halved(sig[..., 1:])))


def _halved(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``(2n, 2n, c)`` cells as ``(n, n, c)``."""
    half = len(cells) // 2
    fewer: NDArray[np.float32] = cells.reshape(half, 2, half, 2, -1).mean(axis=(1, 3))
    return fewer


def _bytes(luma: NDArray[np.float32], chroma: NDArray[np.float32]) -> NDArray[np.uint8]:
    values = np.concatenate([luma.ravel(), chroma.ravel() + 128.0])
    rounded: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def change(a: Signature, b: Signature) -> Change:
    """Return how much two signatures differ; block noise of a codec averages out within a cell."""
    cells = np.abs(a - b).max(axis=2).ravel()
    most = np.partition(cells, -GRID)[-GRID:]
    return Change(float(cells.mean()), float(most.mean()))


def is_black(sig: Signature) -> bool:
    """Return whether a frame shows next to nothing: dark, and nowhere bright."""
    luma = sig[..., 0]
    return bool(luma.mean() < DARK_MEAN and luma.max() < DARK_PEAK)


def choose(
    frames: Iterable[Frame[Payload]],
    sampling: Sampling,
    end_s: Callable[[], float | None] = lambda: None,
    cuts_s: Sequence[float] = (),
) -> Iterator[Chosen[Payload]]:
    """Yield the frames to keep as soon as it is known what each stands for.

    ``cuts_s`` are the times at which the shots after the first begin, at least those up to the last frame that was
    handed in; it may grow meanwhile.

    Laws: something comes out of a non-empty input; times rise strictly (frames that step back are dropped); the
    extents tile, from 0 to ``end_s()`` (asked after the last frame; at least the time of the last frame), but for shots
    of which no frame is kept; none reaches into another shot; at most three frames are held at any time; what is kept
    would be kept again.

    ``auto`` keeps the first frame of a shot, any that looks like another shot than the last kept one, and otherwise the
    last one that differs visibly before ``max_gap_s`` is over. ``keyframes`` keeps each frame that differs visibly.
    Both skip black frames unless there is nothing else, and keep a frame of a still stretch each 60 s. ``every`` keeps
    the first frame at or after each multiple of the interval, ``all`` everything.
    """
    last_at_s = 0.0

    def rising() -> Iterator[Frame[Payload]]:
        nonlocal last_at_s
        before = float("-inf")
        for frame in frames:
            if frame.at_s > before:
                before = frame.at_s
                last_at_s = max(0.0, before)
                yield frame

    kept = {"auto": _auto, "keyframes": _differing, "every": _ticks, "all": _everything}[sampling.mode](
        rising(), sampling, end_s
    )
    start_s, pending = 0.0, None
    for frame in kept:
        if pending is not None:
            yield _chosen(pending, start_s, frame.at_s, cuts_s)
            start_s = frame.at_s
        if pending is None or frame.shot != pending.shot:
            start_s = _begins(frame.at_s, start_s, cuts_s)
        pending = frame
    if pending is not None:
        yield _chosen(pending, start_s, max(end_s() or 0.0, last_at_s), cuts_s)


def _chosen(frame: Frame[Payload], start_s: float, end_s: float, cuts_s: Sequence[float]) -> Chosen[Payload]:
    """Return a kept frame with what it stands for, which ends at the next cut."""
    place = bisect_right(cuts_s, frame.at_s)
    end_s = min(end_s, cuts_s[place]) if place < len(cuts_s) else end_s
    return Chosen(frame.at_s, start_s, end_s, frame.payload, frame.signature, frame.shot)


def _begins(at_s: float, otherwise_s: float, cuts_s: Sequence[float]) -> float:
    """Return when the shot of a time begins."""
    place = bisect_right(cuts_s, at_s)
    return cuts_s[place - 1] if place else otherwise_s


def next_tick(at_s: float, every_s: float) -> float:
    """Return the first multiple of ``every_s`` that is later than ``at_s``."""
    tick = (int((at_s + _TICK_SLACK_S) / every_s) + 1) * every_s
    return tick if tick > at_s else tick + every_s


def shown_at(frames: Iterable[tuple[float, Payload]], times_s: Sequence[float]) -> Iterator[Payload]:
    """Yield what is shown at each of the times, both in seconds and ascending: the last frame that is not later.

    What is asked for before the first frame is the first, behind the end the last; without frames nothing comes out.
    """
    wanted = iter(times_s)
    at_s = next(wanted, None)
    held: Payload | None = None
    for frame_s, payload in frames:
        while at_s is not None and held is not None and frame_s > at_s + _TICK_SLACK_S:
            yield held
            at_s = next(wanted, None)
        if at_s is None:
            return
        held = payload
    while at_s is not None and held is not None:
        yield held
        at_s = next(wanted, None)


def straightened(frames: Iterable[tuple[float, Payload]], most: int = 3) -> Iterator[tuple[float, Payload]]:
    """Yield frames as they come with their times in order, where these are mixed up by at most ``most`` places.

    Decoders give frames in the order of showing; where times step back (AVI with B-frames has none of its own, and they
    are guessed), it is the times that are wrong.
    """
    waiting: deque[Payload] = deque()
    times: list[float] = []
    for at_s, payload in frames:
        waiting.append(payload)
        heapq.heappush(times, at_s)
        if len(waiting) > most:
            yield heapq.heappop(times), waiting.popleft()
    while waiting:
        yield heapq.heappop(times), waiting.popleft()


class Sieve:
    """Says which decoded frames are worth scaling before ``choose`` sees them; what ``choose`` needs passes."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._last_s = self._due_s = float("-inf")

    def passes(self, at_s: float, is_keyframe: bool) -> bool:
        """Return whether to look at the frame at ``at_s``; to be asked once for each frame, in order."""
        mode, wanted = self._sampling.mode, True
        if mode == "auto":
            apart_s = self._sampling.max_gap_s / LOOKS_A_GAP
            wanted = at_s - self._last_s >= (min(apart_s, KEYFRAMES_APART_S) if is_keyframe else apart_s)
        elif mode == "every":
            wanted = at_s + _TICK_SLACK_S >= self._due_s
            self._due_s = next_tick(at_s, self._sampling.every_s) if wanted else self._due_s
        self._last_s = at_s if wanted else self._last_s
        return wanted


def _auto(
    frames: Iterator[Frame[Payload]], sampling: Sampling, end_s: Callable[[], float | None]
) -> Iterator[Frame[Payload]]:
    gaps: _Gaps[Payload] = _Gaps(sampling.max_gap_s)
    for frame in _lit(frames):
        yield from gaps.see(frame)
    yield from gaps.filled(end_s() or 0.0)


class _Gaps(Generic[Payload]):
    """Keeps another shot, and of a gap in which something moves the newest frame that is not too late to fill it."""

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._last: Frame[Payload] | None = None
        self._passed: list[Frame[Payload]] = []  # since the last kept one, not a gap away from it

    def see(self, frame: Frame[Payload]) -> Iterator[Frame[Payload]]:
        """Yield what is kept now that a frame has come."""
        yield from self.filled(frame.at_s)
        last = self._last
        if last is None:
            self._last = frame
            yield frame
            return
        seen, away_s = change(last.signature, frame.signature), frame.at_s - last.at_s
        another = frame.shot != last.shot or seen.overall > CUT
        if another or away_s >= STILL_MAX_S or (seen.local > STILL and away_s >= self._gap_s):
            self._last, self._passed = frame, []
            yield frame
        elif away_s <= self._gap_s:
            self._passed.append(frame)

    def filled(self, until_s: float) -> Iterator[Frame[Payload]]:
        """Yield what was passed over and is kept after all, since nothing else came before ``until_s``.

        What came after such a frame is then looked at once more, beside it.
        """
        while self._last is not None and until_s - self._last.at_s > self._gap_s:
            place = self._newest(self._last)
            if place is None:
                return
            later = self._passed[place + 1 :]
            self._last, self._passed = self._passed[place], []
            yield self._last
            for frame in later:
                yield from self.see(frame)

    def _newest(self, last: Frame[Payload]) -> int | None:
        """Return the place of the newest frame passed over that differs from the last one kept."""
        places = range(len(self._passed) - 1, -1, -1)
        return next((at for at in places if change(last.signature, self._passed[at].signature).local > STILL), None)


def _differing(
    frames: Iterator[Frame[Payload]], sampling: Sampling, end_s: Callable[[], float | None]
) -> Iterator[Frame[Payload]]:
    last: Frame[Payload] | None = None
    for frame in _lit(frames):
        still = last is not None and change(last.signature, frame.signature).local <= STILL
        if last is None or frame.shot != last.shot or not still or frame.at_s - last.at_s >= STILL_MAX_S:
            last = frame
            yield frame


def _lit(frames: Iterator[Frame[Payload]]) -> Iterator[Frame[Payload]]:
    """Yield what is not black, or the first frame when all are."""
    black: Frame[Payload] | None = None
    lit = False
    for frame in frames:
        if not is_black(frame.signature):
            lit = True
            yield frame
        elif black is None:
            black = frame
    if not lit and black is not None:
        yield black


def _ticks(
    frames: Iterator[Frame[Payload]], sampling: Sampling, end_s: Callable[[], float | None]
) -> Iterator[Frame[Payload]]:
    due_s = float("-inf")
    for frame in frames:
        if frame.at_s + _TICK_SLACK_S >= due_s:
            due_s = next_tick(frame.at_s, sampling.every_s)
            yield frame


def _everything(
    frames: Iterator[Frame[Payload]], sampling: Sampling, end_s: Callable[[], float | None]
) -> Iterator[Frame[Payload]]:
    yield from frames
