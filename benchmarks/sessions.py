"""Measures how an ONNX image tower is run best here: batch size, threads, memory arena and spinning threads.

    python -m benchmarks.sessions [--model starter] [--pictures 64] [--runs 3]

Each row is one way to run it over the same pictures that are ready in memory: processor milliseconds a picture (which
do not depend on what else the machine does), wall milliseconds, and how far its vectors are from those of the way that
is used. `usual` is what `index` does; one thing is changed at a time.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.machine import machine
from retrieval.embedding import model_folder
from retrieval.embedding.base import processors
from retrieval.embedding.folder import read_model_folder

_USUAL: dict[str, int] = {"batch": 8, "threads": 0, "arena": 1, "spinning": 0, "pattern": 0}
_CHANGES: list[dict[str, int]] = [
    {},
    *({"batch": size} for size in (1, 4, 16, 32)),
    {"threads": 1},
    {"arena": 0},
    {"spinning": 1},
    {"pattern": 1},
]


def session(path: str, way: dict[str, int]) -> onnxruntime.InferenceSession:
    """Load a graph the way it says."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = way["threads"] or processors()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(way["spinning"]))
    options.enable_cpu_mem_arena = bool(way["arena"])
    options.enable_mem_pattern = bool(way["pattern"])
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(made: onnxruntime.InferenceSession, pixels: np.ndarray, batch: int) -> tuple[np.ndarray, float, float]:
    """Return the vectors, and the wall and processor seconds of a picture."""
    wall_s, processor_s = time.perf_counter(), time.process_time()
    rows: list[Any] = []
    for at in range(0, len(pixels), batch):
        rows.append(made.run(["vectors"], {"pixels": pixels[at : at + batch]})[0])
    taken = time.perf_counter() - wall_s, time.process_time() - processor_s
    return np.concatenate(rows), taken[0] / len(pixels), taken[1] / len(pixels)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    place = model_folder(given.model)
    if place is None:
        raise SystemExit(f"{given.model} is no folder of ONNX files")
    folder = read_model_folder(place)
    shape = (given.pictures, folder.preprocessing.height, folder.preprocessing.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    ways = [_USUAL | change for change in _CHANGES]
    made = [session(str(folder.path / folder.image_file), way) for way in ways]
    best = [(float("inf"), float("inf"))] * len(ways)
    vectors: list[np.ndarray] = [np.empty(0)] * len(ways)
    for _round in range(given.runs):  # the ways take turns
        for number, way in enumerate(ways):
            vectors[number], wall_s, processor_s = run(made[number], pixels, way["batch"])
            best[number] = min(best[number][0], wall_s), min(best[number][1], processor_s)
    rows = [
        {
            "changed": change or "usual",
            "processor_ms": round(best[number][1] * 1e3, 2),
            "wall_ms": round(best[number][0] * 1e3, 2),
            "apart": float(np.abs(vectors[number] - vectors[0]).max()),
        }
        for number, change in enumerate(_CHANGES)
    ]
    print(json.dumps({"model": given.model, "rows": rows, **machine()}, indent=1))


if __name__ == "__main__":
    main()
