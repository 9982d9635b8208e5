"""Measures whether the heat of an explanation lies on the right picture of four: a pointing game.

    python -m benchmarks.pointing FOLDER [--model NAME] [--mosaics 30] [--masks 256]

FOLDER holds ``images/`` and ``captions.tsv`` (image, split, caption), such as pictures of Caltech-101 named by their
classes. Each mosaic is made of four pictures of different captions, two by two, and asked for by each of the four: a
hit when the place with most heat lies in that picture's quarter (Zhang et al., ECCV 2016); chance is 25 %. A place on
the line between two quarters is a miss. Intervals are 95 % Wilson intervals over the questions.
"""

import argparse
import csv
import json
import math
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import machine
from retrieval import open_embedder
from retrieval.embedding import Embedder
from retrieval.embedding.base import tells_cells
from retrieval.explain.heat import Heat, cell_heat, look_masked, mask_heat
from retrieval.media import open_picture
from retrieval.types import FloatMatrix, Pixels

_SEED = 1


def mosaics(folder: Path, count: int, side: int) -> list[tuple[Pixels, list[str]]]:
    """Return mosaics of ``side`` pixels, each with the captions of its quarters by rows from the top left."""
    with (folder / "captions.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    of_caption: dict[str, list[str]] = {}
    for image, _, caption in rows:
        of_caption.setdefault(caption, []).append(image)
    captions = sorted(of_caption)
    rng = np.random.default_rng(_SEED)
    found = []
    for _ in range(count):
        chosen = [captions[place] for place in rng.choice(len(captions), 4, replace=False)]
        whole = Image.new("RGB", (side, side))
        for place, caption in enumerate(chosen):
            image = of_caption[caption][int(rng.integers(len(of_caption[caption])))]
            quarter = Image.fromarray(open_picture(folder / "images" / image, side // 2))
            half = side // 2
            whole.paste(quarter.resize((half, half)), ((place % 2) * half, (place // 2) * half))
        found.append((np.asarray(whole), chosen))
    return found


def hits(heat: Heat, quarter: int) -> bool:
    """Say whether the highest place lies inside the quarter."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    down, across = (2 * int(row) + 1) / heat.shape[0], (2 * int(column) + 1) / heat.shape[1]
    return down != 1 and across != 1 and quarter == 2 * (down > 1) + (across > 1)


def interval(found: int, count: int) -> list[float]:
    """Return the 95 % Wilson interval in per cent."""
    z, share = 1.96, found / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return [round(100 * (middle - half), 1), round(100 * (middle + half), 1)]


def play(embedder: Embedder, made: list[tuple[Pixels, list[str]]], method: str, masks: int) -> dict[str, object]:
    """Ask each mosaic for each of its captions by one method."""
    started = time.perf_counter()
    right = count = 0
    for picture, captions in made:
        pixels = embedder.preprocess(picture)
        probes: FloatMatrix = embedder.embed_texts(captions)
        looks = look_masked(embedder, pixels, masks) if method == "masks" else None
        for quarter, probe in enumerate(probes):
            heat = cell_heat(embedder, pixels, probe) if looks is None else mask_heat(looks, probe)
            right += hits(heat, quarter)
            count += 1
    seconds = (time.perf_counter() - started) / len(made)
    return {
        "method": method,
        "masks": masks if method == "masks" else 0,
        "questions": count,
        "hits": right,
        "per_cent": round(100 * right / count, 1),
        "interval_95": interval(right, count),
        "seconds_a_mosaic": round(seconds, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--mosaics", type=int, default=30)
    parser.add_argument("--masks", type=int, default=256)
    given = parser.parse_args()
    embedder = open_embedder(given.model)
    made = mosaics(given.folder, given.mosaics, 2 * embedder.spec.preprocessing.width)
    methods = ["cells"] if tells_cells(embedder) else []
    found = [play(embedder, made, method, given.masks) for method in [*methods, "masks"]]
    print(json.dumps({"model": given.model, "chance": 25.0, "methods": found, **machine()}, indent=1))


if __name__ == "__main__":
    main()
