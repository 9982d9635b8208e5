"""Signatures straight from the planes of a decoded frame: a fiftieth of what scaling the whole frame to RGB takes.

Pure arithmetic. Of each row of cells eight rows of pixels are read; luma and chroma are brought to full range and, from
BT.709, to the BT.601 that signatures are in.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.media.frames import GRID, Signature

ROWS_A_CELL = 8

_LIMITED_ZERO = np.array([16, 128, 128], dtype=np.float32)
_LIMITED_SCALE = np.array([255 / 219, 255 / 224, 255 / 224], dtype=np.float32)
_FROM_709 = np.array([[1.0, 0.1016, 0.1966], [0.0, 0.9899, -0.1107], [0.0, -0.0725, 0.9834]], dtype=np.float32).T


class Planes(NamedTuple):
    """The planes of a frame: luma ``(h, w)`` and two of chroma, at least 16 wide and high, with what they mean.

    ``top`` is the largest value that a sample can take; ``full`` says that luma goes from 0 to ``top`` and not from
    16/255 to 235/255 of it; ``hd`` that the colours are those of BT.709.
    """

    luma: NDArray[np.unsignedinteger]
    chroma: tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]
    top: int = 255
    full: bool = False
    hd: bool = False


def signature_of(planes: Planes) -> Signature:
    """Return the signature of a frame as it is stored; see ``frames.signature``."""
    found = np.stack([_cells(plane) for plane in (planes.luma, *planes.chroma)], axis=2)
    found *= 256 / (planes.top + 1)
    if planes.full:
        found[..., 1:] -= 128.0
    else:
        found -= _LIMITED_ZERO
        found *= _LIMITED_SCALE
    if planes.hd:
        found = found @ _FROM_709
    found[..., 0] = found[..., 0].clip(0.0, 255.0)
    return found


def _cells(plane: NDArray[np.unsignedinteger]) -> NDArray[np.float32]:
    height, width = plane.shape
    rows = plane[_rows(height)]
    columns = np.zeros((GRID, width), np.uint32 if plane.itemsize > 1 else np.uint16)
    for row in range(ROWS_A_CELL):
        columns += rows[row::ROWS_A_CELL]
    edges = np.arange(GRID) * width // GRID
    sums = np.add.reduceat(columns, edges, axis=1, dtype=np.uint32)
    cells: NDArray[np.float32] = (sums / (np.diff(edges, append=width) * ROWS_A_CELL)).astype(np.float32)
    return cells


@lru_cache(maxsize=64)
def _rows(height: int) -> NDArray[np.int64]:
    count = GRID * ROWS_A_CELL
    rows: NDArray[np.int64] = ((np.arange(count) + 0.5) * height / count).astype(np.int64)
    return rows
