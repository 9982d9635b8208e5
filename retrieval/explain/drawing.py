"""Draws an explanation: the picture with the heat over it and the regions outlined, as a PNG file."""

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Sampling
from retrieval.errors import OptionError
from retrieval.explain.colours import coloured
from retrieval.explain.explaining import Explanation
from retrieval.explain.target import shown_pixels
from retrieval.messages import _
from retrieval.store.durable import replace
from retrieval.types import Pixels

if TYPE_CHECKING:
    from PIL import Image

LONGEST = 1600
"""Pixels of the longer side of a drawing, at most."""
_SHORTEST = 480
_LEAST, _MOST = 0.22, 0.66  # how much of the colour covers the picture, from no heat to all
_UNSEEN = 0.35  # the brightness of what the model does not look at


def check_out(out: Path, used: set[Path]) -> None:
    """Make sure that a drawing may be written to ``out``; ``used`` are the files the question is about.

    Raises:
        OptionError: it is no name for a PNG file, one of the files used, or in a folder that is not there.
    """
    if out.suffix.lower() != ".png":
        raise OptionError(_("{out} is not a name for a PNG file; end it in .png").format(out=out))
    if os.path.realpath(out) in {os.path.realpath(path) for path in used}:
        raise OptionError(_("{out} is itself part of the question; name another file to write to").format(out=out))
    if out.is_dir() or not out.parent.is_dir():
        raise OptionError(
            _("{out} cannot be written: there is no folder {folder}, or a folder has that name").format(
                out=out, folder=out.parent
            )
        )


def write_heat_map(explanation: Explanation, out: Path, sampling: Sampling | None = None) -> None:
    """Write the drawing to ``out``: whole or not at all, readable by its owner alone.

    ``sampling`` chooses the frames of videos as it did for the explanation.

    Raises:
        MediaError: the file can no longer be read.
        CollectionError: ``out`` cannot be written.
    """
    drawn = draw(shown_pixels(explanation.target, sampling or Sampling()), explanation)
    content = BytesIO()
    drawn.save(content, "PNG")
    replace(out, lambda file: file.write(content.getvalue()))


def draw(pixels: Pixels, explanation: Explanation) -> "Image.Image":
    """Return the picture ``(h, w, 3) uint8`` with the heat over it, at most ``LONGEST`` pixels long.

    Where there is no heat, the picture shows through in grey; what the model does not look at is dark.
    """
    from PIL import Image

    size = _size(explanation.target.width, explanation.target.height, pixels.shape[1], pixels.shape[0])
    picture = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), dtype=np.float32)
    grey = (picture @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[..., None]
    heat = _enlarged(np.nan_to_num(explanation.heat, nan=0.0), size)
    unseen = _enlarged(np.isnan(explanation.heat).astype(np.float32), size)[..., None] > 0.5
    cover = (_LEAST + (_MOST - _LEAST) * heat)[..., None]
    mixed = (1 - cover) * (0.35 * grey + 0.65 * picture) + cover * coloured(heat)
    mixed = np.where(unseen, _UNSEEN * grey, mixed)
    drawn = Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))
    _outline(drawn, explanation)
    return drawn


def _size(width: int, height: int, decoded_width: int, decoded_height: int) -> tuple[int, int]:
    """Return the drawing's size: as decoded, but enlarged where it is small and reduced where it is long."""
    scale = max(1.0, _SHORTEST / min(decoded_width, decoded_height))
    scale = min(scale, LONGEST / max(decoded_width, decoded_height))
    wide = max(1, round(decoded_width * scale))
    high = max(1, round(decoded_height * scale))
    # The decoder may have rounded the proportions; the boxes are those of the file.
    return (
        (wide, max(1, round(wide * height / width))) if wide >= high else (max(1, round(high * width / height)), high)
    )


def _enlarged(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    from PIL import Image

    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def _outline(drawn: "Image.Image", explanation: Explanation) -> None:
    """Draw the boxes, white with a dark edge, so that they show on any ground."""
    from PIL import ImageDraw

    pen = ImageDraw.Draw(drawn)
    across, down = drawn.width / explanation.target.width, drawn.height / explanation.target.height
    line = max(2, round(min(drawn.size) / 240))
    for region in explanation.regions:
        box = (
            round(region.left * across),
            round(region.top * down),
            max(round(region.left * across), round((region.left + region.width) * across) - 1),
            max(round(region.top * down), round((region.top + region.height) * down) - 1),
        )
        pen.rectangle(box, outline=(20, 20, 20), width=line + 2)
        inner = (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1)
        if inner[2] > inner[0] and inner[3] > inner[1]:
            pen.rectangle(inner, outline=(255, 255, 255), width=line)
