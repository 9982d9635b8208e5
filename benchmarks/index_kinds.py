"""Measures each kind of vector index beside exact search: recall, speed, memory, and what adding costs.

    python -m benchmarks.index_kinds FOLDER [--count 1000000] [--kinds ivfpq rabitq hnsw] [--cache FILE.npz]

FOLDER holds images/ and captions.tsv (image, split, caption). Vectors are drawn from a mixture fitted to the built-in
model's vectors of these pictures (see ``drawn``). Text queries are vectors of real captions; picture queries are held
out from the same mixture. The index is tuned on other captions and pictures than it is measured on. Ratios are of
medians of single queries on one thread, exact and approximate in turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss as _faiss
import numpy as np

from benchmarks.drawn import Mixture, vectors_of
from benchmarks.machine import machine
from benchmarks.threads import on_one_thread
from retrieval.config import IndexKind, IndexSpec
from retrieval.store import approximate, building, exact
from retrieval.store.approximate import Approximate
from retrieval.store.flat import Flat
from retrieval.store.nearest import nearest
from retrieval.store.records import Mark
from retrieval.store.vectors import save
from retrieval.types import FloatMatrix

faiss: Any = _faiss
QUERIES = 200
ADDED = 1000
_BLOCK = 50_000

_MEMORY = """
import sys
from pathlib import Path
import numpy as np
import faiss
from retrieval.config import IndexSpec
from retrieval.store.records import Mark
from retrieval.store.nearest import nearest
from retrieval.store.vectors import load
import json
faiss.omp_set_num_threads(1)
def anonymous():
    return sum(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("RssAnon")) / 1024
before = anonymous()
folder, spec, dim = Path(sys.argv[1]), IndexSpec(**json.loads(sys.argv[2])), int(sys.argv[3])
index, _ = load(folder / "vectors.faiss", Mark(1, 1, dim, 1, 0), spec)
queries = np.load(folder / "queries.npy")
for query in queries:
    nearest(index, query[None], 10, None)
print(anonymous(), before)
"""


def median_s(index: Flat | Approximate, queries: FloatMatrix) -> float:
    """Return the median time of one query for ten neighbours, as a collection asks it, in seconds."""
    times = []
    for query in queries:
        started = time.perf_counter()
        nearest(index, query[None], 10, None)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def recall(index: Approximate, queries: FloatMatrix) -> float:
    """Return the share of the exact ten nearest that is found, in per cent."""
    truth = approximate.nearest_exactly(index.exact, queries, np.full(len(queries), -1, np.int64), 10)
    found = nearest(index, queries, 10, None).keys
    same = [len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]
    return round(100 * float(np.mean(same)) / 10, 2)


def fitted(kind: IndexKind, vectors: exact.Exact, texts: FloatMatrix) -> tuple[Approximate, float]:
    """Return a trained and tuned index over vectors, and the seconds that took."""
    started = time.perf_counter()
    index = building.encoded(IndexSpec(kind), vectors)
    building.tune(index, texts)
    return index, time.perf_counter() - started


def measured(index: Approximate, flat_s: dict[str, float], queries: dict[str, FloatMatrix]) -> dict[str, object]:
    """Return recall and speed for each kind of query."""
    found: dict[str, object] = {}
    for name, rows in queries.items():
        took_s = median_s(index, rows)
        found[name] = {"recall@10": recall(index, rows), "faster_than_flat": round(flat_s[name] / took_s, 1)}
        found[name] |= {"ms": round(1000 * took_s, 2)}  # type: ignore[operator]
    return found


def flat_of(vectors: exact.Exact) -> Flat:
    """Return an exact index of the same vectors."""
    flat = Flat(vectors.dim)
    for at in range(0, len(vectors), _BLOCK):
        places = np.arange(at, min(len(vectors), at + _BLOCK))
        flat.codes.add_with_ids(vectors.at(places), vectors.all_keys[places])
    flat._sync()
    return flat


def drawn_vectors(folder: Path, mixture: Mixture, count: int, rng: np.random.Generator) -> exact.Exact:
    """Return so many drawn vectors in a file as collections have it."""
    vectors = exact.create(folder / exact.FILE, Mark(1, 1, mixture.dim, 1, 0))
    for first in range(0, count, _BLOCK):
        block = np.arange(first + 1, min(count, first + _BLOCK) + 1)
        vectors.append(block, mixture.draw(len(block), rng))
        vectors.flush()
    return vectors


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", default=["ivfpq", "rabitq", "hnsw"])
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    on_one_thread()
    pictures, captions = vectors_of(given.folder, given.cache)
    rng = np.random.default_rng(0)
    captions = captions[rng.permutation(len(captions))]
    mixture, dim = Mixture(pictures), pictures.shape[1]
    queries = {"text": captions[:QUERIES], "picture": mixture.draw(QUERIES, rng)}
    report: dict[str, object] = {"count": given.count, "dim": dim}
    with tempfile.TemporaryDirectory() as temporary:
        at = Mark(1, 1, dim, 1, 0)
        vectors = drawn_vectors(Path(temporary), mixture, given.count, rng)
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        flat = flat_of(vectors)
        flat_s = {name: median_s(flat, rows[:50]) for name, rows in queries.items()}
        del flat
        report["flat_ms"] = {name: round(1000 * value, 2) for name, value in flat_s.items()}
        np.save(Path(temporary) / "queries.npy", np.concatenate([rows[:50] for rows in queries.values()]))
        for kind in given.kinds:
            faiss.omp_set_num_threads(threads)
            index, took_s = fitted(kind, vectors, captions[QUERIES:])
            faiss.omp_set_num_threads(1)
            found = {"trained_s": round(took_s, 1), "spec": settings(index.spec), **measured(index, flat_s, queries)}
            save(Path(temporary) / "vectors.faiss", index, at)
            found |= memory_of(Path(temporary), index.spec, dim)
            started = time.perf_counter()
            last = int(vectors.all_keys[-1])
            index.add(np.arange(last + 1, last + 1 + ADDED), mixture.draw(ADDED, rng))
            found["add_1000_s"] = round(time.perf_counter() - started, 3)
            report[kind] = found
            sys.stderr.write(json.dumps({kind: found}) + "\n")
    print(json.dumps({**report, **machine()}, indent=1))


def settings(spec: IndexSpec) -> dict[str, object]:
    """Return how an index was tuned."""
    return {"lists": spec.lists, "probes": spec.probes, "candidates": spec.candidates, "recall": spec.recall}


def memory_of(folder: Path, spec: IndexSpec, dim: int) -> dict[str, object]:
    """Return the anonymous memory of a process that opens the index and asks, less what its imports take, in MB."""
    from dataclasses import asdict

    command = [sys.executable, "-c", _MEMORY, str(folder), json.dumps(asdict(spec)), str(dim)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    held, before = map(float, ran.stdout.split())
    return {"anonymous_mb": round(held), "of_that_imports_mb": round(before)}


if __name__ == "__main__":
    main()
