"""Varied views of a picture: a random part, mirrored, with other colours; never mirrored where left and right count."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

from retrieval.config import Preprocessing
from retrieval.embedding.preprocess import preprocess
from retrieval.types import Pixels

_SIDED = re.compile(r"\b(left|right|leftmost|rightmost|(counter|anti)?-?clockwise)\b|[左右]", re.IGNORECASE)
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "lanczos": Image.Resampling.LANCZOS}
_COLOURS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


class Augment(NamedTuple):
    """How much a view may differ.

    ``crop`` is the least share of the area that is kept (1: the whole picture), ``flip`` the chance of a mirrored view,
    ``jitter`` how far brightness, contrast and saturation may go from 1.
    """

    crop: float
    flip: float
    jitter: float


PLAIN = Augment(1.0, 0.0, 0.0)


def sided(captions: Iterable[str]) -> bool:
    """Whether a caption says left or right: a mirrored picture would make it wrong."""
    return any(_SIDED.search(caption) for caption in captions)


def view(pixels: Pixels, how: Preprocessing, augment: Augment, rng: np.random.Generator, mirror: bool = True) -> Pixels:
    """Return a view ``(height, width, 3) uint8`` of ``(H, W, 3) uint8`` pixels; not mirrored without ``mirror``.

    The parts follow Szegedy et al., "Going deeper with convolutions", CVPR 2015 (aspect 3:4 to 4:3). The generator
    moves on by the same steps whatever is switched off.
    """
    left, top, right, bottom = _box(pixels.shape[1], pixels.shape[0], augment.crop, rng)
    chance, factors = rng.random(), rng.uniform(1 - augment.jitter, 1 + augment.jitter, 3)
    if augment.crop < 1:
        resample = _FILTERS.get(how.interpolation, Image.Resampling.BICUBIC)
        image = Image.fromarray(pixels).resize((how.width, how.height), resample, box=(left, top, right, bottom))
    else:
        image = Image.fromarray(preprocess(pixels, how))
    if mirror and chance < augment.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if augment.jitter:
        for kind, factor in zip(_COLOURS, factors, strict=True):
            image = kind(image).enhance(float(factor))
    return np.asarray(image)


def _box(width: int, height: int, least: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
    area, aspect = rng.uniform(least, 1.0), float(np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3))))
    w = min(1.0, float(np.sqrt(area * aspect))) * width
    h = min(1.0, float(np.sqrt(area / aspect))) * height
    left, top = rng.uniform(0, 1) * (width - w), rng.uniform(0, 1) * (height - h)
    return left, top, left + w, top + h
