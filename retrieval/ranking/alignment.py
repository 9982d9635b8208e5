"""Where in a video an excerpt of it was taken from: aligning two tracks in order, by offset and speed. Pure arithmetic.

A look is 96 bytes (see ``types.Track``). What two looks share is told by the squared distance of their lights and
darks, taken as deviations from the mean and divided by their own contrast, so that brightness and contrast do not
matter. Each pair of a look of the excerpt and a look of the video votes, for each speed, for one offset (a Hough
transform, Duda and Hart, 1972, as it is used for video copies by Douze et al., 2010), and what an offset gets is the
mean distance of its pairs, drawn towards the usual one where they are few. The best are refined against the excerpt
interpolated between its looks. The same is tried for windows of the video's picture, since excerpts are cropped.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Track

Looks = NDArray[np.float32]
"""``(n, 96) float32``: looks prepared for comparison."""

SPEED = 1.25
"""How many times as fast as the video the excerpt may be, or as slow."""
ALIKE = 0.15
"""The mean squared distance up to which an excerpt is taken for one; 2 is that of looks that have nothing in common."""
VOTING_S, VOTING_LOOKS = 20.0, 128
"""So much of the middle of an excerpt, in seconds, votes, with so many looks."""
MOST_LOOKS = 2000
"""How many looks of an excerpt are compared in the end, taken evenly."""
MOST_PAIRS = 500_000
"""How many pairs of looks vote: of an excerpt fewer do, where the video is long."""
BIN_S = 0.1
"""How fine offsets are, in seconds, before they are refined."""
FINEST_S = 0.02
LONG = 8000
"""Videos with more looks than that are only compared with excerpts that show the whole picture or its middle."""
_FAINT, _PLAIN = 12.0, 6.0
_PRIOR, _PRIOR_ALIGNED = 2.0, 0.05
_CHANGED_SPEED = 0.05
_PEAKS, _REFINED = 6, 2
_MOST_SPEEDS = 21
_GAP_S = 0.5
_STILL = 6.0


class Aligned(NamedTuple):
    """A stretch of a video, in seconds, that an excerpt shows; ``speed`` is how much faster the excerpt is.

    ``apart`` is the mean squared distance of their looks: 0 is the same, 2 is nothing in common.
    """

    start_s: float
    end_s: float
    speed: float
    apart: float


class Window(NamedTuple):
    """A part of a picture, as shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Window(0.0, 0.0, 1.0, 1.0)
CENTRED = tuple(Window((1 - s) / 2, (1 - s) / 2, (1 + s) / 2, (1 + s) / 2) for s in (0.9, 0.8, 0.7))
OFF_CENTRE = tuple(
    Window(x * (1 - s), y * (1 - s), x * (1 - s) + s, y * (1 - s) + s)
    for s in (0.9, 0.8, 0.7)
    for y in (0.0, 0.5, 1.0)
    for x in (0.0, 0.5, 1.0)
    if (x, y) != (0.5, 0.5)
)
_SURE = 0.06


def align(excerpt: Track, video: Track) -> Aligned | None:
    """Return where ``excerpt`` was taken from ``video``; ``None`` when it is unlikely to have been.

    An excerpt that is plain nearly throughout has no place: there is nothing to tell it by.
    Memory stays below some 200 MB for the longest track that there is (see ``media.track.MAX_LOOKS``).

    The excerpt may be cropped, rescaled, recompressed, brighter or darker, and up to a quarter faster or slower. It
    may reach beyond the end of the video by a little.
    """
    if len(excerpt.at_s) < 2 or not len(video.at_s):
        return None
    if float(np.median(excerpt.signatures[:, :64].std(axis=1))) < _PLAIN:
        return None
    at_s, shown = densified(video)
    search = _Search(at_s, excerpt)
    best: Aligned | None = None
    for windows in (WHOLE,), CENTRED, OFF_CENTRE:
        if windows is OFF_CENTRE and len(at_s) > LONG:
            break
        found = search.best([prepared(windowed(shown, window)) for window in windows])
        best = found if best is None or found.apart < best.apart else best
        if best.apart < _SURE:
            break
    if best is None or best.apart > ALIKE:
        return None
    return best._replace(start_s=max(0.0, best.start_s), end_s=max(0.0, best.end_s))


def thinned(track: Track, most: int) -> Track:
    """Return at most ``most`` looks of a track, evenly from first to last."""
    if len(track.at_s) <= most:
        return track
    places = np.round(np.linspace(0, len(track.at_s) - 1, most)).astype(np.int64)
    return track._replace(at_s=track.at_s[places], signatures=track.signatures[places])


