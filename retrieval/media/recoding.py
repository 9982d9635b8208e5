"""Cutting a stretch out of a video at the frame: decoded and encoded anew, as H.264 and AAC in an MP4 file.

Pictures keep their own times, so that a variable frame rate stays what it is and sound stays with them; how they are
turned and how wide their pixels are is handed on to the player.
"""

import contextlib
import heapq
from collections.abc import Iterator
from fractions import Fraction
from typing import IO, NamedTuple

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer
from av.stream import Disposition
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from retrieval.errors import MediaError
from retrieval.media.cutting import MP4, SLACK_S, Cut, Target, packets_of
from retrieval.media.groups import ERRORS
from retrieval.media.reasons import reason
from retrieval.media.seeking import Seeker
from retrieval.media.video import Clock, NotVideo, open_container
from retrieval.messages import N_

_TICKS = Fraction(1, 90_000)
"""The time base of the pictures; it holds the usual frame rates exactly."""
_QUALITY = "18"
"""x264's constant rate factor: the difference to the source is not seen."""
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_LAYOUTS = frozenset({"mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"})
_BITS_A_CHANNEL = 96_000
_EARLIER_S = 0.5
"""How far before its beginning sound is decoded: what builds on something before it has settled by then."""
_JITTER_S = 0.03
"""Blocks of sound whose times are off by less follow one another; many containers round them."""


def encode(source: IO[bytes], sound: IO[bytes], target: Target, start_s: float, end_s: float) -> Cut:
    """Write what a file shows and sounds from ``start_s`` to ``end_s`` (seconds) to ``target``, as MP4.

    ``source`` and ``sound`` are the same file, opened twice: it is read at two places. The first picture is what is
    shown at ``start_s``; at least one is written. Of several sound tracks the one that plays by default is kept.

    Raises:
        MediaError: it cannot be decoded there.
    """
    with _readable(source) as seeker:
        frames = _within(seeker.frames(start_s), start_s, end_s)
        first = next(frames, None)
        if first is None:
            raise MediaError(N_("no picture can be decoded there"))
        sound.seek(0)
        container, _ = open_container(sound)
        with container, av.open(target, "w", format=MP4.name) as written:
            pictures = _Pictures(written, seeker.stream, first.frame)
            track = _track(container)
            voice = None if track is None else _Sound(written, container, track, start_s, end_s)
            written.start_encoding()
            parts = [_chained(first, frames)] if voice is None else [_chained(first, frames), voice.blocks()]
            shown_s = 0.0
            for part in heapq.merge(*parts, key=lambda part: part.at_s):
                if isinstance(part, _Block):
                    assert voice is not None
                    voice.write(part)
                else:
                    pictures.write(part)
                    shown_s = part.at_s + part.length_s
            pictures.finish()
            if voice is not None:
                voice.finish()
        return Cut(start_s, start_s + shown_s)


@contextlib.contextmanager
def _readable(source: IO[bytes]) -> Iterator[Seeker]:
    """Open what is decoded; what cannot be read or encoded is said in one line."""
    try:
        with contextlib.closing(Seeker(source)) as seeker:
            yield seeker
    except (NotVideo, *ERRORS) as error:
        raise MediaError(N_("cannot be encoded: {reason}").format(reason=reason(error))) from None


class _Shown(NamedTuple):
    """A picture, when it is shown from the beginning of the clip on, and how long, in seconds."""

    at_s: float
    length_s: float
    frame: VideoFrame


class _Block(NamedTuple):
    """Sound: when it begins, in seconds from the beginning of the clip, and samples ``(channels, n) float32``."""

    at_s: float
    samples: NDArray[np.float32]


def _within(frames: Iterator[tuple[float, VideoFrame]], start_s: float, end_s: float) -> Iterator[_Shown]:
    """Yield the pictures shown from ``start_s`` to ``end_s``; the first one is there from the beginning."""
    held: tuple[float, VideoFrame] | None = None
    for at_s, frame in frames:
        if held is not None and at_s > start_s + SLACK_S:
            if at_s >= end_s - SLACK_S:
                break
            begin_s = max(held[0], start_s)
            yield _Shown(begin_s - start_s, at_s - begin_s, held[1])
        held = at_s, frame
    if held is not None:
        begin_s = max(held[0], start_s)
        yield _Shown(begin_s - start_s, max(end_s - begin_s, float(_TICKS)), held[1])


def _chained(first: _Shown, rest: Iterator[_Shown]) -> Iterator[_Shown | _Block]:
    yield first
    yield from rest


