"""Which packets of a video are decoded: of a short group of pictures the keyframe alone will do, if nothing is hidden.

Packets of a group (a keyframe and what builds on it) wait undecoded until it is known whether the group must be decoded
whole: because it is long, or because there may be a cut within. So a video with a keyframe each two seconds costs one
decoded frame each two seconds, and memory holds no more than a few seconds of packets.
"""

from collections.abc import Callable, Iterable, Iterator

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from retrieval.config import Sampling
from retrieval.media.frames import next_tick

THREADS = 1
"""Decoding threads of one video: files are decoded side by side, and with more a damaged one differs each time."""
MAX_PIXELS = 8192 * 8192
"""The largest frame that is decoded."""
ERRORS = (av.FFmpegError, OSError, ValueError, RuntimeError, MemoryError, EOFError)
HEAVY, HEAVY_KEYFRAME = 1.7, 0.15
"""A packet that large, as multiples of nearly all others of its group and of the keyframe, may begin another shot."""
EARLY = 0.9
"""A keyframe that comes before this share of the longest time between two was set where the picture changed."""
_DENSE_FPS = 8
_WAITING_BYTES = 48_000_000


class Decoder:
    """A decoder that outlives damage: what it cannot decode is told to ``damaged`` and skipped."""

    def __init__(self, stream: VideoStream, damaged: Callable[[BaseException], None]) -> None:
        self._codec = stream.codec_context
        self._codec.thread_count = THREADS
        self._damaged = damaged

    def feed(self, packet: "Packet[VideoStream] | None") -> Iterator[VideoFrame]:
        """Yield the frames that come out for a packet; ``None`` drains the decoder and makes it ready again."""
        try:
            frames = self._codec.decode(packet)
        except ERRORS as error:
            if not isinstance(error, av.EOFError):
                self._damaged(error)
            frames = []
        yield from (frame for frame in frames if not frame.is_corrupt and frame.width * frame.height <= MAX_PIXELS)
        if packet is None:
            self._codec.flush_buffers()

    def skip_unreferenced(self, skip: bool) -> None:
        """Leave out frames that no other builds on: nearly half the work where there are many."""
        self._codec.skip_frame = "NONREF" if skip else "DEFAULT"


class Groups:
    """Decides for each group of pictures whether its keyframe will do.

    A group that is not decoded for its length still is if one of its packets is so large that it may begin another
    shot, or if ``suspects`` says so, being told the next keyframe and whether that came early. Up to ``dense_s``
    seconds everything is decoded. Some frames come out twice.
    """

    def __init__(
        self, decoder: Decoder, sampling: Sampling, suspects: Callable[[VideoFrame, bool], bool], dense_s: float = 0.0
    ) -> None:
        self._decoder, self._sampling, self._suspects, self._dense_s = decoder, sampling, suspects, dense_s
        self._waiting: list[Packet[VideoStream]] = []
        self._waiting_bytes = 0
        self._shown = False  # whether the keyframe of the group that waits has been decoded
        self._whole = sampling.mode == "all"  # whether the decoder is in the middle of decoding everything
        self._need_s = 0.0  # when the current group, being longer, must be decoded
        self._began_s = self._longest_s = 0.0  # when the current group began, and how long the longest was
        self._came_s = 0.0  # how far the packets were when the last frame came out

    def frames(self, packets: "Iterable[tuple[float, Packet[VideoStream]]]") -> Iterator[VideoFrame]:
        """Yield the frames that are worth decoding, of packets with their times."""
        decide = self._sampling.mode != "all"
        for at_s, packet in packets:
            if decide and packet.is_keyframe:
                yield from self._next_group(at_s, packet)
            elif decide and self._waiting:
                yield from self._grow(at_s, packet)
            elif self._whole or not decide:
                yield from self._decode(at_s, packet)
        last = self._waiting
        yield from self._close()
        if len(last) > 1 and _heavy(last):
            yield from self._decoded(last)
        yield from self._decoder.feed(None)

    def _next_group(self, at_s: float, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        before = self._waiting
        yield from self._close()
        self._shown = bool(before)
        if before:
            frames = list(self._alone(packet))
            if len(before) > 1 and (_heavy(before) or self._hides(at_s, frames)):
                yield from self._decoded(before)
            yield from frames
        self._longest_s = max(self._longest_s, at_s - self._began_s)
        self._began_s = at_s
        self._waiting, self._waiting_bytes = [packet], 0
        if at_s < self._dense_s:
            self._need_s = float("-inf")
        elif self._sampling.mode == "auto":
            self._need_s = at_s + self._sampling.max_gap_s
        elif self._sampling.mode == "every":
            self._need_s = next_tick(at_s, self._sampling.every_s)
        else:
            self._need_s = float("inf")

    def _hides(self, at_s: float, frames: "list[VideoFrame]") -> bool:
        early = at_s - self._began_s < EARLY * self._longest_s
        return any(self._suspects(frame, early) for frame in frames[:1])

    def _close(self) -> Iterator[VideoFrame]:
        """Show the keyframe of a group that stayed short, unless it was shown."""
        if self._waiting and not self._shown:
            yield from self._alone(self._waiting[0])
        self._waiting = []

    def _alone(self, keyframe: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        if self._whole:
            yield from self._decoder.feed(None)
            self._whole = False
        self._decoder.skip_unreferenced(False)
        yield from self._decoded([keyframe])

    def _decoded(self, packets: "list[Packet[VideoStream]]") -> Iterator[VideoFrame]:
        for packet in (*packets, None):
            yield from self._decoder.feed(packet)

    def _grow(self, at_s: float, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        if self._sampling.mode == "keyframes":
            return
        self._waiting.append(packet)
        self._waiting_bytes += packet.size
        if at_s > self._need_s or self._waiting_bytes > _WAITING_BYTES:
            waiting, self._waiting = self._waiting, []
            self._whole = True
            many = len(waiting) > _DENSE_FPS * self._sampling.max_gap_s
            self._decoder.skip_unreferenced(many and self._sampling.mode == "auto")
            self._came_s = at_s
            for each in waiting:
                yield from self._decode(at_s, each)

    def _decode(self, at_s: float, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        for frame in self._decoder.feed(packet):
            self._came_s = at_s
            yield frame
        if at_s - self._came_s > self._sampling.max_gap_s / 2:  # nothing builds on anything here
            self._decoder.skip_unreferenced(False)


def _heavy(group: "list[Packet[VideoStream]]") -> bool:
    """Return whether a packet is so large, among those that build on the keyframe, that it may begin another shot."""
    sizes = sorted(packet.size for packet in group[1:])
    nearly_all = sizes[(len(sizes) * 9 - 1) // 10 - 1] if len(sizes) > 2 else sizes[0]
    return sizes[-1] > max(HEAVY * nearly_all, HEAVY_KEYFRAME * group[0].size)
