"""Videos, by PyAV: frames with their real times, turned as they are shown; opened here alone.

A frame's time is its presentation time stamp minus the start of the file; no frame rate is assumed. Packets are read
once, in order; ``groups`` says which of them are decoded.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import chain
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
from retrieval.media.frames import GRID, Frame, Sieve, Signature, signature
from retrieval.media.groups import ERRORS, MAX_PIXELS, Decoder, Groups
from retrieval.media.planes import Planes, signature_of
from retrieval.media.reasons import clock, reason
from retrieval.media.screen import Screen
from retrieval.media.track import APART_S, DENSE_S, Watch, in_shots
from retrieval.messages import N_
from retrieval.types import MediaInfo, Pixels

MAX_DENSE_S = 120.0
"""How much of a video, in seconds, has a dense track."""
TICK_S = 0.12
"""So far apart, in seconds, are the frames that are looked at for shots; those between only where these differ."""
MAX_PASSED = 8
"""How many frames are passed over at most before one is looked at; they are held in case they matter."""
_READ_BYTES = 1 << 18
_DEMUXER_ERRORS = 8
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h263,h264,hevc,av1,obu,ivf,vc1,asf,flv,live_flv,"
    "ogg,mxf,rm,yuv4mpegpipe,dv,gxf,nut,nsv,wtv,roq,bink,smk,swf,amv,dxa,mjpeg,mjpeg_2000,apng,wav,mp3,aac,ac3,flac,"
    "aiff,caf,au,amr,ape,wv,tta,dts,eac3,w64"
)
"""What is tried: formats that hold their own data. Playlists, which name other files or addresses, are not."""

_OPTIONS = {"format_whitelist": _DEMUXERS, "export_xmp": "1"}

_BT709, _UNSPECIFIED, _BT2020 = 1, 2, (9, 10)  # AVCOL_SPC_
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_PLANAR = re.compile(r"yuv(j?)4\d\dp(?:(10|12)le)?")
_Timed = tuple[float, VideoFrame]


class VideoReader:
    """A video file; its first frame is decoded when it is opened, the others as they are asked for.

    ``info.duration_s`` is what the container says, and what was measured once the frames have been read.
    """

    def __init__(self, file: IO[bytes], suffix: str, sampling: Sampling, target: int, dense: bool = False) -> None:
        """Open the container and decode up to the first frame; ``dense`` asks for a closer track of its beginning.

        Raises:
            NotVideo: no demuxer knows the content.
            MediaError: a video, but none of its frames can be decoded, or there is sound only.
        """
        self.notes: list[str] = []
        self._file, self._sampling, self._target, self._dense = file, sampling, target, dense
        self._clock = Clock()
        self._screen: Screen | None = None
        # Opening decodes a little of each stream, so the first who reads takes what was opened here.
        self._opened: tuple[InputContainer, VideoStream] | None = open_container(file)
        container, stream = self._opened
        declared_s, name = _declared_s(container, stream), _format(container, stream, suffix)
        said = read_container(container.metadata)
        self.info = MediaInfo("video", 0, 0, declared_s, said.taken_at, name, said.details)
        self._begun: tuple[Frame[Pixels] | None, Iterator[Frame[Pixels] | None]] | None = self._begin()

    def _begin(self) -> "tuple[Frame[Pixels] | None, Iterator[Frame[Pixels] | None]]":
        # Some streams have no keyframe that decodes by itself: everything is decoded before giving up.
        for sparing in (True, False):
            self.notes.clear()
            frames = self._read(sparing=sparing)
            for first in frames:
                return first, frames
        why = self.notes[0].rpartition("(")[2].rstrip(")") if self.notes else N_("no keyframe")
        raise MediaError(N_("no frame of this video can be decoded: {reason}").format(reason=why))

    @property
    def cuts_s(self) -> Sequence[float]:
        """When other shots begin, in seconds, as far as the frames have been read."""
        return self._watch.shots.cuts_s

    def frames(self) -> Iterator[Frame[Pixels]]:
        """Yield frames that may be of interest to ``sampling``, in order of showing; then ``info`` is complete."""
        (first, rest), self._begun = self._begun or self._begin(), None
        yield from in_shots(chain((first,), rest), self._watch)
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

    def _read(self, *, sparing: bool) -> Iterator[Frame[Pixels] | None]:
        """Yield frames worth a look, and nothing for those that are only seen by the watch."""
        opened, self._opened = self._opened, None
        if opened is None:
            self._file.seek(0)
            opened = open_container(self._file)
        container, stream = opened
        with container:
            self._clock = Clock.of(container, stream)
            self._watch = Watch(DENSE_S if self._dense else APART_S)
            self._screen = None
            for passed, at_s, frame, wanted in self._looked_at(self._decoded(container, stream, sparing)):
                look = look_of(frame, self._shown(stream, frame))
                if self._watch.shots.changes(look):
                    for before_s, before in passed:
                        shown = self._shown(stream, before)
                        yield self._seen(before_s, before, look_of(before, shown), shown)
                yield self._seen(at_s, frame, look, self._shown(stream, frame), wanted)

    def _looked_at(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[list[_Timed], float, VideoFrame, bool]]:
        """Yield each frame to look at with its time, after those passed over before it; and whether it may be kept."""
        sieve = Sieve(self._sampling)
        passed: list[_Timed] = []
        seen_s = looked_s = float("-inf")
        for frame in frames:
            at_s = self._clock.shown_s(frame)
            if at_s <= seen_s:
                continue
            seen_s = at_s
            wanted = sieve.passes(at_s, bool(frame.key_frame))
            if wanted or self._dense or at_s - looked_s >= TICK_S or len(passed) == MAX_PASSED:
                yield passed, at_s, frame, wanted
                passed, looked_s = [], at_s
            else:
                passed.append((at_s, frame))
        if passed:
            yield passed[:-1], *passed[-1], False

    def _seen(
        self, at_s: float, frame: VideoFrame, look: Signature, screen: Screen, wanted: bool = False
    ) -> Frame[Pixels] | None:
        fresh = self._watch.see(at_s, look)
        if not wanted and not (fresh and self._sampling.mode == "auto"):
            return None
        return Frame(at_s, look, pixels_of(frame, screen, self._target))

    def _decoded(self, container: InputContainer, stream: VideoStream, sparing: bool) -> Iterator[VideoFrame]:
        def suspects(frame: VideoFrame, early: bool) -> bool:
            if frame.pts is None:
                return False
            at_s = self._clock.seconds(frame.pts) - self._clock.start_s
            return self._watch.shots.suspects(at_s, look_of(frame, self._shown(stream, frame)), early)

        decoder = Decoder(stream, partial(_note_damage, self.notes, self._clock))
        sampling = self._sampling if sparing else Sampling("all")
        groups = Groups(decoder, sampling, suspects, MAX_DENSE_S if self._dense else 0.0)
        yield from groups.frames(_packets(container, stream, self._clock, self.notes))

    def _shown(self, stream: VideoStream, frame: VideoFrame) -> Screen:
        if self._screen is None:
            self._screen = screen_of(stream, frame)
            width, height = self._screen.size(frame.width, frame.height)
            self.info = self.info._replace(width=width, height=height)
        return self._screen

    def _conclude(self) -> None:
        self.info = self.info._replace(track=self._watch.track())
        declared_s, seen_s = self.info.duration_s, self._clock.end_s
        if declared_s is None or declared_s <= 0:
            self.info = self.info._replace(duration_s=seen_s)
        elif declared_s - seen_s > max(1.0, 0.02 * declared_s) and self._clock.complete:
            said = N_("ends at {time} instead of {declared}: kept what decodes")
            self.notes.append(said.format(time=clock(seen_s), declared=clock(declared_s)))
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

    def seconds(self, stamp: int) -> float:
        """Return how many seconds so many ticks are; whole numbers are quicker than fractions, and as exact."""
        return stamp * self.base.numerator / self.base.denominator

    def packet_s(self, packet: "Packet[VideoStream]") -> float:
        """Return when what a packet holds is shown; one without a time stamp counts as the one before."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return self._last_s
        at_s = max(0.0, self.seconds(stamp) - self.start_s)
        self.end_s = max(self.end_s, at_s + self.seconds(packet.duration or 0))
        return at_s

    def shown_s(self, frame: VideoFrame) -> float:
        """Return when a frame is shown; one without a time stamp follows the one before by a hair."""
        stamp = frame.pts if frame.pts is not None else frame.dts
        at_s = self._last_s + 0.001 if stamp is None else self.seconds(stamp) - self.start_s
        self._last_s = at_s = max(0.0, at_s)
        self.end_s = max(self.end_s, at_s)
        return at_s


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
        raise MediaError(N_("holds sound but no pictures") if sound else N_("holds no pictures"))
    decodable = [s for s in streams if getattr(s, "codec_context", None) is not None]
    if not decodable:
        container.close()
        raise MediaError(N_("there is no decoder for this kind of video"))
    stream = max(decodable, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))
    if stream.width * stream.height > MAX_PIXELS:
        container.close()
        raise MediaError(N_("too large: {width} x {height} pixels").format(width=stream.width, height=stream.height))
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
        said = N_("damaged after {time}: kept what decodes ({reason})")
        notes.append(said.format(time=clock(clock_.end_s), reason=reason(error)))


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


