"""Whether two pictures look the same, told from their signatures alone (see ``types.Item``).

As with perceptual hashes (Zauner, *Implementation and Benchmarking of Perceptual Image Hash Functions*, 2010), what is
compared is a tiny picture. But a hash keeps a bit a cell, and two photographs of one scene often share nearly all of
them. Here the question is whether one picture can be made from the other by what copies go through: another size or
format, compression, a change of brightness, contrast or gamma, and a crop or a border of some three per cent a side.
That change is fitted, shift and scale by Gauss-Newton steps as in image registration (Lucas and Kanade, 1981), and then
no cell may be further from it than its tolerance. So a thing that moved, other words or a mark on the picture tell.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.types import FloatMatrix

Signatures = NDArray[np.uint8]
"""``(n, 384) uint8``: signatures, one a row."""
Cells = NDArray[np.float32]
"""``(n, rows, columns) float32``: the cells of n pictures, or of n colour differences."""
PerPair = NDArray[np.float32]
"""``(n,) float32``: one number a pair of pictures."""

GRID, COARSE = 16, 8
SIGNATURE_BYTES = GRID * GRID + 2 * COARSE * COARSE

OUTLINE_WIDTH = COARSE * COARSE - 1 + 4
OUTLINE_ALIKE = 0.8
"""Cosine of two outlines below which pictures are not compared: copies are above, unrelated pictures below."""

TOLERANCE, FROM, TO = 0.1, 3.0, 8.0
"""How far a cell may be off, in levels: a share of the picture's contrast, at least and at most."""
CHROMA = 6.0
"""The same for the differences of colour."""
LOOSER = 1.4
"""How much more is allowed where the picture was cropped: cells between cells are a guess."""
BETWEEN = 1.2
"""What is added there: a share of the contrast of the neighbours, by how many cells the place has moved."""
ROUNDED_PX, ROUNDED_FROM_PX = 0.4, 256
"""By how many pixels places may be off in a picture that was only resized, since cells are of whole pixels; larger
pictures than these pixels a side are looked at reduced."""
CAST_MOST, SATURATED_MOST = 8.0, 1.25
"""By how many levels all colours may have shifted, as by a white balance, and how much more or less vivid they may be;
in a picture of little contrast colours may not shift."""
TONED, TONED_CHROMA = 0.4, 0.5
"""What is added for each level that brightness, contrast or gamma changed the picture, root mean square."""
CLIPPED, CLIPPED_FROM, CLIPPED_OVER = 12.0, 180.0, 60.0
"""What is added where a brighter copy has lost its lights: up to so much, from this level on, over so many levels."""
TONE_MOST, FLAT, FLAT_TONE_MOST = 60.0, 5.0, 4.0
"""By how many levels tones may change; and in a picture of no more contrast than ``FLAT``, which says nothing else."""
SIMILAR = 0.95
"""Cosine of two vectors of a model from which on two pictures are similar."""
UNEXPLAINED = 0.4
"""What may remain, root mean square, as a share of the picture's contrast."""
MOVED_FROM, MOVED_TO = 0.01, 0.11
"""Shift and scale together, in half widths: below, nothing was cropped; above, too much."""
OUTSIDE = 0.02
"""By how much, in half widths, the fitted crop may lie outside the picture it was cut from."""
ASPECT = 0.02
"""By what share width / height may be off what the fitted crop makes of it; and one pixel."""

_STEPS = 3
_FARTHEST = 0.12
_EVEN = 12.0
_KNOTS = (0.3, 0.55, 0.8)
_RIDGE, _RIDGE_CHROMA = 1e-3, 4.0
_BLOCK = 1024
_CENTRES = ((np.arange(GRID) + 0.5) / GRID * 2 - 1).astype(np.float32)
_DOWN, _ACROSS = np.meshgrid(_CENTRES, _CENTRES, indexing="ij")
_INNER = np.zeros((GRID, GRID), np.float32)
_INNER[1:-1, 1:-1] = 1.0


class Looks(NamedTuple):
    """What n pictures look like: ``luma`` ``(n, 16, 16)``, ``chroma`` ``(n, 2, 8, 8)``, ``sizes`` ``(n, 2)``.

    All are float32; ``sizes`` are width and height in pixels, as shown.
    """

    luma: Cells
    chroma: NDArray[np.float32]
    sizes: FloatMatrix

    def at(self, places: NDArray[np.int64] | slice) -> "Looks":
        """Return the looks at these places."""
        return Looks(self.luma[places], self.chroma[places], self.sizes[places])


