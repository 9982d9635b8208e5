"""Pictures as the control sequences that terminals draw: pure functions from pixels to text.

A ``Canvas`` is drawn over a rectangle of the terminal's cells; the cursor is left in its last row, so that a line end
goes on below it. What is transparent lets the terminal's own ground through.
"""

import base64
import io
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from retrieval.viewing.sixel import sixel

Protocol = Literal["kitty", "iterm", "sixel", "blocks"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

Canvas = NDArray[np.uint8]
"""``(height, width, 4) uint8`` RGBA."""

_CHUNK = 4096
_UPPER, _LOWER = "▀", "▄"
_LEVELS = np.array([0, 95, 135, 175, 215, 255])


class Cells(NamedTuple):
    """A rectangle of the terminal's character cells."""

    columns: int
    rows: int


def drawn(canvas: Canvas, cells: Cells, protocol: Protocol, *, many_colours: bool = True) -> str:
    """Return what draws a canvas over the cells.

    Kitty and iTerm2 scale it; for Sixel it must be as large as the cells are, for blocks ``(2 rows, columns, 4)``.
    ``many_colours`` is whether blocks may have colours of 24 bits, else they are of the 256 that every terminal has.
    """
    if protocol == "kitty":
        return kitty(canvas, cells)
    if protocol == "iterm":
        return iterm(canvas, cells)
    return sixel(canvas) if protocol == "sixel" else blocks(canvas, many_colours=many_colours)


def kitty(canvas: Canvas, cells: Cells) -> str:
    """Return a canvas in the graphics protocol of kitty (sw.kovidgoyal.net/kitty/graphics-protocol): PNG in chunks."""
    data = base64.b64encode(_png(canvas)).decode()
    chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    sequences = []
    for place, chunk in enumerate(chunks):
        more = int(place + 1 < len(chunks))
        keys = f"a=T,f=100,q=2,c={cells.columns},r={cells.rows},m={more}" if place == 0 else f"m={more}"
        sequences.append(f"\x1b_G{keys};{chunk}\x1b\\")
    return "".join(sequences)


def iterm(canvas: Canvas, cells: Cells) -> str:
    """Return a canvas in the inline images protocol of iTerm2 (iterm2.com/documentation-images.html), as PNG."""
    png = _png(canvas)
    size = f"size={len(png)};width={cells.columns};height={cells.rows};preserveAspectRatio=0"
    return f"\x1b]1337;File=inline=1;{size}:{base64.b64encode(png).decode()}\x07"


def blocks(canvas: Canvas, *, many_colours: bool = True) -> str:
    """Return ``(2 rows, columns, 4)`` pixels as lines of half blocks, two pixels a cell, joined by line ends."""
    upper, lower = canvas[0::2], canvas[1::2]
    lines = []
    for top, bottom in zip(upper, lower, strict=True):
        cells = [_cell(*pair, many_colours) for pair in zip(top.tolist(), bottom.tolist(), strict=True)]
        line, before = [], ""
        for style, letter in cells:
            line.append(letter if style == before else f"\x1b[{style}m{letter}")
            before = style
        lines.append("".join(line) + "\x1b[0m")
    return "\n".join(lines)


def through_tmux(sequences: str) -> str:
    """Wrap sequences so that tmux hands them on to the terminal it runs in (with ``allow-passthrough on``)."""
    return "\x1bPtmux;" + sequences.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def _cell(top: list[int], bottom: list[int], many_colours: bool) -> tuple[str, str]:
    """Return the style and the letter that show two pixels, one above the other."""
    if top[3] < 128 and bottom[3] < 128:
        return "0", " "
    if top[3] < 128:
        return f"0;38;{_colour(bottom, many_colours)}", _LOWER
    ground = "49" if bottom[3] < 128 else f"48;{_colour(bottom, many_colours)}"
    return f"38;{_colour(top, many_colours)};{ground}", _UPPER


def _colour(pixel: list[int], many_colours: bool) -> str:
    if many_colours:
        return f"2;{pixel[0]};{pixel[1]};{pixel[2]}"
    return f"5;{_of_256(pixel[:3])}"


def _of_256(colour: list[int]) -> int:
    """Return the nearest of the 216 colours and 24 greys that terminals number from 16 to 255."""
    wanted = np.array(colour)
    steps = np.abs(_LEVELS[None] - wanted[:, None]).argmin(axis=1)
    grey = int(np.clip(round((wanted.mean() - 8) / 10), 0, 23))
    if np.abs(wanted - (8 + 10 * grey)).sum() < np.abs(wanted - _LEVELS[steps]).sum():
        return 232 + grey
    return int(16 + 36 * steps[0] + 6 * steps[1] + steps[2])


def _png(canvas: Canvas) -> bytes:
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(canvas).save(written, "PNG")
    return written.getvalue()
