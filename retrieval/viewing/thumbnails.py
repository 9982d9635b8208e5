"""Pictures of files and moments to look at, and small ones as ``data:`` URIs for a page that must not load anything."""

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrieval.errors import MediaError
from retrieval.messages import N_

if TYPE_CHECKING:
    from retrieval.types import Hit, Pixels

SIDE = 160
"""The longer side of a thumbnail in pixels, unless another is asked for."""
MOST_BYTES = 12 * 2**20
"""How long all thumbnails of a page may be together."""
_QUALITY = 78


class Spot(NamedTuple):
    """A picture, or a video as it is at ``at_s`` seconds."""

    path: Path
    at_s: float = 0.0


class Seen(NamedTuple):
    """What is to be seen at a spot, or the reason, in one line without the path, why nothing is."""

    spot: Spot
    pixels: "Pixels | None"
    reason: str = ""


class Thumbnail(NamedTuple):
    """A small picture: its ``data:`` URI and size in pixels, or an empty ``uri`` and the reason why there is none."""

    uri: str
    width: int = SIDE
    height: int = SIDE * 3 // 4
    reason: str = ""


def spot_of(hit: "Hit") -> Spot:
    """Return what shows a hit: the picture, or the best frame of the moment."""
    return Spot(Path(hit.path), hit.at_s or 0.0)


def looks(spots: Iterable[Spot], target: int) -> Iterator[Seen]:
    """Yield what is to be seen at each of the spots, each once; those of one file follow one another in order of time.

    The files come in the order in which they are first named; each is opened once, and of a video no more is decoded
    than leads to its spots. The shorter side has at least ``target`` pixels where the file has them.
    """
    from retrieval.media import open_media

    of_file: dict[Path, list[Spot]] = {}
    for spot in dict.fromkeys(spots):
        of_file.setdefault(spot.path, []).append(spot)
    for path, waiting in of_file.items():
        waiting.sort(key=lambda spot: spot.at_s)
        try:
            with open_media(path, target=target) as media:
                for pixels in media.at([spot.at_s for spot in waiting]):
                    yield Seen(waiting.pop(0), pixels)
        except (MediaError, ValueError) as error:  # ValueError: a name with a NUL
            yield from (Seen(spot, None, str(error)) for spot in waiting)


def thumbnails(
    spots: Iterable[Spot],
    *,
    side: int = SIDE,
    most_bytes: int = MOST_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[Spot, Thumbnail]:
    """Return a thumbnail of each spot; ``side`` is the longer side in pixels.

    A file that cannot be read has the reason instead, and so has what is left when all of them are ``most_bytes`` long;
    the first files come first. ``progress`` is told how many of how many are done.
    """
    wanted = list(dict.fromkeys(spots))
    found: dict[Spot, Thumbnail] = {}
    size = 0
    for seen in looks(wanted, side):
        found[seen.spot] = made = (
            Thumbnail("", reason=seen.reason) if seen.pixels is None else _small(seen.pixels, side)
        )
        size += len(made.uri)
        if progress:
            progress(len(found), len(wanted))
        if size > most_bytes:
            break
    left_out = Thumbnail("", reason=N_("left out to keep the page small"))
    return {spot: found.get(spot, left_out) for spot in wanted}


def _small(pixels: "Pixels", side: int) -> Thumbnail:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=_QUALITY, optimize=True)
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode(), *picture.size)