def looks(signatures: Signatures, sizes: NDArray[np.generic]) -> Looks:
    """Read signatures beside each picture's width and height in pixels, ``(n, 2)``."""
    luma = signatures[:, : GRID * GRID].reshape(-1, GRID, GRID).astype(np.float32)
    chroma = signatures[:, GRID * GRID :].reshape(-1, COARSE, COARSE, 2).transpose(0, 3, 1, 2).astype(np.float32) - 128
    return Looks(luma, np.ascontiguousarray(chroma), sizes.astype(np.float32).reshape(-1, 2))


def outlines(seen: Looks) -> FloatMatrix:
    """Return the outline of each picture, ``(n, 67) float32``, rows of length 1.

    These are the low frequencies of the luma, without its mean and without the outermost cells, where borders are
    (cosine transform as in pHash), each weighed by the root of its frequency so that all count about alike. Four more
    numbers, the mean colour, only count where a picture is so even that there is nothing else. The cosine of two
    outlines says whether a closer look is worth it, and can be asked of a vector index.
    """
    waves = _cosines(GRID - 2)[:COARSE]
    found = (waves @ seen.luma[:, 1:-1, 1:-1] @ waves.T) * np.sqrt(np.add.outer(range(COARSE), range(COARSE)))
    colour = [np.full(len(found), 1.0), seen.luma.mean(axis=(1, 2)) / 64 - 2, *seen.chroma.mean(axis=(2, 3)).T / 32]
    even = _EVEN * np.stack(colour, axis=1)
    rows = np.concatenate([found.reshape(-1, COARSE * COARSE)[:, 1:], even], axis=1)
    outlined: FloatMatrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return outlined


def unlikeness(one: Looks, other: Looks) -> PerPair:
    """Return how far the pictures of each pair are from being copies of one another: up to 1 they look identical.

    ``one`` and ``other`` hold as many pictures, pair by pair; for that it does not matter which is which. What can
    be told apart is what 256 cells show: something that covers two thirds of a cell, a twenty-fourth of the width, and
    differs clearly.
    """
    found = [
        _unlike(one.at(slice(i, i + _BLOCK)), other.at(slice(i, i + _BLOCK))) for i in range(0, len(one.luma), _BLOCK)
    ]
    return np.concatenate(found) if found else np.empty(0, np.float32)


class _Fitted(NamedTuple):
    """One picture after the change that makes it most like another.

    ``moved`` is how far each cell was moved, ``(n, 16, 16)`` in cells; ``plain`` is the picture so moved and ``luma``
    that with the other's tones; ``chroma`` likewise.
    """

    plain: Cells
    luma: Cells
    chroma: NDArray[np.float32]
    moved: Cells


def _unlike(one: Looks, other: Looks) -> PerPair:
    # A copy of the same size was not cropped; the next picture of a burst is of the same size.
    resized = (one.sizes != other.sizes).any(axis=1)
    found = _still(one, other)
    for attempt, (a, b) in ((_still, (other, one)), (_cropped, (one, other)), (_cropped, (other, one))):
        maybe = np.flatnonzero((found > 1) & (resized | (attempt is _still)))
        if len(maybe):
            found[maybe] = np.minimum(found[maybe], attempt(a.at(maybe), b.at(maybe)))
    return found


def _still(one: Looks, other: Looks) -> PerPair:
    """Return how far ``one`` is from being ``other`` with other tones."""
    luma = _toned(one.luma, other.luma, np.ones((GRID, GRID), np.float32))
    moved = np.broadcast_to(_rounded(one, other), luma.shape)
    fitted = _Fitted(one.luma, luma, _coloured(one.chroma * _gain(one.luma, luma), other), moved)
    shape = _aspect(one.sizes, other.sizes, np.zeros((len(luma), 2), np.float32))
    worst: PerPair = np.maximum(shape, _left(fitted, other, 1.0, np.ones((GRID, GRID), np.float32)))
    return worst


def _cropped(one: Looks, other: Looks) -> PerPair:
    """Return how far one of the two is from being cut out of the other, or the other from having got a border."""
    shift, scale = _registered(one.luma, other.luma)
    plain = _moved(one.luma, shift, scale)
    luma = _toned(plain, other.luma, _INNER)
    places = np.abs(shift[:, 0, None, None] + scale[:, 0, None, None] * _ACROSS)
    places = places + np.abs(shift[:, 1, None, None] + scale[:, 1, None, None] * _DOWN)
    colours = _moved(one.chroma.reshape(-1, COARSE, COARSE), shift.repeat(2, 0), scale.repeat(2, 0))
    chroma = _coloured(colours.reshape(one.chroma.shape) * _gain(plain, luma), other)
    fitted = _Fitted(plain, luma, chroma, np.minimum(1.0, _rounded(one, other) + places * (GRID / 2)))
    reach = (np.abs(shift) + np.abs(scale)).max(axis=1)
    # The part lies within the whole: it is smaller on both sides, and moved by no more than that.
    outside = np.minimum(*((np.abs(shift) + way * scale).max(axis=1) for way in (1, -1))) / OUTSIDE
    bounds = np.maximum(outside, np.where(reach < MOVED_FROM, np.inf, reach / MOVED_TO))
    worst: PerPair = np.maximum(bounds, _aspect(one.sizes, other.sizes, scale))
    worst = np.maximum(worst, _left(fitted, other, LOOSER, _INNER))
    return np.asarray(worst, np.float32)


