"""Cutting hits to files of their own: a moment of video becomes a clip, a picture is copied as it is."""

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

from retrieval.errors import MediaError
from retrieval.messages import N_
from retrieval.types import Hit

_CHUNK = 1 << 20
_SHORTEST_S = 0.001
_NOT_COPIED = N_("encoded anew, since it {reason}")


class Excerpt(NamedTuple):
    """What was written: the ending of its name, and of a clip where it begins and ends in its source, in seconds.

    ``note`` says, in English, what was done otherwise than asked.
    """

    suffix: str
    start_s: float | None = None
    end_s: float | None = None
    note: str = ""


class Writing:
    """A file that is written to, and remembers that it could not be: what decodes or encodes would hide why."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write as the file does."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place as the file does."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Say the place as the file does."""
        return self._file.tell()

    def restart(self) -> None:
        """Begin with an empty file again."""
        self._file.seek(0)
        self._file.truncate()


def write_excerpt(hit: Hit, file: BinaryIO, *, exact: bool = False) -> Excerpt:
    """Write a hit to an empty file: a moment as a clip, a picture (an animated one too) as it is.

    A clip is a copy of the video's packets in a container of the same kind; it begins at the keyframe before the
    moment. ``exact`` encodes it anew, as H.264 and AAC in MP4, from the moment's first frame to its last; so is what
    cannot be copied.

    Raises:
        MediaError: the source cannot be read; one line without the path.
        OSError: the file cannot be written.
    """
    target = Writing(file)
    try:
        if hit.start_s is None or hit.end_s is None or _is_picture(Path(hit.path)):
            return _whole(Path(hit.path), target)
        return _cut(Path(hit.path), target, (hit.start_s, max(hit.end_s, hit.start_s + _SHORTEST_S)), exact)
    except Exception:
        if target.error is not None:
            raise target.error from None
        raise


def _is_picture(path: Path) -> bool:
    from retrieval.media.sniff import known_as, looks_like_video

    with _opened(path) as source:
        head = source.read(4096)
    return known_as(head) is not None and not looks_like_video(head)


def _whole(path: Path, target: Writing) -> Excerpt:
    with _opened(path) as source:
        while chunk := _read(source):
            target.write(chunk)
    return Excerpt(path.suffix)


def _cut(path: Path, target: Writing, span: tuple[float, float], exact: bool) -> Excerpt:
    from retrieval.media.cutting import MP4, copy_packets, form_of
    from retrieval.media.recoding import encode

    note = ""
    with _opened(path) as source, _opened(path) as sound:
        if not exact:
            try:
                form = form_of(source, path.suffix)
                return Excerpt(form.suffix, *copy_packets(source, target, form, *span))
            except MediaError as error:
                if target.error is not None:
                    raise
                note = _NOT_COPIED.format(reason=error)
                target.restart()
        return Excerpt(MP4.suffix, *encode(source, sound, target, *span), note)


def _opened(path: Path) -> BinaryIO:
    from retrieval.media.files import open_file

    try:
        return open_file(path)  # type: ignore[return-value]
    except OSError as error:
        raise MediaError((error.strerror or N_("cannot be read")).lower()) from None


def _read(source: BinaryIO) -> bytes:
    try:
        return source.read(_CHUNK)
    except OSError as error:
        raise MediaError((error.strerror or N_("cannot be read")).lower()) from None
