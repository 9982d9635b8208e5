"""How much each place of an image tower's input speaks for a query: by the model's own cells, or by masking.

*Cells*: a model that tells cells apart gives a vector for each, and a cell's score is its product with the query, which
is class activation mapping (Zhou et al., CVPR 2016) with the query in the place of a class. One run of the tower.

*Masks*: any other model is asked again and again with parts of the picture hidden, and a place speaks for the query as
far as the score rises where it is shown: randomised input sampling (RISE, Petsiuk et al., BMVC 2018), with each mask
used together with its opposite, so that fewer are needed. The masks are the same each time.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.embedding import Embedder
from retrieval.embedding.base import tells_cells, usable
from retrieval.errors import MediaError, OptionError
from retrieval.messages import _
from retrieval.types import FloatMatrix, Pixels

Method = Literal["auto", "cells", "masks"]
Heat = NDArray[np.float64]
"""``(rows, columns) float64``: how much the places of a picture, in equal cells, speak for a query; higher is more."""

MASKS = 256
"""How many times a picture is looked at with parts of it hidden."""
_SEED = 0
_MASK_CELLS = 7  # a side; the masks of RISE have as many
_FINE = 28  # cells a side of the heat that masks give


class Found(NamedTuple):
    """The heat over a tower's input, and what it was found by."""

    heat: Heat
    method: Literal["cells", "masks"]


def find_heat(
    embedder: Embedder,
    pixels: Pixels,
    probe: FloatMatrix,
    method: Method = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Found:
    """Return the heat of preprocessed ``pixels`` for a probe ``(dim,)``; ``auto`` takes cells where there are some.

    ``progress`` is called with how many looks are done and how many there will be.

    Raises:
        OptionError: cells are asked for, and the model has none.
        ModelError: the model cannot be run.
        MediaError: the model gives no vector for the picture.
    """
    if method == "cells" and not tells_cells(embedder):
        raise OptionError(
            _("the model {name} has no cells; use --method masks, or leave --method out").format(
                name=embedder.spec.name
            )
        )
    if method != "masks" and tells_cells(embedder):
        return Found(cell_heat(embedder, pixels, probe), "cells")
    return Found(mask_heat(look_masked(embedder, pixels, progress=progress), probe), "masks")


def cell_heat(embedder: Embedder, pixels: Pixels, probe: FloatMatrix) -> Heat:
    """Return the score of each cell, averaged a little with its neighbours: ``(rows, columns)`` as the model has them.

    Raises:
        OptionError: the model has no cells.
        MediaError: the model gives no vectors for the picture.
    """
    if not tells_cells(embedder) or embedder.cells is None:
        raise OptionError(_("the model {name} has no cells").format(name=embedder.spec.name))
    scores = embedder.embed_cells(pixels[None])[0].astype(np.float64) @ probe.astype(np.float64)
    if not np.isfinite(scores).all():
        raise MediaError(_("the model gives no vectors for this picture; give another one"))
    return _smooth(scores.reshape(embedder.cells))


class Looks(NamedTuple):
    """A picture seen with parts hidden: masks ``(n, 28, 28)``, 1 where it is shown, and vectors ``(n, dim)``."""

    masks: NDArray[np.float64]
    vectors: FloatMatrix


def mask_heat(looks: Looks, probe: FloatMatrix) -> Heat:
    """Return how the score for a probe ``(dim,)`` rises as each place is shown, ``(28, 28)``: slopes over the masks."""
    scores = looks.vectors.astype(np.float64) @ probe.astype(np.float64)
    away = looks.masks - looks.masks.mean(axis=0)
    slopes = np.tensordot(scores - scores.mean(), away, axes=1)
    heat: Heat = slopes / np.maximum((away**2).sum(axis=0), 1e-9)
    return heat


def look_masked(
    embedder: Embedder,
    pixels: Pixels,
    count: int = MASKS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Looks:
    """Embed preprocessed ``pixels`` with ``count`` masks, half of them the opposites of the others.

    What is hidden has the mean colour of the picture.

    Raises:
        MediaError: the model gives no vector for any form of the picture.
    """
    shown = pixels.astype(np.float32)
    hidden = shown.mean(axis=(0, 1))
    rng = np.random.default_rng(_SEED)
    pairs = max(1, count // 2)
    step = max(1, embedder.batch_size // 2)
    masks, rows = [], []
    for start in range(0, pairs, step):
        half = np.stack([_mask(rng, pixels.shape[:2]) for _ in range(min(step, pairs - start))])
        both = np.concatenate([half, 1.0 - half])
        batch = hidden + both[..., None] * (shown - hidden)
        rows.append(embedder.embed_pixels(np.rint(batch).astype(np.uint8)))
        masks.append(np.stack([_coarse(mask) for mask in both]))
        progress(2 * min(pairs, start + step), 2 * pairs)
    vectors = np.concatenate(rows)
    good = usable(vectors)
    if not good.any():
        raise MediaError(_("the model gives no vector for this picture; give another one"))
    return Looks(np.concatenate(masks)[good], vectors[good])


def _mask(rng: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a mask ``(height, width)`` of 0 to 1: coarse random cells, enlarged smoothly and shifted."""
    from PIL import Image

    height, width = size
    high, wide = -(-height // _MASK_CELLS), -(-width // _MASK_CELLS)
    cells = (rng.random((_MASK_CELLS + 1, _MASK_CELLS + 1)) < 0.5).astype(np.float32)
    whole = (wide * (_MASK_CELLS + 1), high * (_MASK_CELLS + 1))
    smooth = np.asarray(Image.fromarray(cells).resize(whole, Image.Resampling.BILINEAR))
    top, left = int(rng.integers(high)), int(rng.integers(wide))
    return smooth[top : top + height, left : left + width]


def _coarse(mask: NDArray[np.float32]) -> NDArray[np.float64]:
    from PIL import Image

    return np.asarray(Image.fromarray(mask).resize((_FINE, _FINE), Image.Resampling.BOX), dtype=np.float64)


def _smooth(values: Heat) -> Heat:
    """Average with the eight neighbours, binomial weights; the border is continued."""
    for axis in (0, 1):
        if values.shape[axis] > 2:
            wide = np.pad(values, [(1, 1) if side == axis else (0, 0) for side in (0, 1)], mode="edge")
            last = wide.shape[axis]
            one, two, three = (wide.take(range(start, last - 2 + start), axis=axis) for start in (0, 1, 2))
            values = 0.25 * one + 0.5 * two + 0.25 * three
    return values
