"""Measures whether indexing takes the same memory, and the same time an item, whatever the number of files.

    python -m benchmarks.memory [--counts 1000,10000,100000] [--runs 1] [--model FOLDER]

For each count so many small pictures are drawn, no two alike, and indexed into a new collection by the command, in a
process of its own. The model is a small one of fixed weights (it takes well under a millisecond a picture), so that
what is measured is the machinery around it. Memory is the largest anonymous resident size (what is not a mapped file;
Linux, read from /proc at short intervals), less the size of `vectors.faiss` (of an approximate index these are its
codes: the vectors beside them are mapped); `memory_ratio` is that of the most files to that of the fewest.
Time is that of the whole command less that of one which indexes a single picture; `time_slope` is
the slope of its logarithm over that of the count, `processor_slope` the same of processor time, which does not depend
on what else the machine does. 1.0 is linear.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import machine
from benchmarks.watching import Ran, indexed
from tests.model_makers import write_tiny_model

_A_FOLDER = 1000
_PICTURE = 48
_DIM = 512


def draw_pictures(folder: Path, count: int, seed: int = 0) -> None:
    """Write ``count`` small PNG files into subfolders of a thousand; no two have the same bytes."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        inside = folder / f"{number // _A_FOLDER:04}"
        if number % _A_FOLDER == 0:
            inside.mkdir(parents=True)
        cells = rng.integers(0, 256, (rng.integers(3, 7), rng.integers(3, 7), 3), np.uint8)
        cells[0, 0] = number & 255, number >> 8 & 255, number >> 16
        picture = Image.fromarray(cells).resize((_PICTURE, _PICTURE), Image.Resampling.NEAREST)
        picture.save(inside / f"{number:06}.png", compress_level=1)


def slope(counts: list[int], seconds: list[float]) -> float:
    """Return the slope of the logarithm of ``seconds`` over that of ``counts``, by least squares."""
    return float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])


def _row(count: int, runs: list[tuple[Ran, int]], start: Ran) -> dict[str, float]:
    ran = Ran(*(statistics.median(values) for values in zip(*(one for one, _index in runs), strict=True)))
    index_bytes = statistics.median(index for _ran, index in runs)
    return {
        "files": count,
        "seconds": round(ran.wall_s - start.wall_s, 2),
        "processor_seconds": round(ran.processor_s - start.processor_s, 2),
        "anonymous_mb": round(ran.anonymous_bytes / 1e6, 1),
        "resident_mb": round(ran.resident_bytes / 1e6, 1),
        "index_mb": round(index_bytes / 1e6, 1),
        "less_index_mb": round((ran.anonymous_bytes - index_bytes) / 1e6, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=lambda text: [int(one) for one in text.split(",")], default=None)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--model", type=Path, default=None)
    given = parser.parse_args()
    counts = sorted(given.counts or [1000, 10_000, 100_000])
    ran: dict[int, list[tuple[Ran, int]]] = {count: [] for count in (1, *counts)}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = given.model or write_tiny_model(scratch / "model", dim=_DIM)
        for count in ran:
            draw_pictures(scratch / f"media{count}", count)
        for number in range(given.runs):
            for count, runs in ran.items():
                collection = scratch / f"collection{count}-{number}"
                one = indexed(str(model), scratch / f"media{count}", collection)
                runs.append((one, (collection / "vectors.faiss").stat().st_size))
                sys.stderr.write(json.dumps({"files": count, **one._asdict()}) + "\n")
    start = min((one for one, _index in ran[1]), key=lambda one: one.processor_s)
    rows = [_row(count, ran[count], start) for count in counts]
    figures = {
        "memory_ratio": round(rows[-1]["less_index_mb"] / rows[0]["less_index_mb"], 3),
        "time_slope": round(slope(counts, [row["seconds"] for row in rows]), 3),
        "processor_slope": round(slope(counts, [row["processor_seconds"] for row in rows]), 3),
    }
    print(json.dumps({"rows": rows, "start_seconds": round(start.wall_s, 2), **figures, **machine()}, indent=1))


if __name__ == "__main__":
    main()
