"""From what Pillow decoded to pixels as shown: transparency on white, deep samples scaled to 8 bit, turned upright.

Large pictures are worked through in bands and reduced on the way, so that no second full copy is made.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from retrieval.types import Pixels

_DEEP = ("I", "F")
_RANGES = (255, 1023, 4095, 16383, 65535)
"""Largest values of 8, 10, 12, 14 and 16-bit samples."""
_BAND_PIXELS = 4_000_000
_LARGEST_RESULT = 32_000_000
"""Pixels handed on at most: a strip of any length stays within bounds, even below ``target``."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_pixels(image: Image.Image, target: int, orientation: int = 1) -> Pixels:
    """Return a loaded picture as RGB, reduced by a whole number where its shorter side is more than twice ``target``.

    ``orientation`` is EXIF's, 1-8; anything else counts as upright.
    """
    width, height = image.size
    shorter = min(width, height)
    factor = shorter // target if shorter > 2 * target else 1
    factor = max(factor, math.ceil(math.sqrt(width * height / _LARGEST_RESULT)))
    if width * height > _BAND_PIXELS:
        shown = _in_bands(image, factor)
    else:
        shown = _reduced(_to_rgb(image, _range(image)), factor)
    if orientation in _TURNS:
        shown = shown.transpose(_TURNS[orientation])
    return np.ascontiguousarray(np.asarray(shown, dtype=np.uint8))


def _in_bands(image: Image.Image, factor: int) -> Image.Image:
    width, height = image.size
    limits = _range(image)
    rows = max(1, _BAND_PIXELS // width // factor) * factor
    result = Image.new("RGB", (math.ceil(width / factor), math.ceil(height / factor)))
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(height, top + rows)))
        band.info = image.info  # crop keeps it today; palettes' transparency depends on it
        result.paste(_reduced(_to_rgb(band, limits), factor), (0, top // factor))
    return result


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    return image.reduce(factor) if factor > 1 else image


def _to_rgb(image: Image.Image, limits: tuple[float, float]) -> Image.Image:
    if _is_deep(image.mode):
        return Image.fromarray(_scaled(np.asarray(image), limits)).convert("RGB")
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    if image.has_transparency_data and not (image.mode == "RGB" and isinstance(image.info.get("transparency"), int)):
        return _on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    ground = Image.new("RGB", image.size, (255, 255, 255))
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    changed = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, rgb, "LAB", "RGB"))
    assert changed is not None
    return changed


def _is_deep(mode: str) -> bool:
    return mode in _DEEP or mode.startswith("I;16")


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the sample values that become black and white.

    Whole numbers count as 8, 10, 12, 14 or 16-bit samples, whichever holds their largest value; fractions as 0-1 or
    0-255; anything outside is stretched from its least to its greatest value.
    """
    if not _is_deep(image.mode):
        return 0.0, 255.0
    samples = np.asarray(image)
    if image.mode == "F":
        finite = samples[np.isfinite(samples)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        tops: tuple[float, ...] = (1.0, 255.0)
    else:
        low, high = float(samples.min()), float(samples.max())
        tops = _RANGES
    top = next((top for top in tops if high <= top), None)
    return (low, high) if low < 0 or top is None else (0.0, float(top))


def _scaled(samples: NDArray[np.generic], limits: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = limits
    with np.errstate(all="ignore"):
        values = np.nan_to_num(samples.astype(np.float32), nan=low, posinf=high, neginf=low)
        values = (values - low) * (255.0 / ((high - low) or 1.0))
        scaled: NDArray[np.uint8] = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    return scaled
