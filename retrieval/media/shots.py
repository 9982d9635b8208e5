"""Where another shot begins: pure functions of times and signatures, causal, in constant memory.

A hard cut is a change between two frames that is far above the motion around it (a threshold that adapts to its
neighbourhood, as that of Yeo and Liu, 1995), in which not the light alone changes, and which lasts: a flash does not. A
dissolve is a stretch whose frames are mixtures of its first and its last one, with little going on before and behind;
it counts once, where it is half over. What comes after darkness is another shot.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from itertools import product
from statistics import median
from typing import NamedTuple

import numpy as np

from retrieval.media.frames import GRID, Signature, is_black

NEAR_S = 0.3
"""Frames no farther apart than this follow one another; what lies between others was not looked at."""
LEAST, LEAST_APART = 9.0, 20.0
"""The least change that may be a cut, 0-255: between frames that follow one another, and between others."""
ABOVE, ABOVE_APART = 3.0, 1.5
"""How many times the changes around it a cut is, likewise."""
ALONE = 1.5
"""How many times the changes just before and after it a cut is; those of a dissolve are all much the same."""
ALIKE, ALIKE_APART = 0.9, 0.6
"""Frames whose lights and darks agree as much as this (1 is wholly) show the same, if in another light; likewise."""
MIN_SHOT_S = 0.3
"""Cuts nearer to one another than this count once."""
FLASH_FRAMES = 3
"""What lasts no longer than this many frames is a flash."""
BLACK_S = 0.15
"""A dark stretch no shorter than this parts two shots."""
DISSOLVES_S = (0.4, 0.8, 1.6, 2.4)
DISSOLVE_LEAST, DISSOLVE_ALIKE = 14.0, 0.5
MIXED, SETTLED = 0.3, 0.25
"""As shares of its whole change: how far the frames of a dissolve may be from mixtures of both its ends, and how much
may change in a quarter of its time before and behind it."""
_TICK_S = 0.1
_AROUND = 12
_SHADE = 24.0
_FEWEST_CELLS = GRID * GRID // 6
_FLAT = 2.0


class _Seen(NamedTuple):
    """A frame as remembered; ``change`` is that from the frame before, ``speed`` how much that is in a second."""

    at_s: float
    look: Signature
    change: float = 0.0
    speed: float = 0.0


class Shots:
    """Finds cuts while frames go by; ``cuts_s`` are the times of the frames with which another shot begins, rising."""

    def __init__(self) -> None:
        self.cuts_s: list[float] = []
        self._frames: deque[_Seen] = deque(maxlen=_AROUND + 2 * FLASH_FRAMES + 2)  # that follow one another
        self._apart: deque[float] = deque(maxlen=8)
        self._doubt: tuple[float, float, float] | None = None
        self._open: list[float] = []  # when what may be cuts began
        self._dissolves = _Dissolves()
        self._lit_s = self._dark_s = float("nan")
        self._handed_s = self._chosen_s = float("-inf")

    @property
    def settled_s(self) -> float:
        """No cut before this time, in seconds, will be found any more."""
        if not self._frames:
            return float("-inf")
        last_s = self._frames[-1].at_s
        return last_s if len(self._frames) == 1 else last_s - 1.25 * DISSOLVES_S[-1]

    def hand_over(self, at_s: float) -> None:
        """Find no more cuts up to a time: what was shown until then has been told its shot."""
        self._handed_s = max(self._handed_s, at_s)

    def shot_at(self, at_s: float) -> int:
        """Return which shot a time is in, counted from 0."""
        return bisect_right(self.cuts_s, at_s)

    def suspects(self, at_s: float, look: Signature, chosen: bool = False) -> bool:
        """Return whether there may be a cut in what was not looked at between the last frame and this one.

        ``chosen`` says that the encoder set a keyframe there for a reason: then a cut can be nowhere else.
        """
        if not self._frames or at_s - self._frames[-1].at_s <= NEAR_S:
            return False
        before = self._frames[-1].look
        if chosen:
            if self._another(before, look, 0.0):
                self._chosen_s = at_s
            return False
        found = self._another(before, look, self._usual())
        if found:  # else it will be seen next, without anything between
            self._doubt = self._frames[-1].at_s, at_s, differing(before, look)
        return found

    def changes(self, look: Signature) -> bool:
        """Return whether a cut may lie between the last frame and this one, so that those between must be seen."""
        return not self._frames or differing(self._frames[-1].look, look) >= LEAST

    def see(self, at_s: float, look: Signature) -> bool:
        """Take in the next frame; return whether another shot may begin with it."""
        last = self._frames[-1] if self._frames else None
        if last is None:
            self._frames.append(_Seen(at_s, look))
            fresh = False
        elif at_s - last.at_s > NEAR_S:
            fresh = self._see_apart(last, at_s, look)
        else:
            fresh = self._see_near(last, at_s, look)
        return self._see_dark(at_s, look) or fresh

    def finish(self) -> None:
        """Decide on what is open: no frame follows."""
        for at_s in self._open:
            self._decide(at_s)
        self._open.clear()

    def _see_apart(self, last: _Seen, at_s: float, look: Signature) -> bool:
        self.finish()
        self._dissolves.forget()
        found = at_s == self._chosen_s or self._another(last.look, look, self._usual())
        if not found:
            self._apart.append(differing(last.look, look))
        self._frames.clear()
        self._frames.append(_Seen(at_s, look))
        return found and not is_black(last.look) and not is_black(look) and self._cut(at_s)

    def _usual(self) -> float:
        """Return how much usually changes between frames between which nothing was looked at and no shot began."""
        if self._doubt is not None:
            first_s, last_s, change = self._doubt
            self._doubt = None
            if not any(first_s < cut_s <= last_s for cut_s in (*self.cuts_s[-_AROUND:], *self._open)):
                self._apart.append(change)
        return median(self._apart) if self._apart else 0.0

    def _another(self, before: Signature, look: Signature, usual: float) -> bool:
        """Return whether two frames between which nothing was looked at are likely to be of two shots."""
        least = max(LEAST_APART, ABOVE_APART * usual)
        return differing(before, look) >= least and agreement(before, look) < ALIKE_APART

    def _see_near(self, last: _Seen, at_s: float, look: Signature) -> bool:
        change, apart_s = differing(last.look, look), at_s - last.at_s
        usual = median([one.speed for one in self._frames][-_AROUND:]) if len(self._frames) > 2 else 0.0
        self._frames.append(_Seen(at_s, look, change, change / apart_s))
        fresh = change >= max(LEAST, ABOVE * usual * apart_s) and not is_black(look)
        if fresh:
            self._open.append(at_s)
        while self._open and self._since(self._open[0]) >= FLASH_FRAMES:
            if self._decide(self._open.pop(0)):
                self._dissolves.forget(self.cuts_s[-1])
        half_s = self._dissolves.see(at_s, look)
        if half_s is not None and not self._open:
            self._cut(max(half_s, self._handed_s))
        return fresh

    def _see_dark(self, at_s: float, look: Signature) -> bool:
        """Take note of darkness; return whether it just gave way to another shot."""
        if is_black(look):
            if not self._dark_s >= self._lit_s:
                self._dark_s = at_s
            return False
        came = self._dark_s > self._lit_s and at_s - self._dark_s >= BLACK_S and self._cut(at_s)
        self._lit_s = at_s
        return came

    def _since(self, at_s: float) -> int:
        """Return how many frames came after the one at a time."""
        return sum(one.at_s > at_s for one in self._frames)

    def _decide(self, at_s: float) -> bool:
        """Say whether what changed at a time was a cut, knowing what came after; record it."""
        frames = list(self._frames)
        place = next(i for i, one in enumerate(frames) if one.at_s == at_s)
        if np.isnan(self._lit_s) or place == 0:
            return False
        change, apart_s = frames[place].change, at_s - frames[place - 1].at_s
        others = [one for one in frames[1:] if one.at_s not in (at_s, *self._open)]
        if others and change < ABOVE * median(one.speed for one in others) * apart_s:
            return False
        beside = [one for one in frames[max(1, place - 2) : place + 3] if one.at_s != at_s]
        if beside and change < ALONE * max(one.speed for one in beside) * apart_s:
            return False
        before = frames[max(0, place - FLASH_FRAMES - 1) : place]
        after = frames[place : place + FLASH_FRAMES + 1]
        lit = [one for one in before if not is_black(one.look)]
        if not lit:
            return False  # out of darkness, which is another matter
        if min(differing(a.look, b.look) for a, b in product(lit, after)) < max(LEAST / 2, change / 2):
            return False
        return agreement(lit[-1].look, after[-1].look) < ALIKE and self._cut(at_s)

    def _cut(self, at_s: float) -> bool:
        last_s = self.cuts_s[-1] if self.cuts_s else float("-inf")
        if at_s <= self._handed_s or at_s - last_s < MIN_SHOT_S:
            return False
        self.cuts_s.append(at_s)
        return True


class _Dissolves:
    """Finds dissolves among frames that follow one another; remembers a few seconds at ten frames a second."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._looks: list[Signature] = []
        self._gone: list[float] = []  # how much had changed until then, altogether

    def forget(self, until_s: float = float("inf")) -> None:
        """Forget what was shown before a time."""
        first = bisect_left(self._times, until_s)
        del self._times[:first], self._looks[:first], self._gone[:first]

    def see(self, at_s: float, look: Signature) -> float | None:
        """Take in a frame; return when a dissolve was half over, if one has just been seen to end."""
        if self._times and at_s - self._times[-1] < _TICK_S:
            return None
        self.forget(at_s - 1.5 * DISSOLVES_S[-1] - NEAR_S)
        self._gone.append(self._gone[-1] + differing(self._looks[-1], look) if self._looks else 0.0)
        self._times.append(at_s)
        self._looks.append(look)
        for lasts_s in DISSOLVES_S:
            if at_s - 1.5 * lasts_s < self._times[0]:
                break
            half_s = self._half_s(at_s - 1.25 * lasts_s, at_s - 0.25 * lasts_s, lasts_s / 4)
            if half_s is not None:
                self.forget(at_s - 0.25 * lasts_s)
                return half_s
        return None

    def _half_s(self, start_s: float, end_s: float, quarter_s: float) -> float | None:
        """Return when a dissolve between two times is half over; ``None`` when there is none."""
        first, last = self._place(start_s), self._place(end_s)
        if self._gone[last] - self._gone[first] < DISSOLVE_LEAST:
            return None
        a, b = self._looks[first], self._looks[last]
        whole = differing(a, b)
        if whole < DISSOLVE_LEAST or is_black(a) or is_black(b) or agreement(a, b) > DISSOLVE_ALIKE:
            return None
        outside = (self._looks[self._place(start_s - quarter_s)], a), (b, self._looks[-1])
        if max(differing(*pair) for pair in outside) > SETTLED * whole:
            return None
        ramp = (b - a).ravel()
        square = float(ramp @ ramp)
        shares, times = [0.0], [self._times[first]]
        for quarter in (1, 2, 3):
            place = self._place(start_s + quarter * quarter_s)
            gone = (self._looks[place] - a).ravel()
            share = float(gone @ ramp) / square
            if float(np.linalg.norm(gone - share * ramp)) > MIXED * square**0.5 or share <= shares[-1] - 0.05:
                return None
            shares.append(share)
            times.append(self._times[place])
        if not 0.1 < shares[2] < 0.9 or shares[3] > 1.1:
            return None
        return float(np.interp(0.5, [*shares, 1.0], [*times, self._times[last]]))

    def _place(self, at_s: float) -> int:
        """Return the frame nearest to a time."""
        place = min(bisect_left(self._times, at_s), len(self._times) - 1)
        earlier = place > 0 and at_s - self._times[place - 1] <= self._times[place] - at_s
        return place - 1 if earlier else place


def differing(a: Signature, b: Signature) -> float:
    """Return how much two frames differ, 0-255: the mean over the cells that are not dark in both, as letterbox is."""
    apart = np.abs(a - b)
    cells = np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2])
    shown = np.maximum(a[..., 0], b[..., 0]) > _SHADE
    return float((cells * shown).sum()) / max(int(np.count_nonzero(shown)), _FEWEST_CELLS)


def agreement(a: Signature, b: Signature) -> float:
    """Return how well lights and darks of two frames agree, -1 to 1, whatever the light; 0 where one is plain.

    Cells that are dark in both do not count.
    """
    shown = np.maximum(a[..., 0], b[..., 0]) > _SHADE
    if np.count_nonzero(shown) < 2:
        return 0.0
    x, y = a[shown, 0], b[shown, 0]
    x, y = x - x.mean(), y - y.mean()
    if min(x.std(), y.std()) < _FLAT:
        return 0.0
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))
