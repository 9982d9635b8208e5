"""Videos, by PyAV: frames with their real times, turned as they are shown; opened here alone.

A frame's time is its presentation time stamp minus the start of the file; no frame rate is assumed. Packets are read
once, in order. Those of a group of pictures (a keyframe and what builds on it) wait undecoded until it is known whether
the keyframe alone will do or the group must be decoded: so a video with a keyframe each two seconds costs one decoded
frame each two seconds, and memory holds no more than a few seconds of packets.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import IO

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from retrieval.config import Sampling
from retrieval.errors import MediaError
from retrieval.media.container_tags import read_container
from retrieval.media.frames import Sieve, next_tick
from retrieval.media.reasons import clock, reason
from retrieval.media.screen import Screen
from retrieval.types import MediaInfo, Pixels

MAX_PIXELS = 8192 * 8192
"""The largest frame that is decoded."""
THREADS = 1
"""Decoding threads of one video: files are decoded side by side, and with more a damaged one differs each time."""
_DENSE_FPS = 8
_WAITING_BYTES = 48_000_000
_READ_BYTES = 1 << 18
_DEMUXER_ERRORS = 8
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h263,h264,hevc,av1,obu,ivf,vc1,asf,flv,live_flv,"
    "ogg,mxf,rm,yuv4mpegpipe,dv,gxf,nut,nsv,wtv,roq,bink,smk,swf,amv,dxa,mjpeg,mjpeg_2000,apng,wav,mp3,aac,ac3,flac,"
    "aiff,caf,au,amr,ape,wv,tta,dts,eac3,w64"
)
"""What is tried: formats that hold their own data. Playlists, which name other files or addresses, are not."""

_OPTIONS = {"format_whitelist": _DEMUXERS, "export_xmp": "1"}

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
ERRORS = (av.FFmpegError, OSError, ValueError, RuntimeError, MemoryError, EOFError)


class VideoReader:
    """A video file; its first frame is decoded when it is opened, the others as they are asked for.

    ``info.duration_s`` is what the container says, and what was measured once the frames have been read.
    """

    def __init__(self, file: IO[bytes], suffix: str, sampling: Sampling, target: int) -> None:
        """Open the container and decode up to the first frame.

        Raises:
            NotVideo: no demuxer knows the content.
            MediaError: a video, but none of its frames can be decoded, or there is sound only.
        """
        self.notes: list[str] = []
        self._file, self._sampling, self._target = file, sampling, target
        self._clock = Clock()
        container, stream = open_container(file)
        with container:
            declared_s, name = _declared_s(container, stream), _format(container, stream, suffix)
            said = read_container(container.metadata)
            self.info = MediaInfo("video", 0, 0, declared_s, said.taken_at, name, said.details)
        self._begun: tuple[tuple[float, Pixels], Iterator[tuple[float, Pixels]]] | None = self._begin()

    def _begin(self) -> tuple[tuple[float, Pixels], Iterator[tuple[float, Pixels]]]:
        # Some streams have no keyframe that decodes by itself: everything is decoded before giving up.
        for sparing in (True, False):
            self.notes.clear()
            frames = self._read(sparing=sparing)
            for first in frames:
                return first, frames
        why = self.notes[0].rpartition("(")[2].rstrip(")") if self.notes else "no keyframe"
        raise MediaError(f"no frame of this video can be decoded: {why}")

    def frames(self) -> Iterator[tuple[float, Pixels]]:
        """Yield frames that may be of interest to ``sampling``, with their times in seconds, in order of showing."""
        (first, rest), self._begun = self._begun or self._begin(), None
        yield first
        yield from rest
        self._conclude()

    def at(self, times_s: Sequence[float]) -> Iterator[Pixels]:
        """Yield what is shown at each of the times, in seconds, ascending; found by seeking."""
        from retrieval.media.seeking import frames_at

        self._begun = None
        return frames_at(self._file, times_s, self._target)

    def end_s(self) -> float | None:
        """Return when the video ends in seconds; measured when the container does not say or says too much."""
        return self.info.duration_s

    def close(self) -> None:
        """Stop decoding and close the file."""
        self._begun = None
        self._file.close()

    def _read(self, *, sparing: bool) -> Iterator[tuple[float, Pixels]]:
        self._file.seek(0)
        container, stream = open_container(self._file)
        with container:
            self._clock = Clock.of(container, stream)
            decoder = _Decoder(stream, self.notes, self._clock)
            groups = _Groups(decoder, self._sampling if sparing else Sampling("all"))
            sieve = Sieve(self._sampling)
            screen: Screen | None = None
            for frame in groups.frames(_packets(container, stream, self._clock, self.notes)):
                at_s = self._clock.shown_s(frame)
                if not sieve.passes(at_s, bool(frame.key_frame)):
                    continue
                if screen is None:
                    screen = screen_of(stream, frame)
                    width, height = screen.size(frame.width, frame.height)
                    self.info = self.info._replace(width=width, height=height)
                yield at_s, pixels_of(frame, screen, self._target)

    def _conclude(self) -> None:
        declared_s, seen_s = self.info.duration_s, self._clock.end_s
        if declared_s is None or declared_s <= 0:
            self.info = self.info._replace(duration_s=seen_s)
        elif declared_s - seen_s > max(1.0, 0.02 * declared_s) and self._clock.complete:
            self.notes.append(f"ends at {clock(seen_s)} instead of {clock(declared_s)}: kept what decodes")
            self.info = self.info._replace(duration_s=seen_s)
        elif seen_s > declared_s:
            self.info = self.info._replace(duration_s=seen_s)


class Clock:
    """Turns time stamps into seconds from the start, and remembers how far the packets reached."""

    def __init__(self, base: Fraction = Fraction(1, 1000), start_s: float = 0.0, complete: bool = False) -> None:
        self.base, self.start_s, self.complete = base, start_s, complete
        self.end_s = 0.0
        self._last_s = 0.0

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> "Clock":
        """Return the clock of an open file: 0 is where its first stream begins."""
        base = stream.time_base or Fraction(1, av.time_base)
        started: int | None = container.start_time
        start_s = float((stream.start_time or 0) * base) if started is None else started / av.time_base
        # Whether the declared duration is that of the pictures, so that a shortfall means something is missing.
        return cls(base, start_s, stream.duration is not None or len(container.streams) == 1)

    def packet_s(self, packet: "Packet[VideoStream]") -> float:
        """Return when what a packet holds is shown; one without a time stamp counts as the one before."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return self._last_s
        at_s = max(0.0, float(stamp * self.base) - self.start_s)
        self.end_s = max(self.end_s, at_s + float((packet.duration or 0) * self.base))
        return at_s

    def shown_s(self, frame: VideoFrame) -> float:
        """Return when a frame is shown; one without a time stamp follows the one before by a hair."""
        stamp = frame.pts if frame.pts is not None else frame.dts
        at_s = self._last_s + 0.001 if stamp is None else float(stamp * self.base) - self.start_s
        self._last_s = at_s = max(0.0, at_s)
        self.end_s = max(self.end_s, at_s)
        return at_s


