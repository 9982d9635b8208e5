"""Pictures and animated pictures, by Pillow (and pillow-heif): the only place where they are opened.

A still picture yields its first page. Formats whose frames carry times (GIF, WebP, APNG, AVIF sequences, FLI) are
videos as soon as they have two frames. Damaged pictures are refused, also when part of them could be shown: half a
picture would be found as if it were whole.
"""

import contextlib
import math
import re
import struct
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import IO

from PIL import Image, JpegImagePlugin

from retrieval.errors import MediaError
from retrieval.media.frames import Frame, shown_at, signature
from retrieval.media.pixels import to_pixels
from retrieval.media.png_chunks import MAGIC as PNG
from retrieval.media.png_chunks import without_damaged_texts
from retrieval.media.reasons import clock, reason
from retrieval.media.sniff import HEIF_BRANDS
from retrieval.media.tags import orientation_of, said_by
from retrieval.media.track import APART_S, DENSE_S, Watch, in_shots
from retrieval.messages import N_
from retrieval.types import MediaInfo, Pixels

MAX_PIXELS = 180_000_000
"""The largest picture that is decoded in full."""
MAX_PIXELS_COPIED = 100_000_000
"""The same for formats whose decoders hold the whole picture several times."""
MAX_PIXELS_DRAFT = 1_000_000_000
"""The largest JPEG; it is decoded at a half to an eighth of its size, and that may not exceed ``MAX_PIXELS``."""
LARGE_PIXELS = 40_000_000
"""Of still pictures that hold more than this in memory, one is decoded at a time, whichever threads ask."""
MAX_FRAMES = 10_000
MAX_FRAME_PIXELS = 2_000_000_000
"""How much of an animation is read: whichever comes first, frames or pixels of all frames together."""

_COPIED = frozenset({"WEBP", "AVIF", "HEIF", "JPEG2000"})
_ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF", "FLI"})
_NOT_PICTURES = frozenset({"EPS", "WMF", "MPEG", "GRIB", "BUFR", "HDF5"})
"""What Pillow identifies and cannot decode, or only by starting another program."""
_WEAK = ("TGA", "PCX", "SPIDER", "IPTC", "PCD", "PIXAR", "MCIDAS", "IM", "IMT", "XVTHUMB", "MSP", "DCX", "GBR", "FTEX")
"""Formats that are known by little more than a byte: tried last."""
_FASTEST_DELAY_MS, _DEFAULT_DELAY_MS = 10, 100
"""Frame delays up to 10 ms are shown as 100 ms by all browsers."""

_LONGEST_DELAY_MS = 3_600_000
_PILLOW = re.compile(r"PIL\.|pillow_heif\.|retrieval\.media")

_starting = threading.Lock()
_decoding_large = threading.Lock()
_order: list[str] = []


def identify(file: IO[bytes], head: bytes) -> Image.Image | None:
    """Return the picture in ``file`` with its header read but not its pixels, or ``None`` when it is none.

    ``head`` is how the file begins (32 bytes suffice). Pillow's own ``open`` is not used because it refuses a large
    JPEG before ``draft`` could make it small, and because the order of formats matters here.

    Raises:
        Exception: whatever a damaged header makes the plugin raise besides what means "not mine".
    """
    _hush()
    for name in _formats():
        factory, accept = Image.OPEN[name]
        try:
            accepted = not accept or accept(head)
            if accepted and not isinstance(accepted, str):
                file.seek(0)
                return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    return _identify_heif(file, head)


def _identify_heif(file: IO[bytes], head: bytes) -> Image.Image | None:
    if head[4:8] != b"ftyp" or head[8:12] not in HEIF_BRANDS:
        return None
    from pillow_heif import HeifImageFile

    file.seek(0)
    try:
        picture: Image.Image = HeifImageFile(file, "")  # type: ignore[no-untyped-call]
        return picture
    except SyntaxError as error:
        raise MediaError(N_("damaged HEIF picture: {reason}").format(reason=reason(error))) from None


def _formats() -> list[str]:
    with _starting:
        if not _order:
            Image.init()
            strong = [name for name in Image.ID if name not in _NOT_PICTURES and name not in _WEAK]
            _order.extend([*strong, *(name for name in _WEAK if name in Image.OPEN)])
    return _order


