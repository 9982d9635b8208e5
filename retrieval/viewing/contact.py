"""Contact sheets as one picture: many pictures in a grid, each with a caption."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from retrieval.errors import OptionError
from retrieval.messages import _
from retrieval.present import visible
from retrieval.types import Hit, Hits, Pixels
from retrieval.viewing.asked import asked_with
from retrieval.viewing.pages import clock
from retrieval.viewing.thumbnails import Spot, looks, spot_of

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

MOST = 2000
"""Pictures on a sheet, at most: it is one picture in memory."""
FRAMES = 12
"""Frames of one moment on a sheet, at most."""
_SIZES = ((30, 320), (120, 240), (MOST, 160))
"""The width of a picture in pixels, by how many there are at most."""
_GAP, _MARGIN = 14, 24
_FRAMES_A_SECOND = 2
_QUALITY = 88
_SCREEN = 1.6
_PLAIN = str.maketrans({"–": "-", "−": "-", "…": "..."})
"""What the built-in font has not."""
_GROUND, _INK, _SOFT, _EMPTY = (250, 249, 246), (29, 29, 27), (105, 104, 97), (232, 230, 224)
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "STHeiti Light.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
)
"""Fonts that systems have for letters the built-in one lacks, as Chinese."""


class Tile(NamedTuple):
    """A picture of a sheet (nothing where it cannot be read) and two lines below it."""

    pixels: Pixels | None
    caption: str
    below: str = ""


def frame_spots(hit: Hit) -> list[Spot]:
    """Return where to look to see a moment from its beginning to its end: at most twelve places, evenly spaced."""
    if hit.start_s is None or hit.end_s is None:
        return [spot_of(hit)]
    length_s = hit.end_s - hit.start_s
    count = max(1, min(FRAMES, round(length_s * _FRAMES_A_SECOND)))
    spot = spot_of(hit)
    return [spot._replace(at_s=hit.start_s + (place + 0.5) * length_s / count) for place in range(count)]


def tile_width(count: int) -> int:
    """Return how wide a picture is on a sheet of so many, in pixels; it is three quarters as high."""
    return next(width for most, width in _SIZES if count <= most)


def contact_sheet(title: str, tiles: Iterable[Tile], count: int) -> "Image.Image":
    """Draw a sheet of ``count`` tiles, at most ``MOST``, as they come; the grid is about as wide as a screen.

    Text is cut to the width there is. Letters that no font of the system has are drawn as boxes.
    """
    from PIL import Image, ImageDraw

    wide = tile_width(count)
    high = wide * 3 // 4
    text = max(11, wide // 20)
    across = _columns(count, wide / (high + 3 * text))
    down = max(1, math.ceil(count / across))
    step_x, step_y = wide + _GAP, high + 3 * text + _GAP
    head = 3 * text
    size = (2 * _MARGIN + across * step_x - _GAP, 2 * _MARGIN + head + down * step_y - _GAP)
    sheet = Image.new("RGB", size, _GROUND)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_MARGIN, _MARGIN - text // 2), title, round(1.4 * text), size[0] - 2 * _MARGIN)
    for place, tile in enumerate(tiles):
        left, top = _MARGIN + place % across * step_x, _MARGIN + head + place // across * step_y
        pen.rectangle((left, top, left + wide - 1, top + high - 1), fill=_EMPTY)
        if tile.pixels is not None:
            picture = Image.fromarray(tile.pixels)
            picture.thumbnail((wide, high), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left + (wide - picture.width) // 2, top + (high - picture.height) // 2))
        _write(pen, (left, top + high + text // 3), tile.caption, text, wide)
        _write(pen, (left, top + high + text // 3 + round(1.25 * text)), tile.below, text, wide, _SOFT)
    return sheet


def _columns(count: int, shape: float) -> int:
    """Return how many tiles of a shape (width over height) stand side by side: as wide as a screen, few left empty."""
    fair = max(1, min(count, math.ceil(math.sqrt(count * _SCREEN / shape))))
    return min(
        range(fair, min(count, fair + fair // 3 + 1) + 1), key=lambda across: (-count % across, across), default=1
    )


def _write(
    pen: "ImageDraw.ImageDraw",
    place: tuple[int, int],
    text: str,
    size: int,
    width: int,
    ink: tuple[int, int, int] = _INK,
) -> None:
    text = text.translate(_PLAIN)
    font = _font(text, size)
    pen.text(place, _cut(text, font, width), fill=ink, font=font)


def _cut(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> str:
    """Return as much of a line as fits into ``width`` pixels; the longest prefix is found by halving."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle] + "...") <= width else (low, middle - 1)
    return text[:low] + "..."


def _font(text: str, size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    for name in _WIDE_FONTS if any(ord(letter) > 0x24F for letter in text) else ():
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def captions(hit: Hit) -> tuple[str, str]:
    """Return the two lines below a hit: its rank, score and moment, and its name."""
    moment = ""
    if hit.start_s is not None and hit.end_s is not None:
        moment = f"   {clock(hit.start_s)} – {clock(hit.end_s)}"
    return f"{hit.rank}   {hit.score:.4f}{moment}", visible(Path(hit.path).name)


def write_sheet(
    file: BinaryIO, hits: Hits, *, png: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Draw the hits on a sheet, or the frames of the moment if there is one hit that is a moment; JPEG, or PNG.

    ``progress`` is told how many pictures of how many are read.

    Raises:
        OptionError: there are more than ``MOST`` hits.
    """
    found = hits.hits
    if len(found) > MOST:
        raise OptionError(_("a sheet holds {most:,} pictures at most; lower -k").format(most=MOST))
    asked = asked_with(hits.query)
    title = visible(asked.words or ", ".join(Path(one.name).name for one in asked.pictures))
    if len(found) == 1 and found[0].start_s is not None:
        spots = frame_spots(found[0])
        texts = [(clock(spot.at_s), "") for spot in spots]
        above, name = captions(found[0])
        title = f"{title}   {name}   {above.partition('   ')[2]}"
    else:
        spots = [spot_of(hit) for hit in found]
        texts = [captions(hit) for hit in found]
    seen: dict[Spot, Pixels | None] = {}
    for one in looks(spots, tile_width(len(spots))):
        seen[one.spot] = _reduced(one.pixels, tile_width(len(spots)))
        progress(len(seen), len(set(spots)))
    tiles = (Tile(seen[spot], *lines) for spot, lines in zip(spots, texts, strict=True))
    sheet = contact_sheet(title, tiles, len(spots))
    sheet.save(file, "PNG" if png else "JPEG", **({} if png else {"quality": _QUALITY}))


def _reduced(pixels: Pixels | None, width: int) -> Pixels | None:
    """Return a picture no larger than it is shown, so that many fit into memory."""
    if pixels is None:
        return None
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((width, width * 3 // 4), Image.Resampling.LANCZOS)
    return np.asarray(picture)