class _Decoder:
    """A decoder that outlives damage: what it cannot decode is noted once and skipped."""

    def __init__(self, stream: VideoStream, notes: list[str], clock_: Clock) -> None:
        self._codec = stream.codec_context
        self._codec.thread_count = THREADS
        self._notes, self._clock = notes, clock_

    def feed(self, packet: "Packet[VideoStream] | None") -> Iterator[VideoFrame]:
        """Yield the frames that come out for a packet; ``None`` drains the decoder and makes it ready again."""
        try:
            frames = self._codec.decode(packet)
        except ERRORS as error:
            if not isinstance(error, av.EOFError):
                _note_damage(self._notes, self._clock, error)
            frames = []
        yield from (frame for frame in frames if not frame.is_corrupt and frame.width * frame.height <= MAX_PIXELS)
        if packet is None:
            self._codec.flush_buffers()

    def skip_unreferenced(self, skip: bool) -> None:
        """Leave out frames that no other builds on: nearly half the work where there are many."""
        self._codec.skip_frame = "NONREF" if skip else "DEFAULT"


class _Groups:
    """Decides for each group of pictures whether its keyframe will do."""

    def __init__(self, decoder: _Decoder, sampling: Sampling) -> None:
        self._decoder, self._sampling = decoder, sampling
        self._waiting: list[Packet[VideoStream]] = []
        self._waiting_bytes = 0
        self._whole = sampling.mode == "all"  # whether the decoder is in the middle of decoding everything
        self._need_s = 0.0  # when the current group, being longer, must be decoded
        self._came_s = 0.0  # how far the packets were when the last frame came out

    def frames(self, packets: "Iterator[tuple[float, Packet[VideoStream]]]") -> Iterator[VideoFrame]:
        decide = self._sampling.mode != "all"
        for at_s, packet in packets:
            if decide and packet.is_keyframe:
                yield from self._keyframe_alone()
                self._begin(at_s, packet)
            elif decide and self._waiting:
                yield from self._grow(at_s, packet)
            elif self._whole or not decide:
                yield from self._decode(at_s, packet)
        yield from self._keyframe_alone()
        yield from self._decoder.feed(None)

    def _begin(self, at_s: float, packet: "Packet[VideoStream]") -> None:
        self._waiting, self._waiting_bytes = [packet], 0
        if self._sampling.mode == "auto":
            self._need_s = at_s + self._sampling.max_gap_s
        elif self._sampling.mode == "every":
            self._need_s = next_tick(at_s, self._sampling.every_s)
        else:
            self._need_s = float("inf")

    def _grow(self, at_s: float, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        if self._sampling.mode == "keyframes":
            return
        self._waiting.append(packet)
        self._waiting_bytes += packet.size
        if at_s > self._need_s or self._waiting_bytes > _WAITING_BYTES:
            waiting, self._waiting = self._waiting, []
            if not self._whole:
                yield from self._decoder.feed(None)
                self._whole = True
            dense = len(waiting) > _DENSE_FPS * self._sampling.max_gap_s
            self._decoder.skip_unreferenced(dense and self._sampling.mode == "auto")
            self._came_s = at_s
            for each in waiting:
                yield from self._decode(at_s, each)

    def _decode(self, at_s: float, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        for frame in self._decoder.feed(packet):
            self._came_s = at_s
            yield frame
        if at_s - self._came_s > self._sampling.max_gap_s / 2:  # nothing builds on anything here
            self._decoder.skip_unreferenced(False)

    def _keyframe_alone(self) -> Iterator[VideoFrame]:
        if not self._waiting:
            return
        keyframe, self._waiting = self._waiting[0], []
        if self._whole:
            yield from self._decoder.feed(None)
            self._whole = False
        yield from self._decoder.feed(keyframe)


class NotVideo(Exception):
    """No demuxer knows the content."""


def open_container(file: IO[bytes]) -> tuple[InputContainer, VideoStream]:
    """Open a file, wherever it is at, with the stream of pictures that a player would show.

    Raises:
        NotVideo: no demuxer knows the content.
        MediaError: there are no pictures, no decoder for them, or they are too large.
    """
    try:
        container = av.open(file, "r", metadata_errors="replace", buffer_size=_READ_BYTES, options=dict(_OPTIONS))
    except ERRORS as error:
        raise NotVideo(reason(error)) from None
    streams = [s for s in container.streams.video if not s.disposition & _STILL]
    if not streams:
        sound = bool(container.streams.audio)
        container.close()
        raise MediaError("holds sound but no pictures" if sound else "holds no pictures")
    decodable = [s for s in streams if getattr(s, "codec_context", None) is not None]
    if not decodable:
        container.close()
        raise MediaError("there is no decoder for this kind of video")
    stream = max(decodable, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))
    if stream.width * stream.height > MAX_PIXELS:
        container.close()
        raise MediaError(f"too large: {stream.width} x {stream.height} pixels")
    return container, stream


_STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def _packets(
    container: InputContainer, stream: VideoStream, clock_: Clock, notes: list[str]
) -> "Iterator[tuple[float, Packet[VideoStream]]]":
    """Yield packets with their times; goes on behind a damaged stretch where the demuxer can."""
    for _ in range(_DEMUXER_ERRORS):
        try:
            for packet in container.demux(stream):
                if packet.size:
                    yield clock_.packet_s(packet), packet
            return
        except ERRORS as error:
            _note_damage(notes, clock_, error)


def _note_damage(notes: list[str], clock_: Clock, error: BaseException) -> None:
    if not any(note.startswith("damaged") for note in notes):
        notes.append(f"damaged after {clock(clock_.end_s)}: kept what decodes ({reason(error)})")


def _declared_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None and stream.duration > 0:
        return float(stream.duration * stream.time_base)
    if container.duration is None or container.duration <= 0:
        return None
    declared_s = container.duration / av.time_base
    if "matroska" in container.format.name and container.start_time:
        declared_s -= container.start_time / av.time_base  # Matroska counts from 0, not from its first frame
    return declared_s if declared_s > 0 else None


def _format(container: InputContainer, stream: VideoStream, suffix: str) -> str:
    names = container.format.name.split(",")
    name = suffix.lstrip(".").lower()
    return f"{name if name in names else names[0]}/{stream.codec_context.name}"


def screen_of(stream: VideoStream, frame: VideoFrame) -> Screen:
    """Read how frames are shown from the first one alone: a frame whose side data was looked at is freed late."""
    side = frame.side_data.get("DISPLAYMATRIX")
    return Screen.of(float(stream.sample_aspect_ratio or 1), b"" if side is None else bytes(side))  # type: ignore[call-overload]


def pixels_of(frame: VideoFrame, screen: Screen, target: int) -> Pixels:
    """Return a frame as it is shown; its shorter side is at most twice ``target``."""
    width, height = screen.scaled(frame.width, frame.height, 2 * target)
    clear = any(component.is_alpha for component in frame.format.components)
    colours = Colorspace.ITU709 if _is_hd(frame) else None
    scaled = frame.reformat(
        width, height, "rgba" if clear else "rgb24", src_colorspace=colours, interpolation="AREA", threads=1
    ).to_ndarray()
    if clear:
        alpha = scaled[..., 3:].astype(np.uint16)
        scaled = (scaled[..., :3] * alpha + 255 * (255 - alpha)) // 255
    return np.ascontiguousarray(screen.turned(scaled.astype(np.uint8, copy=False)))


def _is_hd(frame: VideoFrame) -> bool:
    """Return whether a frame that does not name its colours has those of high definition, as players assume."""
    return frame.colorspace == _UNSPECIFIED and min(frame.width, frame.height) >= 720 and not frame.format.is_rgb
