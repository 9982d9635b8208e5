"""Measures what one text query costs in a new process, beside what cannot be avoided.

    python -m benchmarks.cold_search COLLECTION [--query WORDS] [--runs 7]

The floor is a process that imports numpy and onnxruntime, opens the text tower and runs it once.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import machine
from retrieval.store import Collection

_FLOOR = """
import sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
ids = numpy.array([[101, 1037, 3899, 102]], dtype=numpy.int64)
session.run(None, {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})
"""


def median_s(command: list[str], runs: int) -> float:
    """Return the median wall time of the command in seconds, after one run to warm the disk's cache."""
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--query", default="a dog")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    import retrieval.models

    tower = Path(retrieval.models.__path__[0]) / "starter" / "text.onnx"
    with Collection.open(given.collection) as collection:
        items = collection.stats().items
    search = [sys.executable, "-m", "retrieval", "search", given.query, "-c", str(given.collection)]
    floor_s = median_s([sys.executable, "-c", _FLOOR, str(tower)], given.runs)
    search_s = median_s(search, given.runs)
    help_s = median_s([sys.executable, "-m", "retrieval", "--help"], given.runs)
    print(
        json.dumps(
            {
                "items": items,
                "search_s": round(search_s, 3),
                "floor_s": round(floor_s, 3),
                "search_to_floor": round(search_s / floor_s, 2),
                "help_s": round(help_s, 3),
                **machine(),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