def look_of(frame: VideoFrame, screen: Screen) -> Signature:
    """Return the signature of a frame as it is shown, without scaling all of it where its planes can be read."""
    planes = _planes(frame)
    if planes is None:
        return signature(pixels_of(frame, screen, GRID))
    return screen.turned(signature_of(planes))


def _planes(frame: VideoFrame) -> Planes | None:
    known = _PLANAR.fullmatch(frame.format.name)
    if (
        known is None
        or min(frame.width, frame.height) < 2 * GRID
        or any(plane.line_size <= 0 for plane in frame.planes)
    ):
        return None
    bits = int(known[2] or 8)
    kind: np.dtype[np.unsignedinteger] = np.dtype("<u2" if bits > 8 else np.uint8)
    luma, blue, red = (
        np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)[
            : plane.height, : plane.width
        ]
        for plane in frame.planes
    )
    hd = _is_hd(frame) or frame.colorspace in (_BT709, *_BT2020)
    return Planes(luma, (blue, red), (1 << bits) - 1, bool(known[1]) or frame.color_range == _FULL_RANGE, hd)


def _is_hd(frame: VideoFrame) -> bool:
    """Return whether a frame that does not name its colours has those of high definition, as players assume."""
    return frame.colorspace == _UNSPECIFIED and min(frame.width, frame.height) >= 720 and not frame.format.is_rgb
