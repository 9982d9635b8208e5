"""How the frames of a video are shown: pixels that are not square, and turned or mirrored pictures. Pure geometry."""

import struct
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

_WIDEST = 4.0


class Screen(NamedTuple):
    """``aspect`` is how much wider than high a pixel is shown; what is stored at (x, y) is shown at (ax + cy, bx + dy).

    Only the signs of ``(a, b, c, d)`` count: displays turn by quarters.
    """

    aspect: float = 1.0
    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)

    @classmethod
    def of(cls, aspect: float, display_matrix: bytes) -> Self:
        """Read a display matrix as ffmpeg hands it on: nine native 32-bit integers, row by row; empty means upright."""
        if not 1 / _WIDEST <= aspect <= _WIDEST:
            aspect = 1.0  # nonsense
        if len(display_matrix) < 20:
            return cls(aspect)
        a, b, _, c, d = struct.unpack("=5i", display_matrix[:20])
        return cls(aspect, (a, b, c, d))

    @property
    def sideways(self) -> bool:
        """Whether width and height change places."""
        a, b, c, d = self.matrix
        return abs(b) + abs(c) > abs(a) + abs(d)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) in pixels as a player shows a frame stored at that size."""
        shown = round(width * self.aspect), height
        return shown[::-1] if self.sideways else shown

    def scaled(self, width: int, height: int, shorter: int) -> tuple[int, int]:
        """Return the (width, height) to scale a stored frame to: square pixels, at most ``shorter``, never larger."""
        wide, high = width * min(1.0, self.aspect), height / max(1.0, self.aspect)
        share = min(1.0, shorter / max(1.0, min(wide, high)))
        return max(1, round(wide * share)), max(1, round(high * share))

    def turned(self, pixels: NDArray[Number]) -> NDArray[Number]:
        """Return a view of stored pixels as they are shown."""
        a, b, c, d = self.matrix
        across, down = (c, b) if self.sideways else (a, d)
        upright = pixels.transpose(1, 0, 2) if self.sideways else pixels
        return upright[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
