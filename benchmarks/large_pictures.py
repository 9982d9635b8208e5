"""Measures how near indexing large photographs comes to its limit; see `benchmarks.pipeline` for what that is.

    python -m benchmarks.large_pictures FOLDER [--model NAME] [--pictures 60] [--runs 3] [--keep FOLDER]

Photographs of 4000 x 3000 pixels are made from the small ones in FOLDER: a mosaic of some of them, enlarged, with noise
as of a sensor, as JPEG of quality 90, so that size and detail are about those of a camera's (three megabytes). `--keep`
writes them to a folder that stays, for other programs to be measured on.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import machine
from benchmarks.pipeline import measure
from retrieval.media import MEDIA_SUFFIXES

_WIDTH, _HEIGHT = 4000, 3000
_ACROSS, _DOWN = 4, 3
_NOISE = 4.0
_QUALITY = 90


def make_pictures(small: list[Path], folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write ``count`` JPEG files of 12 megapixels from small photographs; the same for the same seed."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, _NOISE, (_HEIGHT, _WIDTH, 1)).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        canvas = Image.new("RGB", (_WIDTH, _HEIGHT))
        wide, high = _WIDTH // _ACROSS, _HEIGHT // _DOWN
        for place, index in enumerate(rng.integers(0, len(small), _ACROSS * _DOWN)):
            with Image.open(small[index]) as picture:
                part = picture.convert("RGB").resize((wide, high), Image.Resampling.BICUBIC)
            canvas.paste(part, (place % _ACROSS * wide, place // _ACROSS * high))
        grain = np.roll(noise, tuple(rng.integers(0, _HEIGHT, 2)), axis=(0, 1))
        pixels = np.clip(np.asarray(canvas, np.float32) + grain, 0, 255).astype(np.uint8)
        made.append(folder / f"{number:04}.jpg")
        Image.fromarray(pixels).save(made[-1], quality=_QUALITY)
    return made


def main() -> None:
    """Make, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", type=Path, default=None)
    given = parser.parse_args()
    small = sorted(path for path in given.folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES)
    with tempfile.TemporaryDirectory() as temporary:
        made = make_pictures(small, given.keep or Path(temporary), given.pictures)
        size_mb = sum(path.stat().st_size for path in made) / len(made) / 1e6
        sys.stderr.write(f"{len(made)} pictures of {size_mb:.1f} MB\n")
        found = measure(made, given.model, given.runs)
    print(json.dumps({"files": len(made), "mb_each": round(size_mb, 2), "model": given.model, **found, **machine()}))


if __name__ == "__main__":
    main()