def _hush() -> None:
    """Keep Pillow's warnings off stderr: sizes are checked here against our own limits, damage is an error or a note.

    The filters are looked for each time since others may have reset them (as test runners do).
    """
    for category in (UserWarning, RuntimeWarning):
        if ("ignore", None, category, _PILLOW, 0) not in warnings.filters:
            warnings.filterwarnings("ignore", category=category, module=_PILLOW.pattern)


class PictureReader:
    """A still picture, decoded when it is opened."""

    def __init__(self, file: IO[bytes], image: Image.Image, target: int) -> None:
        self.notes: list[str] = []
        before = image.size
        _check_size(image, _draft(image, target))
        with _decoding_large if _held_pixels(image, before) > LARGE_PIXELS else contextlib.nullcontext():
            self._decode(image, before, target)
        file.close()

    def _decode(self, image: Image.Image, before: tuple[int, int], target: int) -> None:
        drafted = image.size
        try:
            image.load()
        except Exception as error:
            raise MediaError(N_("damaged picture: {reason}").format(reason=reason(error))) from None
        turned, said = orientation_of(image), said_by(image)
        self._pixels = to_pixels(image, target, turned)
        # Pillow turns TIFFs, and takes the largest picture of an icon, while it loads them.
        width, height = before if image.size == drafted else image.size
        if turned >= 5:
            width, height = height, width
        self.info = MediaInfo("image", width, height, None, said.taken_at, _format(image), said.details)
        image.close()  # the memory, before the next large one is decoded

    @property
    def cuts_s(self) -> Sequence[float]:
        """Nothing: a picture has no shots."""
        return ()

    def frames(self) -> Iterator[Frame[Pixels]]:
        """Yield the picture, at time 0."""
        yield Frame(0.0, signature(self._pixels), self._pixels)

    def at(self, times_s: Sequence[float]) -> Iterator[Pixels]:
        """Yield the picture for each of the times."""
        return iter([self._pixels] * len(times_s))

    def end_s(self) -> float | None:
        """Return ``None``: a picture does not end."""
        return None

    def close(self) -> None:
        """Do nothing: the file is closed already."""


