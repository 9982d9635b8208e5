"""Frames of a video at given times, found by seeking: a moment far into a film costs what one at its beginning does."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import IO

from av.video.frame import VideoFrame

from retrieval.errors import MediaError
from retrieval.media.frames import shown_at, straightened
from retrieval.media.groups import ERRORS, MAX_PIXELS
from retrieval.media.screen import Screen
from retrieval.media.video import Clock, open_container, pixels_of, screen_of
from retrieval.messages import N_
from retrieval.types import Pixels

APART_S = 1.0
"""Times farther apart than this are sought one by one; nearer ones are decoded through."""
_EARLIER_S = (0.0, 1.0, 12.0)
"""Containers seek by the time of decoding, which is before that of showing: what they find may be too late."""


def frames_at(file: IO[bytes], times_s: Sequence[float], target: int) -> Iterator[Pixels]:
    """Yield what is shown at each of the times, in seconds, ascending; the shorter side is at most twice ``target``.

    Where a container leads to a place behind the one that was asked for, the file is read from its beginning.

    Raises:
        MediaError: no frame can be decoded.
    """
    if not times_s:
        return
    with contextlib.closing(Seeker(file)) as seeker:
        screen: Screen | None = None
        for group in _groups(times_s):
            shown = 0
            for frame in shown_at(seeker.frames(group[0]), group):
                screen = screen or screen_of(seeker.stream, frame)
                yield pixels_of(frame, screen, target)
                shown += 1
            if shown < len(group):
                raise MediaError(N_("no frame of this video can be decoded"))


def _groups(times_s: Sequence[float]) -> Iterator[list[float]]:
    """Cut ascending times where they are far apart."""
    group: list[float] = []
    for at_s in times_s:
        if group and at_s - group[-1] > APART_S:
            yield group
            group = []
        group.append(at_s)
    yield group


class Seeker:
    """Decodes from the keyframe before a time on; ``stream`` is what is decoded."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._open()

    def _open(self) -> None:
        self._file.seek(0)
        self._container, self.stream = open_container(self._file)
        self.stream.thread_type = "AUTO"
        self._clock = Clock.of(self._container, self.stream)

    def close(self) -> None:
        """Close the container; the file stays open."""
        self._container.close()

    def frames(self, from_s: float) -> Iterator[tuple[float, VideoFrame]]:
        """Yield frames with their times, the first of them not later than ``from_s`` where there is such a one."""
        for earlier_s in _EARLIER_S:
            came = False
            for at_s, frame in straightened(self._decoded()) if self._seek(from_s - earlier_s) else ():
                if not came and at_s > from_s:
                    break  # the container led too far
                came = True
                yield at_s, frame
            if came:
                return
        self.close()
        self._open()
        yield from straightened(self._decoded())

    def _seek(self, at_s: float) -> bool:
        """Go to the keyframe before a time; return whether the container could."""
        try:
            offset = int((self._clock.start_s + max(0.0, at_s)) / self._clock.base)
            self._container.seek(offset, stream=self.stream, backward=True)
        except ERRORS:
            return False
        return True

    def _decoded(self) -> Iterator[tuple[float, VideoFrame]]:
        for packet in self._container.demux(self.stream):
            try:
                frames = packet.decode()
            except ERRORS:
                continue
            for frame in frames:
                if not frame.is_corrupt and frame.width * frame.height <= MAX_PIXELS:
                    yield self._clock.shown_s(frame), frame
