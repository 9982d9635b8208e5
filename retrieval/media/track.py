"""What a video looks like from moment to moment, gathered while its frames go by, in bounded memory."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from retrieval.media.frames import Frame, Signature, coarse
from retrieval.media.shots import Shots
from retrieval.types import Pixels, Track

APART_S = 0.25
"""Looks are at least this far apart, in seconds; farther where a video would have more than ``MAX_LOOKS``."""
DENSE_S = 0.1
"""The same where a closer track is asked for."""
STILL_S = 4.0
"""Of a stretch in which nothing changes a look is kept each so many seconds, and at both its ends."""
MAX_LOOKS = 48_000
HELD = 12
"""How many frames wait, at most, until it is certain in which shot they are."""
_SAME = 1


class Watch:
    """Sees the frames of a video: knows in which shot each is, and keeps the track."""

    def __init__(self, apart_s: float = APART_S) -> None:
        self.shots = Shots()
        self._apart_s = apart_s
        self._at_s: list[float] = []
        self._looks: list[NDArray[np.uint8]] = []
        self._skipped: tuple[float, NDArray[np.uint8]] | None = None
        self._last_s = float("-inf")

    def see(self, at_s: float, look: Signature) -> bool:
        """Take in a frame later than those before; return whether another shot may begin with it."""
        fresh = self.shots.see(at_s, look)
        if fresh or not self._at_s or at_s - self._last_s >= self._apart_s - 0.001:
            self._keep(at_s, coarse(look))
        return fresh

    def track(self) -> Track:
        """Return what was seen; after the last frame."""
        self.shots.finish()
        self._end_still()
        signatures = np.array(self._looks, np.uint8).reshape(len(self._looks), -1)
        return Track(np.array(self._at_s, np.float64), signatures, np.array(self.shots.cuts_s, np.float64))

    def _keep(self, at_s: float, look: NDArray[np.uint8]) -> None:
        self._last_s = at_s
        if self._at_s and at_s - self._at_s[-1] < STILL_S and _alike(self._looks[-1], look):
            self._skipped = at_s, look
            return
        self._end_still()
        self._at_s.append(at_s)
        self._looks.append(look)
        if len(self._at_s) > MAX_LOOKS:
            self._apart_s *= 2
            del self._at_s[1::2], self._looks[1::2]

    def _end_still(self) -> None:
        if self._skipped is not None:
            self._at_s.append(self._skipped[0])
            self._looks.append(self._skipped[1])
            self._skipped = None


def in_shots(frames: Iterable[Frame[Pixels] | None], watch: Watch) -> Iterator[Frame[Pixels]]:
    """Yield frames with the shot each is in; ``None`` among them stands for one that only the watch saw."""
    held: deque[Frame[Pixels]] = deque()
    shots = watch.shots
    for frame in frames:
        if frame is not None:
            held.append(frame)
        while held and (held[0].at_s <= shots.settled_s or len(held) > HELD):
            shots.hand_over(held[0].at_s)
            yield held[0]._replace(shot=shots.shot_at(held[0].at_s))
            held.popleft()
    shots.finish()
    for frame in held:
        yield frame._replace(shot=shots.shot_at(frame.at_s))


def _alike(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    return int(np.abs(a.astype(np.int16) - b).max()) <= _SAME
