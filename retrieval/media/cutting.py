"""Cutting a stretch out of a video without decoding it: its packets are copied to a file of the same kind.

This is fast and changes nothing, but a copy can only begin at a keyframe: it begins at the one before the stretch.
``recoding`` cuts at the frame.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import IO, NamedTuple, Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from retrieval.errors import MediaError
from retrieval.media.groups import ERRORS
from retrieval.media.reasons import reason
from retrieval.media.video import NotVideo, open_container
from retrieval.messages import N_

SLACK_S = 0.0005
"""Times that differ by no more are the same: time stamps are rounded to the container's time base."""
_EARLIER_S = (0.0, 1.0, 4.0, 16.0, 64.0, 1e9)
_NO_KEYFRAME = N_("cannot be cut by copying: it has no keyframe to begin with")
_NOT_CUT = N_("cannot be cut by copying: {reason}")
_REORDERED_S = 1
"""How much later than it is decoded a picture is shown at most, where a container does not say when."""
_BEHIND_S = 5.0
"""How far behind the end sound is looked for that lies later in the file than its pictures."""
_CONTAINER_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})


class Target(Protocol):
    """What a clip is written to: a file that can go back to fill in what it left open."""

    def write(self, data: bytes, /) -> int:
        """Write at the present place."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place."""

    def tell(self) -> int:
        """Return the present place."""


class Form(NamedTuple):
    """A container to write: ffmpeg's name of it, and the ending of file names."""

    name: str
    suffix: str


class Cut(NamedTuple):
    """What a clip really shows of its source, in seconds."""

    start_s: float
    end_s: float


MP4 = Form("mp4", ".mp4")
_KEPT = {"mp4": MP4, "mov": Form("mov", ".mov"), "m4v": Form("mp4", ".m4v"), "webm": Form("webm", ".webm")}
_FORMS = {"mov": MP4, "matroska": Form("matroska", ".mkv"), "mpegts": Form("mpegts", ".ts"), "avi": Form("avi", ".avi")}


def form_of(file: IO[bytes], suffix: str) -> Form:
    """Return the container in which a copy of what ``file`` holds is written; ``suffix`` is how its name ends.

    Raises:
        MediaError: it is no video.
    """
    file.seek(0)
    try:
        container, _ = open_container(file)
    except NotVideo as error:
        raise MediaError(_NOT_CUT.format(reason=reason(error))) from None
    with container:
        names = container.format.name.split(",")
    kept = _KEPT.get(suffix.lower().lstrip("."))
    if kept is not None and kept.name in names:
        return kept
    return next((_FORMS[name] for name in names if name in _FORMS), _FORMS["matroska"])


def copy_packets(source: IO[bytes], target: Target, form: Form, start_s: float, end_s: float) -> Cut:
    """Copy what ``source`` shows and sounds from ``start_s`` to ``end_s`` (seconds) to ``target``.

    Time stamps stay as they are, counted from the beginning of the clip: the keyframe before ``start_s``, or at it.
    Pictures that are needed to decode those before ``end_s`` are there too, where an encoder put them later. How the
    pictures are turned is kept.

    Raises:
        MediaError: these packets cannot be written to such a container, or there are none.
    """
    source.seek(0)
    try:
        container, pictures = open_container(source)
        with container:
            origin = _Origin.of(container, pictures)
            first = _go_to_keyframe(container, pictures, origin, start_s)
            # Sound without a decoder cannot be told to be of a kind that the container may hold.
            sounds = [stream for stream in container.streams.audio if stream.codec_context is not None]
            with av.open(target, "w", format=form.name) as written:
                copying = _Copying(written, [pictures, *sounds], origin, first, end_s)
                return copying.run(container)
    except (NotVideo, *ERRORS) as error:
        raise MediaError(_NOT_CUT.format(reason=reason(error))) from None


class _Origin(NamedTuple):
    """What counts as time 0 of a file, in seconds."""

    start_s: Fraction

    @classmethod
    def of(cls, container: InputContainer, pictures: VideoStream) -> "_Origin":
        started: int | None = container.start_time
        if started is not None:
            return cls(Fraction(started, av.time_base))
        return cls((pictures.start_time or 0) * (pictures.time_base or Fraction(1)))

    def shown_s(self, stamp: int, base: Fraction) -> float:
        return float(stamp * base - self.start_s)

    def stamp(self, at_s: float, base: Fraction) -> int:
        return int((Fraction(at_s) + self.start_s) / base)


