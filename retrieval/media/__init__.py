"""Media files to samples: pictures and videos, told apart by their content, as pixels that look as they are shown.

``open_media`` is all that the rest needs; PIL and av are imported when the first file is opened.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from retrieval.config import Sampling
from retrieval.errors import MediaError
from retrieval.media.files import open_file
from retrieval.media.frames import Frame, choose, compact
from retrieval.media.reasons import reason
from retrieval.media.suffixes import IMAGE_SUFFIXES, MEDIA_SUFFIXES, VIDEO_SUFFIXES
from retrieval.messages import N_
from retrieval.types import Item, MediaInfo, Pixels, Sample

__all__ = ["IMAGE_SUFFIXES", "MEDIA_SUFFIXES", "SEEN", "VIDEO_SUFFIXES", "Media", "open_media", "open_picture"]

SEEN = 3
"""Version of what is told of a file besides its pixels: files that were indexed when less was told are read again."""
_HEAD_BYTES = 4096


class Reader(Protocol):
    """What decodes one file: the frames worth a look, in order; a picture has one.

    ``cuts_s`` are the times at which another shot begins, as far as the frames have been read.
    """

    info: MediaInfo
    notes: list[str]

    def frames(self) -> Iterator[Frame[Pixels]]:
        """Yield the frames with the shots they are in; after the last one ``info`` is complete."""

    @property
    def cuts_s(self) -> Sequence[float]:
        """Return when shots begin."""

    def at(self, times_s: Sequence[float]) -> Iterator[Pixels]:
        """Yield what is shown at each of the times, in seconds, ascending; a picture is always the same."""

    def end_s(self) -> float | None:
        """Return when the last frame ends; known after the frames have been read."""

    def close(self) -> None:
        """Give back the file and decoders; safe to call twice."""


class Media:
    """An open picture or video: a context manager that yields its samples in time order.

    A picture yields one sample. A video is decoded while it is iterated over, in bounded memory; it may be iterated
    over again. Use it from one thread at a time.
    """

    def __init__(self, reader: Reader, sampling: Sampling) -> None:
        self._reader, self._sampling = reader, sampling

    @property
    def info(self) -> MediaInfo:
        """What is known of the file.

        The track of a video, and its duration where the file does not say it, are there once it was iterated over.
        """
        return self._reader.info

    @property
    def notes(self) -> list[str]:
        """What went wrong without being the end, as ``damaged after 00:00:12.400: kept what decodes``.

        Complete after the iteration.
        """
        return self._reader.notes

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples.

        Raises:
            MediaError: the file turned out to be unreadable.
        """
        try:
            if self.info.kind == "image":
                for frame in self._reader.frames():
                    yield Sample(Item(signature=compact(frame.signature)), frame.payload)
                return
            for kept in choose(self._reader.frames(), self._sampling, self._reader.end_s, self._reader.cuts_s):
                look = compact(kept.signature)
                yield Sample(Item(kept.at_s, kept.start_s, kept.end_s, kept.shot, look), kept.payload)
        except (MediaError, GeneratorExit):
            raise
        except Exception as error:
            raise MediaError(N_("cannot be decoded: {reason}").format(reason=reason(error))) from None

    def at(self, times_s: Sequence[float]) -> Iterator[Pixels]:
        """Yield the pixels shown at each of the times, in seconds, ascending; videos are not read from the beginning.

        A picture is the same at all times; before the first frame of a video the first is shown, behind its end the
        last.

        Raises:
            MediaError: the file turned out to be unreadable.
        """
        try:
            yield from self._reader.at(times_s)
        except (MediaError, GeneratorExit):
            raise
        except Exception as error:
            raise MediaError(N_("cannot be decoded: {reason}").format(reason=reason(error))) from None

    def close(self) -> None:
        """Give back the file; safe to call twice."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_media(
    path: Path,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    target: int = 260,
    sidecars: Sequence[Path] = (),
    dense: bool = False,
) -> Media:
    """Open a picture or video, whatever its name says.

    The pixels' shorter side is at least ``target`` where the source has it, not much more than twice that where the
    decoder scales cheaply, and never enlarged. ``sampling`` chooses frames of videos. What ``sidecars`` say is told
    with what the file says of itself (see ``sidecars.Sidecars``). ``dense`` asks for a track with a look each tenth of
    a second for the first two minutes of a video: everything is decoded for it.

    Raises:
        MediaError: it is neither, is damaged, too large, or cannot be read; one line without the path.
    """
    try:
        file = open_file(Path(path))
    except OSError as error:
        raise MediaError((error.strerror or "cannot be read").lower()) from None
    try:
        reader = _reader(file, Path(path).suffix, sampling, target, dense)
        _tell(reader, sidecars)
        return Media(reader, sampling)
    except MediaError:
        file.close()
        raise
    except Exception as error:
        file.close()
        raise MediaError(N_("cannot be read: {reason}").format(reason=reason(error))) from None
    except BaseException:
        file.close()
        raise


def open_picture(path: Path, target: int = 260) -> Pixels:
    """Return the pixels of a picture, or of the first frame of a video.

    Raises:
        MediaError: as ``open_media``.
    """
    with open_media(path, Sampling("keyframes"), target) as media:
        return next(iter(media)).pixels


def _tell(reader: Reader, sidecars: Sequence[Path]) -> None:
    """Join what sidecars say to what the file says."""
    if sidecars:
        from retrieval.media.details import Said
        from retrieval.media.sidecars import read_sidecars

        said = read_sidecars(sidecars).joined_to(Said(reader.info.details, reader.info.taken_at))
        reader.info = reader.info._replace(details=said.details, taken_at=said.taken_at)


def _reader(file: IO[bytes], suffix: str, sampling: Sampling, target: int, dense: bool) -> Reader:
    from retrieval.media.sniff import known_as, looks_like_video

    head = file.read(_HEAD_BYTES)
    if not head:
        raise MediaError(N_("empty file"))
    known, moving = known_as(head), looks_like_video(head)
    if not moving:
        from retrieval.media.image import open_image

        picture = open_image(file, head, target, dense)
        if picture is not None:
            return picture
        if known:
            raise MediaError(N_("damaged picture: the header of this {kind} file cannot be read").format(kind=known))
    from retrieval.media.video import NotVideo, VideoReader

    file.seek(0)
    try:
        return VideoReader(file, suffix, sampling, target, dense)
    except NotVideo as error:
        if moving:
            cut = N_("cut short, or without an index") if head[4:8] == b"ftyp" else str(error)
            raise MediaError(N_("damaged video: {reason}").format(reason=cut)) from None
        raise MediaError(N_("not a picture or video that can be read")) from None
