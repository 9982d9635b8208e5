"""Measures a text query in a running process beside what it cannot do without, and under several clients at once.

    python -m benchmarks.warm_search COLLECTION [--queries 300] [--clients 8]

The floor of a query is embedding its text and the bare call of FAISS with the vector: for ten neighbours of an exact
index, for as many candidates as are compared exactly of an approximate one. Query and floor take turns, each text once;
``_processor`` is of the time of all the process's threads, which depends less on what else the machine does. Then as
many threads as ``--clients`` ask at the same time: ``slow_to_median`` is the 99th percentile over the median of these.
"""

import argparse
import itertools
import json
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from retrieval.embedding import embedder_for
from retrieval.query import parse_query
from retrieval.search import Searcher
from retrieval.store import Collection
from retrieval.types import FloatMatrix

_THINGS = ("a dog", "two children", "a man", "a red car", "a woman in a hat", "a boat", "some birds", "a cyclist")
_PLACES = ("on grass", "in the snow", "by the water", "in a street", "on a rock", "at a table", "at night", "indoors")
_DOINGS = ("running", "sitting", "jumping", "looking at the camera", "playing", "waiting", "eating", "talking")
_K = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    texts = [" ".join(words) for words in itertools.product(_THINGS, _DOINGS, _PLACES)][: given.queries]
    with Collection.open(given.collection) as collection:
        embedder = embedder_for(collection.manifest.spec, "cpu")
        searcher = Searcher(collection, embedder)
        for text in texts:  # what they read of the files is then in the disk's cache, as where somebody works
            searcher.search(parse_query(text), _K)
        floor, whole = alone(searcher, bare(collection), texts)
        crowd = together(searcher, texts, given.clients)
        items = collection.count()
    found = {
        "items": items,
        "query_ms": 1000 * median(whole, 0),
        "floor_ms": 1000 * median(floor, 0),
        "query_to_floor": median(whole, 0) / median(floor, 0),
        "query_processor_ms": 1000 * median(whole, 1),
        "floor_processor_ms": 1000 * median(floor, 1),
        "query_to_floor_processor": median(whole, 1) / median(floor, 1),
        f"median_of_{given.clients}_clients_ms": 1000 * statistics.median(crowd),
        "slow_to_median": float(np.quantile(crowd, 0.99)) / statistics.median(crowd),
    }
    print(json.dumps({**{name: round(value, 3) for name, value in found.items()}, **machine()}, indent=1))


Times = list[tuple[float, float]]
"""Wall and processor time in seconds."""


def median(times: Times, which: int) -> float:
    """Return the median of wall (0) or processor (1) times."""
    return statistics.median(one[which] for one in times)


def bare(collection: Collection) -> Callable[[FloatMatrix], object]:
    """Return the call of FAISS that a search of the collection comes down to."""
    from retrieval.store.approximate import Approximate

    index = collection._index._index
    assert index is not None
    if not isinstance(index, Approximate):
        import faiss

        codes: Any = faiss.IndexFlatIP(index.dim)
        codes.add(index.rows(index.keys))
        return lambda queries: codes.search(queries, _K)
    codes = index.codes
    wanted, parameters = index.spec.candidates, index.parameters(index.spec.probes)
    return lambda queries: codes.search(queries, wanted, params=parameters)


def alone(searcher: Searcher, call: Callable[[FloatMatrix], object], texts: list[str]) -> tuple[Times, Times]:
    """Return the times of floors and of whole queries, in turn."""
    floor: Times = []
    whole: Times = []
    for text in texts:
        began_s, worked_s = time.perf_counter(), time.process_time()
        call(searcher.embedder.embed_texts([text]))
        between_s, between_worked_s = time.perf_counter(), time.process_time()
        searcher.search(parse_query(text), _K)
        whole.append((time.perf_counter() - between_s, time.process_time() - between_worked_s))
        floor.append((between_s - began_s, between_worked_s - worked_s))
    return floor, whole


def together(searcher: Searcher, texts: list[str], clients: int) -> list[float]:
    """Return the times of queries in seconds when so many threads ask at once."""
    times: list[float] = []
    left = iter(texts)

    def ask() -> None:
        for text in left:  # one iterator for all: taking the next is atomic
            began_s = time.perf_counter()
            searcher.search(parse_query(text), _K)
            times.append(time.perf_counter() - began_s)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


if __name__ == "__main__":
    main()