def _go_to_keyframe(container: InputContainer, pictures: VideoStream, origin: _Origin, start_s: float) -> int:
    """Go to the last keyframe that is not later than ``start_s``, else to the first one, or to somewhere before it.

    Returns its time stamp. Where a container leads is only near what was asked for: some know no keyframes, and all
    seek by the time of decoding, which is earlier than that of showing.
    """
    base = pictures.time_base or Fraction(1, av.time_base)
    wanted = origin.stamp(start_s + SLACK_S, base)
    for earlier_s in _EARLIER_S:
        offset = max(origin.stamp(start_s + SLACK_S - earlier_s, base), pictures.start_time or 0)
        container.seek(offset, stream=pictures, backward=True)
        found = _last_keyframe(container, pictures, wanted)
        if found is not None and (found <= wanted or offset == (pictures.start_time or 0)):
            container.seek(offset, stream=pictures, backward=True)
            return found
    raise MediaError(_NO_KEYFRAME)


def _last_keyframe(container: InputContainer, pictures: VideoStream, wanted: int) -> int | None:
    """Return the time stamp of the last keyframe from here on that is not later than ``wanted``, else of the first."""
    found: int | None = None
    for packet in container.demux(pictures):
        if not packet.size:
            continue
        stamp = packet.dts if packet.dts is not None else packet.pts
        if found is not None and stamp is not None and stamp > wanted:
            break
        if packet.is_keyframe and packet.pts is not None and (found is None or packet.pts <= wanted):
            found = packet.pts
    return found


class _Copying:
    """Hands packets on from one container to another, counted from the picture whose time stamp is ``first``."""

    def __init__(
        self, written: OutputContainer, streams: list[Stream], origin: _Origin, first: int, end_s: float
    ) -> None:
        self._pictures, self._first, self._end_s = streams[0], first, end_s
        self._origin, self._written = origin, written
        self._zero = first * (self._pictures.time_base or Fraction(1))
        self._end = Fraction(end_s - SLACK_S) + origin.start_s
        self._to = {stream.index: written.add_stream_from_template(stream) for stream in streams}
        for stream in streams:
            self._to[stream.index].metadata.update(stream.metadata)
        self._last = self._zero

    def run(self, container: InputContainer) -> Cut:
        """Copy until all streams have reached the end, or the pictures are well past it."""
        tags = {name: value for name, value in container.metadata.items() if name not in _CONTAINER_TAGS}
        self._written.metadata.update(tags)
        streams = [stream for stream in container.streams if stream.index in self._to]
        ended: set[int] = set()
        begun = False
        for packet in container.demux(streams):
            if not packet.size:
                continue
            is_picture = packet.stream.index == self._pictures.index
            begun = begun or (is_picture and packet.is_keyframe and packet.pts == self._first)
            if (begun or not is_picture) and not self._hand_on(packet, is_picture):
                ended.add(packet.stream.index)
            if len(ended) == len(streams) or (self._pictures.index in ended and self._is_far_behind(packet)):
                break
        if not begun:
            raise MediaError(_NO_KEYFRAME)
        return Cut(float(self._zero - self._origin.start_s), float(self._last - self._origin.start_s))

    def _is_far_behind(self, packet: "Packet[Stream]") -> bool:
        stamp = packet.dts if packet.dts is not None else packet.pts
        return stamp is not None and self._origin.shown_s(stamp, packet.time_base) > self._end_s + _BEHIND_S

    def _hand_on(self, packet: "Packet[Stream]", is_picture: bool) -> bool:
        """Write a packet that lies within; return whether more of its stream may follow."""
        if packet.pts is None:
            raise MediaError(N_("cannot be cut by copying: it has no time stamps"))
        base = packet.time_base
        at = packet.pts * base
        decoded = at - (_REORDERED_S if is_picture else 0) if packet.dts is None else packet.dts * base
        if decoded >= self._end:
            return False
        needless = at >= self._end and packet.is_disposable
        if at >= self._zero and not needless:
            if is_picture and at < self._end:
                self._last = max(self._last, at + (packet.duration or 0) * base)
            shift = round(self._zero / base)
            packet.pts -= shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = self._to[packet.stream.index]
            self._written.mux(packet)
        return True


def packets_of(container: InputContainer, stream: AudioStream) -> "Iterator[Packet[AudioStream]]":
    """Yield the packets of a sound track that hold something, as far as they can be read."""
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except ERRORS:
        return