class AnimationReader:
    """An animated picture: frames with the times at which they are shown, decoded as they are asked for."""

    def __init__(self, file: IO[bytes], image: Image.Image, target: int, dense: bool = False) -> None:
        self.notes: list[str] = []
        self._file, self._image, self._target = file, image, target
        self._apart_s = DENSE_S if dense else APART_S
        self._watch = Watch(self._apart_s)
        self._end_s = 0.0
        _check_size(image, image.size)
        self._turned, said = orientation_of(image), said_by(image)
        width, height = image.size if self._turned < 5 else image.size[::-1]
        self.info = MediaInfo("video", width, height, None, said.taken_at, _format(image), said.details)

    @property
    def cuts_s(self) -> Sequence[float]:
        """When other shots begin, in seconds, as far as the frames have been read."""
        return self._watch.shots.cuts_s

    def frames(self) -> Iterator[Frame[Pixels]]:
        """Yield each frame, with its time and shot; then ``info`` is complete."""
        self._watch = Watch(self._apart_s)
        yield from in_shots(self._seen(), self._watch)
        self.info = self.info._replace(duration_s=self._end_s, track=self._watch.track())

    def _seen(self) -> Iterator[Frame[Pixels]]:
        for at_s, pixels in self._decoded():
            look = signature(pixels)
            self._watch.see(at_s, look)
            yield Frame(at_s, look, pixels)

    def _decoded(self) -> Iterator[tuple[float, Pixels]]:
        """Yield each frame and when it is shown, in seconds; stops at damage or at a limit, with a note."""
        self.notes.clear()
        image, at_ms = self._image, 0.0
        first = 1 if getattr(image, "default_image", False) else 0
        most = min(MAX_FRAMES, max(1, MAX_FRAME_PIXELS // max(1, image.size[0] * image.size[1])))
        for index in range(first, first + most):
            try:
                image.seek(index)
                image.load()
            except EOFError:
                break
            except Exception as error:
                if index == first:
                    raise MediaError(N_("damaged animation: {reason}").format(reason=reason(error))) from None
                self.notes.append(N_("damaged after {time}: kept what decodes").format(time=clock(at_ms / 1000)))
                break
            yield at_ms / 1000, to_pixels(image, self._target, self._turned)
            at_ms += _delay_ms(image)
            self._end_s = at_ms / 1000
        else:
            self.notes.append(N_("too many frames: read up to {time}").format(time=clock(at_ms / 1000)))

    def at(self, times_s: Sequence[float]) -> Iterator[Pixels]:
        """Yield what is shown at each of the times, in seconds, ascending."""
        return shown_at(self._decoded(), times_s)

    def end_s(self) -> float | None:
        """Return when the last frame that was read ends, in seconds."""
        return self._end_s

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_image(
    file: IO[bytes], head: bytes, target: int, dense: bool = False
) -> PictureReader | AnimationReader | None:
    """Open what ``file`` holds as a picture or animation; ``None`` when Pillow does not know it.

    A PNG whose texts cannot be read is opened without them. ``dense`` asks for a closer track of an animation.

    Raises:
        MediaError: a picture, but damaged or too large.
    """
    try:
        found = _opened(file, head, target, dense)
    except MediaError as error:
        lighter = without_damaged_texts(file) if head.startswith(PNG) and str(error).startswith("damaged") else None
        if lighter is None:
            raise
    else:
        lighter = without_damaged_texts(file) if head.startswith(PNG) and found is None else None
        if lighter is None:
            return found
    reader = _opened(lighter, head, target, dense)
    file.close()
    return reader


def _opened(file: IO[bytes], head: bytes, target: int, dense: bool) -> PictureReader | AnimationReader | None:
    try:
        image = identify(file, head)
        if image is None:
            return None
        animated = image.format in _ANIMATED and _frame_count(image) > 1
    except MediaError:
        raise
    except Exception as error:
        raise MediaError(N_("damaged picture: {reason}").format(reason=reason(error))) from None
    return AnimationReader(file, image, target, dense) if animated else PictureReader(file, image, target)


def _frame_count(image: Image.Image) -> int:
    """Return 1 for a still picture, else at least 2 (GIF frames are not counted: that reads the whole file)."""
    if image.format == "GIF":
        try:
            return 2 if getattr(image, "is_animated", False) else 1
        except Exception:
            return 1
    count = int(getattr(image, "n_frames", 1))
    return count - 1 if getattr(image, "default_image", False) else count


def _delay_ms(image: Image.Image) -> float:
    try:
        delay = float(image.info.get("duration", 0))
    except (TypeError, ValueError):
        delay = 0.0
    return delay if _FASTEST_DELAY_MS < delay < _LONGEST_DELAY_MS else _DEFAULT_DELAY_MS


def _format(image: Image.Image) -> str:
    return (image.format or "").lower()


def _draft(image: Image.Image, target: int) -> tuple[int, int]:
    """Ask a JPEG for the smallest decode whose shorter side is at least ``target``; return the size to come."""
    width, height = image.size
    if isinstance(image, JpegImagePlugin.JpegImageFile) and min(width, height) >= 2 * target:
        share = target / min(width, height)
        image.draft(None, (math.ceil(width * share), math.ceil(height * share)))
        if width * height > (MAX_PIXELS if image.info.get("progressive") else MAX_PIXELS_DRAFT):
            return width, height  # a progressive one is held in full, however small it is wanted
    return image.size


def _held_pixels(image: Image.Image, before: tuple[int, int]) -> int:
    """Return how many pixels are in memory while a picture is decoded; a progressive one is held in full."""
    width, height = before if image.info.get("progressive") else image.size
    return width * height


def _check_size(image: Image.Image, decoded: tuple[int, int]) -> None:
    width, height = decoded
    most = MAX_PIXELS_COPIED if image.format in _COPIED else MAX_PIXELS
    if width <= 0 or height <= 0:
        raise MediaError(N_("damaged picture: it has no size"))
    if width * height > most:
        said = N_("too large: {width} x {height} pixels; at most {most} million are decoded")
        raise MediaError(said.format(width=width, height=height, most=most // 1_000_000))