def _rounded(one: Looks, other: Looks) -> Cells:
    """Return by how many cells places may be off because of whole pixels, ``(n, 1, 1)``."""
    smallest = np.clip(np.minimum(one.sizes, other.sizes).min(axis=1), 1, ROUNDED_FROM_PX)
    return np.asarray(ROUNDED_PX * GRID / smallest, np.float32)[:, None, None]


def _coloured(chroma: NDArray[np.float32], other: Looks) -> NDArray[np.float32]:
    """Return colour differences with the cast and the saturation of the other's, as far as a copy may have others."""
    inner = slice(1, -1)
    mine, theirs = (each[:, :, inner, inner] for each in (chroma, other.chroma))
    means = [each.mean(axis=(2, 3), keepdims=True) for each in (mine, theirs)]
    along = ((mine - means[0]) * (theirs - means[1])).sum(axis=(1, 2, 3))
    ridge = _RIDGE_CHROMA * mine[0].size
    vivid = (along + ridge) / (((mine - means[0]) ** 2).sum(axis=(1, 2, 3)) + ridge)
    vivid = np.clip(vivid, 1 / SATURATED_MOST, SATURATED_MOST)[:, None, None, None]
    most = np.where(other.luma.std(axis=(1, 2)) < FLAT, 0.0, CAST_MOST)[:, None, None, None]
    cast = np.clip(means[1] - vivid * means[0], -most, most)
    return np.asarray(vivid * chroma + cast, np.float32)


def _registered(one: Cells, other: Cells) -> tuple[FloatMatrix, FloatMatrix]:
    """Return the shift and scale, ``(n, 2)`` across and down in half widths, that bring ``one`` onto ``other``."""
    shift, scale = np.zeros((2, len(one), 2), np.float32)
    for _ in range(_STEPS):
        plain = _moved(one, shift, scale)
        down, across = _slopes(plain)
        motion = np.stack([across, down, _ACROSS * across, _DOWN * down], axis=-1) / 64
        found = _solved(np.concatenate([_tones(plain), motion], axis=-1), other - plain, _INNER)[:, -4:] / 64
        shift = np.clip(shift + found[:, :2], -_FARTHEST, _FARTHEST)
        scale = np.clip(scale + found[:, 2:], -_FARTHEST, _FARTHEST)
    return shift, scale


def _left(fitted: _Fitted, other: Looks, looser: float, counted: Cells) -> PerPair:
    """Return what the change does not explain, as a share of what is allowed: the worst of five."""
    contrast = other.luma.std(axis=(1, 2))
    toned = np.sqrt(((fitted.luma - fitted.plain) ** 2).mean(axis=(1, 2)))
    off = np.abs(other.luma - fitted.luma) * counted
    between = fitted.moved * _span(fitted.plain) * _gain(fitted.plain, fitted.luma)[:, 0]
    lost = CLIPPED * np.clip((fitted.luma - CLIPPED_FROM) / CLIPPED_OVER, 0, 1) * (fitted.luma > fitted.plain + 6)
    allowed = looser * (np.clip(TOLERANCE * contrast, FROM, TO) + TONED * toned)[:, None, None]
    luma = (off / (allowed + lost + BETWEEN * between)).max(axis=(1, 2))
    rest = np.sqrt((off**2).sum(axis=(1, 2)) / counted.sum()) / (UNEXPLAINED * np.maximum(contrast, 3.0))
    tones = np.abs(fitted.luma - fitted.plain).max(axis=(1, 2)) / np.where(contrast < FLAT, FLAT_TONE_MOST, TONE_MOST)
    halves = (len(contrast), COARSE, 2, COARSE, 2)
    moved = fitted.moved.reshape(halves).max(axis=(2, 4))[:, None]
    spans = _span(fitted.chroma.reshape(-1, COARSE, COARSE)).reshape(fitted.chroma.shape)
    bright = lost.reshape(halves).max(axis=(2, 4))[:, None]
    enough = (looser * CHROMA + TONED_CHROMA * toned)[:, None, None, None] + bright + 0.7 * BETWEEN * moved * spans
    colour = np.abs(other.chroma - fitted.chroma) / enough
    if counted[0, 0] == 0:
        colour = colour[:, :, 1:-1, 1:-1]
    worst = np.maximum(np.maximum(luma, rest), np.maximum(tones, colour.max(axis=(1, 2, 3))))
    found: PerPair = worst.astype(np.float32)
    return found


