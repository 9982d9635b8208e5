"""A colour map of even steps: equal differences of a value look equally different.

Lightness rises from dark violet over red to light yellow in the space Oklab (Ottosson, 2020), whose distances follow
what people see; the steps along the way have the same length there. It reads the same in grey.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Pixels

_STEPS = 256
_DARK, _LIGHT = 0.25, 0.94
_VIOLET, _YELLOW = 300.0, 462.0  # degrees of hue, past 360
_CHROMA = 0.2
_OKLAB_TO_LMS = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_LMS_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def coloured(values: NDArray[np.float32]) -> Pixels:
    """Return the colours of values of any shape, 0 (dark) to 1 (light), as ``(..., 3) uint8`` RGB; NaN is dark."""
    places = np.rint(np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0) * (_STEPS - 1)).astype(int)
    found: Pixels = colour_table()[places]
    return found


@cache
def colour_table() -> Pixels:
    """Return the map's colours from dark to light, ``(256, 3) uint8`` RGB."""
    path = _path(np.linspace(0.0, 1.0, 4 * _STEPS))
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    even = np.linspace(0.0, lengths[-1], _STEPS)
    lab = np.stack([np.interp(even, lengths, path[:, axis]) for axis in range(3)], axis=1)
    linear = np.clip(_linear_rgb(lab), 0.0, 1.0)
    table: Pixels = np.rint(255 * _encoded(linear)).astype(np.uint8)
    table.setflags(write=False)
    return table


def _path(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the way through Oklab, ``(n, 3)``, with as much chroma as a screen can show."""
    light = _DARK + (_LIGHT - _DARK) * at
    hue = np.radians(_VIOLET + (_YELLOW - _VIOLET) * at)
    low, high = np.zeros_like(at), np.full_like(at, _CHROMA)
    for _ in range(30):
        middle = (low + high) / 2
        rgb = _linear_rgb(_lab(light, middle, hue))
        fits = ((rgb >= 0) & (rgb <= 1)).all(axis=1)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return _lab(light, low, hue)


def _lab(light: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([light, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)


def _linear_rgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (lab @ _OKLAB_TO_LMS.T) ** 3 @ _LMS_TO_RGB.T
    return found


def _encoded(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the transfer curve of sRGB."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
