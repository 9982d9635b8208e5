"""From pixels of any size to the input of an image tower: pure, and byte for byte what OpenCLIP does to a picture."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from retrieval.config import Preprocessing
from retrieval.types import Pixels

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# A panorama whose scaled form would be this many times the crop is cut before it is scaled, to bound the memory.
_PANORAMA = 8


class Window(NamedTuple):
    """What part of a picture fills the tower's input, as fractions of the picture's width and height.

    (0, 0, 1, 1) is the whole picture; beyond it lies what ``pad`` adds, and what ``crop`` cuts off is not inside.
    """

    left: float
    top: float
    right: float
    bottom: float


def window(width: int, height: int, how: Preprocessing) -> Window:
    """Return where ``preprocess`` takes its result from in a picture of that size in pixels."""
    if how.resize == "squash":
        return Window(0.0, 0.0, 1.0, 1.0)
    if how.resize == "crop":
        wide, high = _cover(width, height, how)
        left, top = round((wide - how.width) / 2.0), round((high - how.height) / 2.0)
    else:
        wide, high = _fit(width, height, how)
        left, top = -((how.width - wide) // 2), -((how.height - high) // 2)
    return Window(left / wide, top / high, (left + how.width) / wide, (top + how.height) / high)


def preprocess(pixels: Pixels, how: Preprocessing) -> Pixels:
    """Scale ``(H, W, 3) uint8`` RGB to ``(height, width, 3) uint8`` of ``how``.

    Pillow's filters widen their support when they shrink, so nothing aliases. ``crop`` scales the shorter side to size
    and cuts the centre, ``pad`` scales the longer side and fills with black, ``squash`` changes the proportions.
    """
    image = Image.fromarray(pixels)
    resample = _FILTERS[how.interpolation]
    if how.resize == "squash":
        made = image.resize((how.width, how.height), resample)
    elif how.resize == "crop":
        made = _crop(image, how, resample)
    else:
        made = _pad(image, how, resample)
    return np.asarray(made)


def _crop(image: Image.Image, how: Preprocessing, resample: Image.Resampling) -> Image.Image:
    width, height = _cover(image.width, image.height, how)
    left, top = round((width - how.width) / 2.0), round((height - how.height) / 2.0)
    if width * height > _PANORAMA * how.width * how.height:
        # The same sampling positions, computed for the cut alone.
        across, down = image.width / width, image.height / height
        box = (left * across, top * down, (left + how.width) * across, (top + how.height) * down)
        return image.resize((how.width, how.height), resample, box=box)
    scaled = image.resize((width, height), resample)
    return scaled.crop((left, top, left + how.width, top + how.height))


def _cover(width: int, height: int, how: Preprocessing) -> tuple[int, int]:
    """Return the scaled size whose shorter side is that of the tower (torchvision's Resize rounds the longer down)."""
    if how.width == how.height:
        size = how.width
        if width <= height:
            return size, int(size * height / width)
        return int(size * width / height), size
    ratio = min(height / how.height, width / how.width)
    return round(width / ratio), round(height / ratio)


def _fit(width: int, height: int, how: Preprocessing) -> tuple[int, int]:
    """Return the scaled size whose longer side is that of the tower."""
    ratio = max(height / how.height, width / how.width)
    return max(1, round(width / ratio)), max(1, round(height / ratio))


def _pad(image: Image.Image, how: Preprocessing, resample: Image.Resampling) -> Image.Image:
    width, height = _fit(image.width, image.height, how)
    canvas = Image.new("RGB", (how.width, how.height))
    canvas.paste(image.resize((width, height), resample), ((how.width - width) // 2, (how.height - height) // 2))
    return canvas
