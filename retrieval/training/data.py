"""Pictures with captions: reading the table, and views of pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.errors import DatasetError
from retrieval.media import open_picture

Pixels = npt.NDArray[np.uint8]


class Captioned(NamedTuple):
    """Pictures of one or more splits with their captions.

    `captions[i]` describes picture `owner[i]`; `names` are file names under `images/`.
    """

    names: list[str]
    captions: list[str]
    owner: npt.NDArray[np.int64]


def read_captions(folder: Path, splits: Sequence[str]) -> Captioned:
    """Read `captions.tsv` (image, split, caption) of `folder`, in file order.

    Raises:
        DatasetError: the table is missing, malformed or has no row of these splits.
    """
    table = folder / "captions.tsv"
    if not table.is_file():
        raise DatasetError(f"{table} is missing: give a folder with images/ and captions.tsv")
    names: dict[str, int] = {}
    captions: list[str] = []
    owner: list[int] = []
    with table.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            cells = line.rstrip("\n").split("\t")
            if len(cells) != 3:
                raise DatasetError(f"{table}, line {number}: expected three cells (image, split, caption)")
            if cells[1] in splits:
                owner.append(names.setdefault(cells[0], len(names)))
                captions.append(cells[2])
    if not captions:
        raise DatasetError(f"{table} has no row of split {' or '.join(splits)}")
    return Captioned(list(names), captions, np.array(owner, np.int64))


def read_view(path: Path, side: int, rng: np.random.Generator | None = None) -> Pixels:
    """A picture squashed to (side, side, 3); with `rng`, of a random part of it, mirrored half of the time.

    The parts follow Szegedy et al., "Going deeper with convolutions", CVPR 2015: 50-100 % of the area, aspect 3:4
    to 4:3.
    """
    picture = Image.fromarray(open_picture(path, side))
    if rng is None:
        return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))
    box = random_box(picture.width, picture.height, rng)
    resized = picture.resize((side, side), Image.Resampling.BICUBIC, box=box)
    pixels = np.asarray(resized)
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def random_box(width: int, height: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a random part of a picture."""
    area = rng.uniform(0.5, 1.0)
    aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    w = min(1.0, float(np.sqrt(area * aspect))) * width
    h = min(1.0, float(np.sqrt(area / aspect))) * height
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return left, top, left + w, top + h