def _middle(track: Track, most_s: float) -> Track:
    """Return the looks of the middle of a track that lasts longer than so many seconds; at least two."""
    centre_s = float(track.at_s[0] + track.at_s[-1]) / 2
    low, high = np.searchsorted(track.at_s, (centre_s - most_s / 2, centre_s + most_s / 2 + 1e-6)).tolist()
    low, high = (low, high) if high - low >= 2 else (max(0, low - 1), high + 1)
    return track._replace(at_s=track.at_s[low:high], signatures=track.signatures[low:high])


def densified(track: Track) -> tuple[NDArray[np.float64], Looks]:
    """Return times ``(n,)`` and looks ``(n, 96)`` of a track, filled in where nothing changed between two."""
    at_s, looks = track.at_s, track.signatures.astype(np.float32)
    if len(at_s) < 2:
        return at_s, looks
    gaps = np.diff(at_s)
    still = (gaps > _GAP_S) & (np.abs(np.diff(looks, axis=0)).mean(axis=1) < _STILL)
    counts = np.where(still, np.ceil(gaps / _GAP_S), 1).astype(np.int64)
    base = np.repeat(np.arange(len(gaps)), counts)
    part = (np.arange(len(base)) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[base]
    times = np.append(at_s[base] + part * gaps[base], at_s[-1])
    share = part[:, None].astype(np.float32)
    between = looks[base] * (1 - share) + looks[base + 1] * share
    return times, np.concatenate([between, looks[-1:]])


def prepared(signatures: Looks) -> Looks:
    """Return looks as deviations from their mean light, divided by their contrast; lights and darks have length 1."""
    luma = signatures[:, :64] - signatures[:, :64].mean(axis=1, keepdims=True)
    contrast = np.maximum(np.sqrt((luma**2).mean(axis=1, keepdims=True)), _FAINT)
    chroma = signatures[:, 64:] - 128.0
    found: Looks = np.concatenate([luma / 8.0, chroma / 32.0**0.5], axis=1) / contrast
    return found


def windowed(signatures: Looks, window: Window) -> Looks:
    """Return what the signatures of a part of the picture would be."""
    if window == WHOLE:
        return signatures
    luma = np.kron(_resampling(8, window.top, window.bottom), _resampling(8, window.left, window.right))
    cells = np.kron(_resampling(4, window.top, window.bottom), _resampling(4, window.left, window.right))
    chroma = np.kron(cells, np.eye(2))
    found: Looks = np.concatenate(
        [signatures[:, :64] @ luma.T.astype(np.float32), signatures[:, 64:] @ chroma.T.astype(np.float32)], axis=1
    )
    return found


def _resampling(count: int, start: float, end: float) -> NDArray[np.float64]:
    """Return ``(count, count)``: of which old cells, in what shares, each new cell of the part consists."""
    edges = count * (start + (end - start) * np.arange(count + 1) / count)
    old = np.arange(count)
    low, high = np.maximum(edges[:-1, None], old), np.minimum(edges[1:, None], old + 1)
    inside = np.clip(high - low, 0.0, None)
    shares: NDArray[np.float64] = inside / inside.sum(axis=1, keepdims=True)
    return shares


class _Guess(NamedTuple):
    """A place to look at: the speed, the time in the video that the middle of the excerpt shows, and in what looks."""

    speed: float
    middle_s: float
    shown: Looks


class _Search:
    """Looks for the place of one excerpt among looks at ``at_s``, ``(n,)`` seconds."""

    def __init__(self, at_s: NDArray[np.float64], excerpt: Track) -> None:
        self._at_s = at_s
        whole = thinned(excerpt, MOST_LOOKS)
        self._asked_s, self._asked = whole.at_s, prepared(whole.signatures.astype(np.float32))
        self._middle_s = float(whole.at_s[0] + whole.at_s[-1]) / 2
        voting = thinned(_middle(excerpt, VOTING_S), max(8, min(VOTING_LOOKS, MOST_PAIRS // len(at_s))))
        self._voting_s, self._voting = voting.at_s, prepared(voting.signatures.astype(np.float32))
        self._lasts_s = float(whole.at_s[-1] - whole.at_s[0])
        lasts_s = float(voting.at_s[-1] - voting.at_s[0])
        count = int(np.clip(np.ceil(2 * np.log(SPEED) * lasts_s / 0.3), 2, _MOST_SPEEDS - 1)) // 2 * 2 + 1
        self._speeds = np.geomspace(1 / SPEED, SPEED, count)
        self._ratio = float(self._speeds[1] / self._speeds[0])
        self._bin_s = max(BIN_S, 0.25 * lasts_s * (self._ratio - 1))
        self._bins = [self._binned(speed) for speed in self._speeds.tolist()]

    def best(self, views: list[Looks]) -> Aligned:
        """Return the best place among views of the video's looks, each ``(n, 96)``, however bad."""
        found: list[tuple[float, _Guess]] = []
        usual = 2.0
        for shown in views:
            square = (shown**2).sum(axis=1)[:, None] + (self._voting**2).sum(axis=1)
            apart = np.maximum(square - 2.0 * shown @ self._voting.T, 0.0).ravel()
            usual = min(usual, float(np.median(apart)))
            for speed, (low, bins, counts) in zip(self._speeds.tolist(), self._bins, strict=True):
                sums = np.convolve(np.bincount(bins, weights=apart), _SPREAD, "same")
                votes = (sums + _PRIOR * usual) / (counts + _PRIOR)
                for place in np.argpartition(votes, min(_PEAKS, len(votes) - 1))[:_PEAKS].tolist():
                    found.append((float(votes[place]), _Guess(speed, low + (place + 0.5) * self._bin_s, shown)))
        found.sort(key=lambda one: one[0])
        tried = [self._refined(guess, usual, self._bin_s / 4) for _, guess in found[:_PEAKS]]
        tried.sort(key=lambda one: one[0].apart)
        finest = [self._refined(guess, usual, FINEST_S) for _, guess in tried[:_REFINED]]
        return min((one for one, _ in (*tried, *finest)), key=lambda one: one.apart)

    def _binned(self, speed: float) -> tuple[float, NDArray[np.int32], NDArray[np.float64]]:
        """Return for each pair which middle it votes for, in bins from the first on, and how many pairs bins have."""
        middles = (self._at_s[:, None] - speed * (self._voting_s - self._middle_s)).ravel()
        low = float(middles.min())
        bins = ((middles - low) / self._bin_s).astype(np.int32)
        return low, bins, np.convolve(np.bincount(bins).astype(np.float64), _SPREAD, "same")

    def _refined(self, guess: _Guess, usual: float, finest_s: float) -> tuple[Aligned, _Guess]:
        """Return the best place near a guess, to ``finest_s`` seconds."""
        best = self._measured(guess, usual), guess
        step_s, ratio = self._bin_s / 2, self._ratio**0.5
        while step_s >= finest_s or (ratio - 1) * self._lasts_s / 2 >= 4 * finest_s:
            _, centre = best
            for speed in (centre.speed / ratio, centre.speed, centre.speed * ratio):
                for middle_s in (centre.middle_s + step_s * np.arange(-2, 3)).tolist():
                    near = _Guess(float(np.clip(speed, 1 / SPEED, SPEED)), middle_s, guess.shown)
                    best = min(best, (self._measured(near, usual), near), key=lambda one: one[0].apart)
            step_s, ratio = step_s / 2, ratio**0.5
        return best

    def _measured(self, guess: _Guess, usual: float) -> Aligned:
        """Return how far apart the looks of the video are from those that the excerpt has at the same times."""
        asked_s = self._asked_s
        start_s = guess.middle_s + guess.speed * (float(asked_s[0]) - self._middle_s)
        end_s = guess.middle_s + guess.speed * (float(asked_s[-1]) - self._middle_s)
        low, high = np.searchsorted(self._at_s, (start_s - 1e-6, end_s + 1e-6))
        when = (self._at_s[low:high] - guess.middle_s) / guess.speed + self._middle_s
        after = np.clip(np.searchsorted(asked_s, when), 1, len(asked_s) - 1)
        share = (when - asked_s[after - 1]) / np.maximum(asked_s[after] - asked_s[after - 1], 1e-9)
        share = np.clip(share, 0.0, 1.0)[:, None].astype(np.float32)
        expected = self._asked[after - 1] * (1 - share) + self._asked[after] * share
        total = float(((guess.shown[low:high] - expected) ** 2).sum())
        apart = (total + _PRIOR_ALIGNED * usual) / (len(when) + _PRIOR_ALIGNED)
        return Aligned(start_s, end_s, guess.speed, apart + _CHANGED_SPEED * abs(float(np.log(guess.speed))))


_SPREAD = np.array([0.5, 1.0, 0.5])
