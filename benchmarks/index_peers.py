"""Measures the kinds of vector index beside usearch and hnswlib: recall, speed of single queries and batches, memory.

    python -m benchmarks.index_peers FOLDER [--count 100000] [--kinds flat ivfpq rabitq hnsw] [--peers usearch hnswlib]
                                     [--cache FILE.npz]

All hold the same vectors, drawn as pictures lie, and are asked the same text queries (vectors of real captions, see
``drawn``) for ten neighbours. Ours are tuned to 99 % on other captions; a peer is asked at rising ``expansion`` or
``ef`` until it finds as much as each of ours, or no more is to be had: so each peer has a point beside each kind, and
``faster_than`` is its time for one query over ours at the first point that finds at least as much. Single queries are
on one thread, batches on all; times of single queries are medians, each kind and peer in turn with the others.
``memory_mb`` is what the process grew by (``RssAnon``) while building; ours keep their exact vectors in a mapped file
beside that. A peer that is not installed is skipped, with the reason.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import faiss as _faiss
import numpy as np

from benchmarks.drawn import Mixture, vectors_of
from benchmarks.index_kinds import drawn_vectors, fitted, flat_of, settings
from benchmarks.machine import machine
from retrieval.store import approximate, exact
from retrieval.store.nearest import VectorIndex, nearest
from retrieval.types import FloatMatrix, Keys

faiss: Any = _faiss
K = 10
QUERIES = 400
LINKS, BUILT_WITH = 32, 80
"""Links of a node and width of the search while building: what our own graph has."""
WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)

Ask = Callable[[FloatMatrix, int], Keys]
"""Takes queries ``(q, dim)`` and how many threads to use; returns keys ``(q, 10)``."""


class Contender(NamedTuple):
    """An index that is asked; ``set_width`` sets how far a peer looks."""

    name: str
    ask: Ask
    set_width: Callable[[int], None] | None
    facts: dict[str, Any]


def grown_mb() -> float:
    """Return the anonymous memory of this process, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def built(name: str, make: Callable[[], tuple[Ask, Callable[[int], None] | None, dict[str, Any]]]) -> Contender:
    """Build an index, and note what that took."""
    before, began_s, worked_s = grown_mb(), time.perf_counter(), time.process_time()
    ask, set_width, facts = make()
    facts |= {"build_s": round(time.perf_counter() - began_s, 1)}
    facts |= {"build_processor_s": round(time.process_time() - worked_s, 1), "memory_mb": round(grown_mb() - before)}
    sys.stderr.write(json.dumps({name: facts}) + "\n")
    return Contender(name, ask, set_width, facts)


def ours(kind: str, vectors: exact.Exact, tuning: FloatMatrix) -> Contender:
    """Return one of our kinds, asked as a collection asks it."""

    def make() -> tuple[Ask, None, dict[str, Any]]:
        index: VectorIndex = flat_of(vectors) if kind == "flat" else fitted(kind, vectors, tuning)[0]  # type: ignore[arg-type]
        facts = {} if kind == "flat" else settings(index.spec)  # type: ignore[attr-defined]

        def ask(queries: FloatMatrix, threads: int) -> Keys:
            faiss.omp_set_num_threads(threads)
            return nearest(index, queries, K, None).keys

        return ask, None, facts

    faiss.omp_set_num_threads(CORES)
    return built(kind, make)


def usearch(rows: FloatMatrix, keys: Keys) -> Contender:
    """Return usearch's graph over half-precision vectors."""
    from usearch.index import Index

    def make() -> tuple[Ask, Callable[[int], None], dict[str, Any]]:
        index = Index(ndim=rows.shape[1], metric="ip", dtype="f16", connectivity=LINKS, expansion_add=BUILT_WITH)
        index.add(keys, rows, threads=CORES)

        def ask(queries: FloatMatrix, threads: int) -> Keys:
            found = index.search(queries if len(queries) > 1 else queries[0], K, threads=threads)
            return np.asarray(found.keys, np.int64).reshape(len(queries), K)

        def set_width(width: int) -> None:
            index.expansion_search = width

        return ask, set_width, {"hardware": str(index.hardware_acceleration)}

    return built("usearch", make)