class _Pictures:
    """Encodes pictures as H.264."""

    def __init__(self, written: OutputContainer, source: VideoStream, first: VideoFrame) -> None:
        self._written = written
        self._size = max(2, first.width // 2 * 2), max(2, first.height // 2 * 2)  # halved colours want even sides
        rate = source.average_rate or source.guessed_rate or Fraction(25)
        # MP4 holds the lengths of pictures in the order of storing: without B-frames that is the order of showing.
        options = {"crf": _QUALITY, "preset": "veryfast", "bf": "0"}
        self._stream = written.add_stream("libx264", rate=rate, options=options)
        codec = self._stream.codec_context
        codec.width, codec.height = self._size
        codec.pix_fmt = "yuv420p"
        codec.time_base = self._stream.time_base = _TICKS
        codec.flags |= Flags.frame_duration
        if source.sample_aspect_ratio:
            codec.sample_aspect_ratio = source.sample_aspect_ratio
        codec.colorspace, codec.color_trc = int(first.colorspace), int(first.color_trc)
        codec.color_primaries = int(first.color_primaries)
        turned = first.side_data.get("DISPLAYMATRIX")
        if turned is not None:
            matrix = np.frombuffer(bytes(turned), np.int32).tolist()  # type: ignore[call-overload]
            self._stream.set_display_matrix(matrix)
        self._last = -1

    def write(self, shown: _Shown) -> None:
        frame = shown.frame.reformat(*self._size, "yuv420p")
        frame.pict_type = PictureType.NONE
        frame.time_base = _TICKS
        frame.pts = self._last = max(round(shown.at_s / _TICKS), self._last + 1)
        frame.duration = max(1, round(shown.length_s / _TICKS))
        self._written.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._written.mux(self._stream.encode(None))


def _track(container: InputContainer) -> AudioStream | None:
    """Return the sound track that plays by default, if one can be decoded."""
    tracks = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return max(tracks, key=lambda stream: bool(stream.disposition & Disposition.default), default=None)


class _Sound:
    """Encodes one sound track as AAC, every sample at its time."""

    def __init__(
        self, written: OutputContainer, container: InputContainer, track: AudioStream, start_s: float, end_s: float
    ) -> None:
        self._written, self._container, self._track = written, container, track
        self._start_s = start_s
        codec = track.codec_context
        self._rate = codec.sample_rate if codec.sample_rate in _AAC_RATES else 48_000
        self._layout = codec.layout.name if codec.layout.name in _AAC_LAYOUTS else "stereo"
        self._total = round((end_s - start_s) * self._rate)
        self._stream = written.add_stream("aac", rate=self._rate, layout=self._layout)
        self._stream.bit_rate = _BITS_A_CHANNEL * self._stream.codec_context.layout.nb_channels
        self._stream.metadata.update({name: value for name, value in track.metadata.items() if name == "language"})
        self._done = 0

    def blocks(self) -> "Iterator[_Shown | _Block]":
        """Yield sound as it comes, from a little before the beginning on."""
        base = self._track.time_base or Fraction(1, self._rate)
        clock = Clock.of(self._container, self._container.streams.video[0])
        at = max(0.0, self._start_s - _EARLIER_S) + clock.start_s
        with contextlib.suppress(*ERRORS):  # it is read from the beginning then
            self._container.seek(int(at / base), stream=self._track, backward=True)
        resampler = AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        for frame in _frames(self._container, self._track):
            for one in resampler.resample(frame):
                if one.pts is None or one.time_base is None:
                    continue
                at_s = float(one.pts * one.time_base) - clock.start_s - self._start_s
                if at_s * self._rate >= self._total:
                    return
                yield _Block(at_s, one.to_ndarray().astype(np.float32, copy=False))

    def write(self, block: _Block) -> None:
        """Put a block at its place: a gap before it is silence, what is there already is left out."""
        place = round(block.at_s * self._rate)
        if self._done and abs(place - self._done) < _JITTER_S * self._rate:
            place = self._done
        samples = block.samples[:, max(0, self._done - place) :]
        place = max(place, self._done)
        if samples.shape[1]:
            silence = np.zeros((samples.shape[0], place - self._done), np.float32)
            self._encode(np.concatenate([silence, samples], axis=1)[:, : self._total - self._done])

    def _encode(self, samples: NDArray[np.float32]) -> None:
        if not samples.shape[1]:
            return
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), self._done
        self._done += samples.shape[1]
        self._written.mux(self._stream.encode(frame))

    def finish(self) -> None:
        if self._done:
            self._written.mux(self._stream.encode(None))


def _frames(container: InputContainer, track: AudioStream) -> Iterator[AudioFrame | None]:
    """Yield the sound of a track as it is decoded, and ``None`` at its end; what is damaged is left out."""
    for packet in packets_of(container, track):
        frames: list[AudioFrame] = []
        with contextlib.suppress(*ERRORS):
            frames = packet.decode()
        yield from frames
    yield None