def _aspect(one: FloatMatrix, other: FloatMatrix, scale: FloatMatrix) -> PerPair:
    """Return how far the shape of ``other`` is from that of ``one`` after the crop, as a share of what is allowed."""
    sizes = np.maximum(np.stack([one, other]), 1.0)
    shapes = np.log(sizes[..., 0] / sizes[..., 1])
    off = np.abs(shapes[1] - shapes[0] - np.log1p(scale[:, 0]) + np.log1p(scale[:, 1]))
    found: PerPair = (off / (ASPECT + 1.0 / sizes.min(axis=(0, 2)))).astype(np.float32)
    return found


def _toned(plain: Cells, other: Cells, counted: Cells) -> Cells:
    """Return ``plain`` with the tones of ``other``: through a curve of four straight pieces."""
    tones = _tones(plain)
    toned: Cells = plain + np.einsum("nijk,nk->nij", tones, _solved(tones, other - plain, counted))
    return toned


def _tones(plain: Cells) -> NDArray[np.float32]:
    levels = plain / 255
    bends = [np.maximum(levels - knot, 0) for knot in _KNOTS]
    columns: NDArray[np.float32] = np.stack([np.ones_like(levels), levels, *bends], axis=-1)
    return columns


def _solved(columns: NDArray[np.float32], wanted: Cells, counted: Cells) -> FloatMatrix:
    """Return the weights of the columns whose sum is nearest to ``wanted``, by least squares with a small ridge."""
    count, width = len(wanted), columns.shape[-1]
    weighed = (columns * counted[..., None]).reshape(count, -1, width)
    square = weighed.transpose(0, 2, 1) @ weighed + np.eye(width, dtype=np.float32) * (_RIDGE * GRID * GRID)
    right = weighed.transpose(0, 2, 1) @ (wanted * counted).reshape(count, -1, 1)
    found: FloatMatrix = np.linalg.solve(square, right)[..., 0]
    return found


def _gain(plain: Cells, toned: Cells) -> NDArray[np.float32]:
    """Return by how much the tones were stretched, ``(n, 1, 1, 1)``."""
    ratio = toned.std(axis=(1, 2)) / np.maximum(plain.std(axis=(1, 2)), 2.0)
    gain: NDArray[np.float32] = np.clip(ratio, 0.5, 2.0)[:, None, None, None]
    return gain


def _moved(cells: Cells, shift: FloatMatrix, scale: FloatMatrix) -> Cells:
    """Return the cells that lie at ``(1 + scale) x + shift``, in half widths from the centre; across, then down."""
    size = cells.shape[-1]
    across, down = (_between(shift[:, axis], scale[:, axis], size) for axis in (0, 1))
    return np.asarray(down @ cells @ across.transpose(0, 2, 1), np.float32)


def _between(shift: PerPair, scale: PerPair, size: int) -> Cells:
    """Return the matrices ``(n, size, size)`` that interpolate a line of cells (Catmull and Rom's cubic)."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    places = (centres * (1 + scale[:, None]) + shift[:, None] + 1) / 2 * size - 0.5
    first = np.floor(places).astype(np.int64)
    x = (places - first).astype(np.float32)
    weights = ((-x + 2 * x**2 - x**3), (2 - 5 * x**2 + 3 * x**3), (x + 4 * x**2 - 3 * x**3), (-(x**2) + x**3))
    found = np.zeros((len(shift), size, size), np.float32)
    for step, weight in enumerate(weights):
        column = np.clip(first + step - 1, 0, size - 1)
        found += (column[..., None] == np.arange(size)) * (weight / 2)[..., None]
    return found


def _slopes(cells: Cells) -> tuple[Cells, Cells]:
    """Return how much the cells change down and across, per half width."""
    padded = np.pad(cells, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    return down * (GRID / 4), across * (GRID / 4)


def _span(cells: Cells) -> Cells:
    """Return the difference between the largest and the least of each cell and its eight neighbours."""
    padded = np.pad(cells, ((0, 0), (1, 1), (1, 1)), mode="edge")
    high = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    low = np.minimum(np.minimum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    high = np.maximum(np.maximum(high[..., :-2], high[..., 1:-1]), high[..., 2:])
    low = np.minimum(np.minimum(low[..., :-2], low[..., 1:-1]), low[..., 2:])
    return np.asarray(high - low, np.float32)


def _cosines(size: int) -> FloatMatrix:
    """Return the orthonormal cosine transform of lines of ``size`` cells, one frequency a row."""
    steps = np.arange(size)
    found = np.cos(np.pi * (2 * steps + 1) * steps[:, None] / (2 * size)) * np.sqrt(2 / size)
    found[0] /= np.sqrt(2)
    return np.asarray(found, np.float32)