def hnswlib(rows: FloatMatrix, keys: Keys) -> Contender:
    """Return hnswlib's graph over single-precision vectors."""
    import hnswlib as library

    def make() -> tuple[Ask, Callable[[int], None], dict[str, Any]]:
        index = library.Index(space="ip", dim=rows.shape[1])
        index.init_index(max_elements=len(rows), M=LINKS, ef_construction=BUILT_WITH, random_seed=1)
        index.add_items(rows, keys, num_threads=CORES)

        def ask(queries: FloatMatrix, threads: int) -> Keys:
            found: Keys = index.knn_query(queries, K, num_threads=threads)[0].astype(np.int64)
            return found

        return ask, index.set_ef, {}

    return built("hnswlib", make)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="*", default=["flat", "ivfpq", "rabitq", "hnsw"])
    parser.add_argument("--peers", nargs="*", default=["usearch", "hnswlib"])
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    real = vectors_of(given.folder, given.cache)
    rng = np.random.default_rng(0)
    captions = real.captions[rng.permutation(len(real.captions))]
    queries, tuning = captions[:QUERIES], captions[QUERIES:]
    report: dict[str, Any] = {"count": given.count, "dim": queries.shape[1], "k": K}
    with tempfile.TemporaryDirectory() as temporary:
        vectors = drawn_vectors(Path(temporary), Mixture(real.pictures), given.count, rng)
        truth = approximate.nearest_exactly(vectors, queries, np.full(len(queries), -1, np.int64), K)
        own = [ours(kind, vectors, tuning) for kind in given.kinds]
        peers, skipped = [], {}
        rows = vectors.rows(vectors.keys)
        for name in given.peers:
            try:
                version(name)
                peers.append({"usearch": usearch, "hnswlib": hnswlib}[name](rows, vectors.keys))
            except PackageNotFoundError:
                skipped[name] = "not installed"
        del rows
        report |= beside(own, peers, queries, truth) | {"skipped": skipped}
    versions = {name: version(name) for name in given.peers if name not in skipped}
    print(json.dumps({**report, "peers": versions, **machine()}, indent=1))


def beside(own: list[Contender], peers: list[Contender], queries: FloatMatrix, truth: Keys) -> dict[str, Any]:
    """Return the figures of ours, and of each peer at the points that find as much as ours."""
    report: dict[str, Any] = {}
    recalls = {one.name: share(one.ask(queries, CORES), truth) for one in own}
    settings_of: dict[str, dict[str, int | None]] = {peer.name: {} for peer in peers}
    for peer in peers:
        assert peer.set_width is not None
        reached: dict[int, float] = {}
        for width in WIDTHS:
            peer.set_width(width)
            reached[width] = share(peer.ask(queries, CORES), truth)
        peer.facts["recall_at_width"] = {str(width): value for width, value in reached.items()}
        for one in own:
            enough = [width for width in WIDTHS if reached[width] >= recalls[one.name]]
            settings_of[peer.name][one.name] = enough[0] if enough else None
    for one in own:
        rivals = [(peer, settings_of[peer.name][one.name]) for peer in peers]
        told = timed(one, [(peer, width) for peer, width in rivals if width is not None], queries)
        report[one.name] = {**one.facts, "recall@10": recalls[one.name], **told[one.name]}
        report[one.name]["beside"] = {
            peer.name: {"width": width, **told[peer.name], "faster_than": ratio(told, one, peer)}
            if width is not None
            else "never finds as much"
            for peer, width in rivals
        }
        sys.stderr.write(json.dumps({one.name: report[one.name]}) + "\n")
    return report | {peer.name: peer.facts for peer in peers}


def timed(one: Contender, rivals: list[tuple[Contender, int]], queries: FloatMatrix) -> dict[str, dict[str, float]]:
    """Return the times of ours and of peers, asked in turn."""
    single: dict[str, list[float]] = {}
    batch: dict[str, list[float]] = {}
    for peer, width in rivals:
        assert peer.set_width is not None
        peer.set_width(width)
    everyone = [one, *(peer for peer, _width in rivals)]
    for number, query in enumerate(queries):
        for each in everyone:
            began_s = time.process_time()
            each.ask(query[None], 1)
            if number >= 10:
                single.setdefault(each.name, []).append(time.process_time() - began_s)
    for _round in range(5):
        for each in everyone:
            began_s = time.perf_counter()
            each.ask(queries, CORES)
            batch.setdefault(each.name, []).append((time.perf_counter() - began_s) / len(queries))
    return {
        name: {
            "single_ms": round(1000 * statistics.median(single[name]), 4),
            "batch_ms_each": round(1000 * statistics.median(batch[name]), 4),
        }
        for name in single
    }


def ratio(told: dict[str, dict[str, float]], one: Contender, peer: Contender) -> dict[str, float]:
    """Return how many times as fast as a peer ours is."""
    return {name: round(told[peer.name][name] / told[one.name][name], 2) for name in told[one.name]}


def share(found: Keys, truth: Keys) -> float:
    """Return the share of the right ten that was found, in per cent."""
    same = [len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]
    return round(100 * float(np.mean(same)) / K, 2)


CORES = int(faiss.omp_get_max_threads())

if __name__ == "__main__":
    main()
