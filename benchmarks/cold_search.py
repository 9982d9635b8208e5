"""Measures what one text query costs in a new process, beside what cannot be avoided.

    python -m benchmarks.cold_search COLLECTION... [--query WORDS] [--runs 7]

The floor is a process that imports numpy and onnxruntime, opens the text tower and runs it once; the bare floor does
so without having the graph optimised, which is what a search does. All commands are run in turn, so that a change of
the machine's mood reaches all of them. `_s` is wall time, `_processor_s` time of the processors, which does not depend
on what else the machine does.
"""

import argparse
import json
import resource
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
options = onnxruntime.SessionOptions()
if sys.argv[2] == "bare":
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
ids = numpy.array([[101, 1037, 3899, 102]], dtype=numpy.int64)
session.run(None, {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})
"""


def timed(command: list[str]) -> tuple[float, float]:
    """Run a command; return its wall time and its processor time in seconds."""
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall_s, after = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", type=Path, nargs="+")
    parser.add_argument("--query", default="a dog")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    import retrieval.models

    tower = str(Path(retrieval.models.__path__[0]) / "starter" / "text.onnx")
    commands = {
        "floor": [sys.executable, "-c", _FLOOR, tower, "optimised"],
        "bare_floor": [sys.executable, "-c", _FLOOR, tower, "bare"],
        "help": [sys.executable, "-m", "retrieval", "--help"],
    }
    for folder in given.collections:
        with Collection.open(folder) as collection:
            name = f"search_{collection.stats().items}"
        commands[name] = [sys.executable, "-m", "retrieval", "search", given.query, "-c", str(folder)]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(given.runs + 1):
        for name, command in commands.items():
            took = timed(command)
            if number:  # the first run warms the disk's cache
                times[name].append(took)
    medians = {name: [statistics.median(part) for part in zip(*rows, strict=True)] for name, rows in times.items()}
    found: dict[str, float] = {}
    for name, (wall_s, processor_s) in medians.items():
        found |= {f"{name}_s": round(wall_s, 3), f"{name}_processor_s": round(processor_s, 3)}
        if name.startswith("search"):
            for floor in ("floor", "bare_floor"):
                found[f"{name}_to_{floor}"] = round(wall_s / medians[floor][0], 2)
                found[f"{name}_to_{floor}_processor"] = round(processor_s / medians[floor][1], 2)
    print(json.dumps({**found, **machine()}, indent=1))


if __name__ == "__main__":
    main()
