"""Pictures as Sixel graphics, the format of DEC's VT340 (1987): a letter is six pixels, one colour at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

MOST_COLOURS = 255
_ROWS = 6
_SHORTEST_RUN = 4


def sixel(canvas: NDArray[np.uint8]) -> str:
    """Return ``(h, w, 4) uint8`` RGBA as a Sixel picture of at most 255 colours; what is transparent is not drawn."""
    places, palette = _quantised(canvas)
    height, width = places.shape
    percent = np.rint(palette.astype(float) * 100 / 255).astype(int)
    colours = "".join(f"#{number};2;{r};{g};{b}" for number, (r, g, b) in enumerate(percent.tolist()))
    bands = "-".join(_band(places[top : top + _ROWS]) for top in range(0, height, _ROWS))
    return f'\x1bP0;1;0q"1;1;{width};{height}{colours}{bands}\x1b\\'


def _quantised(canvas: NDArray[np.uint8]) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return the number of each pixel's colour, -1 where it is transparent, and the colours ``(n, 3)``."""
    from PIL import Image

    picture = Image.fromarray(canvas[..., :3])
    chosen = picture.quantize(MOST_COLOURS, Image.Quantize.MEDIANCUT)
    dithered = picture.quantize(palette=chosen, dither=Image.Dither.FLOYDSTEINBERG)
    places = np.asarray(dithered).astype(np.int16)
    palette = np.asarray(dithered.getpalette(), dtype=np.uint8).reshape(-1, 3)
    places[canvas[..., 3] < 128] = -1
    return places, palette


def _band(places: NDArray[np.int16]) -> str:
    """Return six rows (the last band may have fewer): for each colour in them a line of letters over the same place."""
    bits = (1 << np.arange(len(places)))[:, None]
    lines = []
    for colour in np.unique(places[places >= 0]).tolist():
        letters = ((places == colour) * bits).sum(axis=0) + 63
        lines.append(f"#{colour}" + "".join(_runs(np.trim_zeros(letters - 63, "b") + 63)))
    return "$".join(lines)


def _runs(letters: NDArray[np.int64]) -> Iterator[str]:
    """Yield letters, long repetitions written as ``!count letter``."""
    ends = np.flatnonzero(np.diff(letters, append=-1)) + 1
    start = 0
    for end in ends.tolist():
        letter = chr(int(letters[start]))
        yield letter * (end - start) if end - start < _SHORTEST_RUN else f"!{end - start}{letter}"
        start = end
