"""Asks random filters with random queries of each kind of index, and compares with plain NumPy.

    python -m benchmarks.filters [--pairs 10000] [--files 6000] [--kinds flat ivfpq rabitq hnsw] [--seed 0]

The files are invented (see ``tests/filter_makers.py``): names, dates, cameras, places, ratings, keywords and words,
with random vectors in clusters. A pair counts as equal when the k keys found are the k best of what the filter selects;
``short`` counts answers of fewer than k although more are selected.
"""

import argparse
import json
import random
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import get_args

import numpy as np

from benchmarks.machine import machine
from retrieval.config import IndexKind, ModelSpec, Preprocessing
from retrieval.store import Collection
from tests.filter_makers import World, random_where, unit_rows

DIM, K = 64, 10


def measure(collection: Collection, world: World, pairs: int, seed: int) -> dict[str, object]:
    """Ask ``pairs`` filters with a query each; return what came of it."""
    rng = random.Random(seed)
    queries = unit_rows(np.random.default_rng(seed), pairs, DIM)
    equal = short = right = due = 0
    selected: list[int] = []
    seconds: list[float] = []
    for query in queries:
        where = random_where(rng)
        best, allowed = world.best(query, where, K)
        started = time.perf_counter()
        keys = collection.search(query[None], K, where).keys[0]
        seconds.append(time.perf_counter() - started)
        found = set(keys[keys >= 0].tolist())
        selected.append(int(world.selected(where)[world.owner].sum()))
        short += len(found) < len(best)
        equal += len(found) == len(best) and found <= allowed
        right += len(found & allowed)
        due += len(best)
    return {
        "pairs": pairs,
        "equal": equal,
        "recall": right / due,
        "short": short,
        "nothing_selected": sum(count == 0 for count in selected),
        "selected_median": int(np.median(selected)),
        "over_4096_selected": sum(count > 4096 for count in selected),
        "search_ms_median": round(1000 * float(np.median(seconds)), 2),
        "search_ms_p95": round(1000 * float(np.percentile(seconds, 95)), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=6000)
    parser.add_argument("--kinds", nargs="+", default=list(get_args(IndexKind)), choices=get_args(IndexKind))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    world = World(given.files, DIM, given.seed, date.today())
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        spec = ModelSpec("random", DIM, "0", Preprocessing(8, 8))
        with Collection.create(Path(scratch) / "collection", spec) as collection:
            world.write(collection)
            for kind in given.kinds:
                collection.fit_index(kind)
                assert collection.manifest.index.kind == kind
                found[kind] = measure(collection, world, given.pairs, given.seed)
    print(json.dumps({"files": given.files, "items": len(world.keys), "k": K, "kinds": found, **machine()}, indent=1))


if __name__ == "__main__":
    main()
