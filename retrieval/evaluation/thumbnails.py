"""Small pictures of files and moments, as ``data:`` URIs for a page that must not load anything."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrieval.errors import MediaError
from retrieval.evaluation.moments import Place

if TYPE_CHECKING:
    from retrieval.types import Pixels, Sample

SIDE = 160
"""The longer side of a thumbnail in pixels."""
_MOST_BYTES = 12 * 2**20
_QUALITY = 78
_LONG_S = 600.0


class Thumbnail(NamedTuple):
    """A small picture: its ``data:`` URI and size in pixels, or an empty ``uri`` and the reason why there is none."""

    uri: str
    width: int = SIDE
    height: int = SIDE * 3 // 4
    reason: str = ""


def thumbnails(
    places: Iterable[Place],
    folder: Path,
    *,
    most_bytes: int = _MOST_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[Place, Thumbnail]:
    """Return a thumbnail of each place; relative paths are below ``folder``.

    A moment is shown by the frame that stands for its middle, a video without one by its first frame. Each video is
    decoded once, up to the last moment that is wanted; only its keyframes when that is later than ten minutes. A file
    that cannot be read has the reason instead, and so has what is left when all of them are ``most_bytes`` long; the
    first places come first.
    """
    wanted: dict[str, list[Place]] = {}
    for place in dict.fromkeys(places):
        wanted.setdefault(place.path, []).append(place)
    found: dict[Place, Thumbnail] = {}
    size = 0
    for done, (path, of_file) in enumerate(wanted.items(), 1):
        if size > most_bytes:
            made = dict.fromkeys(of_file, Thumbnail("", reason="left out to keep the page small"))
        else:
            made = _of_file(folder / path, of_file)
        size += sum(len(one.uri) for one in made.values())
        found |= made
        if progress:
            progress(done, len(wanted))
    return found


def _of_file(path: Path, places: list[Place]) -> dict[Place, Thumbnail]:
    from retrieval.config import Sampling
    from retrieval.media import open_media

    found: dict[Place, Thumbnail] = {}
    waiting = sorted(places, key=_middle_s)
    sampling = Sampling("keyframes" if _middle_s(waiting[-1]) > _LONG_S else "auto")
    last: Sample | None = None
    try:
        with open_media(path, sampling, SIDE) as media:
            for sample in media:
                last = sample
                while waiting and _shows(sample, waiting[0]):
                    found[waiting.pop(0)] = _thumbnail(sample.pixels)
                if not waiting:
                    break
    except (MediaError, ValueError) as error:  # ValueError: a name with a NUL
        return found | dict.fromkeys(waiting, Thumbnail("", reason=str(error)))
    if waiting and last is not None:  # a moment behind the last frame
        found |= dict.fromkeys(waiting, _thumbnail(last.pixels))
    return found


def _middle_s(place: Place) -> float:
    return 0.0 if place.span is None else (place.span.start_s + place.span.end_s) / 2


def _shows(sample: "Sample", place: Place) -> bool:
    """Return whether a sample stands for the middle of a place; samples come in order, so later ones do it too."""
    return sample.item.end_s is None or _middle_s(place) < sample.item.end_s


def _thumbnail(pixels: "Pixels") -> Thumbnail:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=_QUALITY, optimize=True)
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode(), *picture.size)
