"""Measures what an item and a query cost as collections grow, with the slopes of a log-log plot.

    python -m benchmarks.growth FOLDER [--counts 1000 10000 100000 1000000] [--rows 100000] [--kinds ivfpq rabitq hnsw]
                                       [--graph 100000] [--cache FILE.npz]
    python -m benchmarks.growth --plot GROWTH.json FILE.svg

Vectors are drawn as pictures lie, text queries are vectors of real captions (see ``drawn``). Up to ``--rows`` items a
collection is filled as ``sightseek index`` fills it, but for reading and embedding files: rows, looks and vectors in
commits of 256, then the index of vectors saved; ``written_s`` is all of it, so that a slope of 1 is the same time for
each item. Beyond, the index is grown alone (``added_us``: one of 1,000 items added to an index of so many). Queries are
asked one by one for ten neighbours on one thread. All times are of the processor, and so do not depend on what else the
machine does; ``exact`` compares with all vectors, ``auto`` is the kind that is chosen by size, each kind is tuned on
other captions to the same recall. A graph (hnsw) is built up to ``--graph`` items. Memory is anonymous memory of a
process that opened the index and asked, less what its imports take. A slope is that of a line fitted to the logarithms.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawn import Mixture, Real, vectors_of
from benchmarks.drawn_collection import written
from benchmarks.index_kinds import drawn_vectors, fitted, flat_of, memory_of, recall, settings
from benchmarks.machine import machine
from benchmarks.threads import on_one_thread
from retrieval.embedding import open_embedder
from retrieval.store import Collection, building, exact
from retrieval.store.approximate import Approximate
from retrieval.store.flat import Flat
from retrieval.store.nearest import nearest
from retrieval.store.records import Mark
from retrieval.store.vectors import save
from retrieval.types import FloatMatrix

QUERIES = 200
ADDED = 1000
EXACT = "exact"
FILES = ("vectors.faiss", exact.FILE)

Row = dict[str, Any]


def processor_s(work: Callable[[], object]) -> float:
    """Return how long the processor works, in seconds."""
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def query_ms(index: Flat | Approximate, queries: FloatMatrix) -> float:
    """Return the median processor time of one query for ten neighbours, as a collection asks it."""
    nearest(index, queries[:1], 10, None)
    times = [processor_s(lambda query=query: nearest(index, query[None], 10, None)) for query in queries]  # type: ignore[misc]
    return round(1000 * statistics.median(times), 4)


def filled(folder: Path, real: Real, counts: list[int]) -> list[Row]:
    """Fill one collection, and say what all of it took when it had so many items."""
    rng, mixture = np.random.default_rng(1), Mixture(real.pictures)
    rows: list[Row] = []
    took_s, done = 0.0, 0
    with Collection.create(folder, open_embedder().spec) as collection:
        for count in counts:
            for first in range(done, count, 8192):
                vectors = mixture.draw(min(8192, count - first), rng)
                took_s += processor_s(lambda first=first, vectors=vectors: written(collection, first, vectors, rng))  # type: ignore[misc]
            took_s += processor_s(collection.save_index)
            done = count
            size = sum(file.stat().st_size for file in folder.iterdir())
            rows.append({"items": count, "written_s": round(took_s, 3), "disk_mb": round(size / 1e6, 2)})
            sys.stderr.write(json.dumps(rows[-1]) + "\n")
    return rows


def grown(index: Flat | Approximate, mixture: Mixture, rng: np.random.Generator) -> float:
    """Return what adding one of a thousand vectors takes, in microseconds; the least of a few rounds.

    Now and then all that is held moves to a larger place, which is not the work of the thousand.
    """
    times = []
    for _round in range(4):
        rows, last = mixture.draw(ADDED, rng), int(index.keys[-1])
        times.append(processor_s(lambda rows=rows, last=last: index.add(np.arange(last + 1, last + 1 + ADDED), rows)))  # type: ignore[misc]
    return round(1e6 * min(times) / ADDED, 2)


def room(folder: Path, index: Flat | Approximate) -> Row:
    """Write an index, and return what its files and a process that asks it take, in MB."""
    save(folder / "vectors.faiss", index, Mark(1, 1, index.dim, 1, 0))
    held = memory_of(folder, index.spec, index.dim)
    size = sum(file.stat().st_size for name in FILES if (file := folder / name).exists())
    return {"memory_mb": held["anonymous_mb"] - held["of_that_imports_mb"], "disk_mb": round(size / 1e6, 2)}


def kinds_of(count: int, given: argparse.Namespace) -> list[str]:
    """Return which kinds are built over so many vectors."""
    return [kind for kind in given.kinds if kind != "hnsw" or count <= given.graph]


def measured(folder: Path, count: int, real: Real, given: argparse.Namespace) -> Row:
    """Return the figures of each kind of index over so many vectors."""
    rng, mixture = np.random.default_rng(count), Mixture(real.pictures)
    texts, tuning = real.captions[:QUERIES], real.captions[QUERIES:]
    pictures = mixture.draw(QUERIES, rng)
    vectors = drawn_vectors(folder, mixture, count, rng)
    np.save(folder / "queries.npy", texts[:50])
    row: Row = {"items": count}
    for kind in [EXACT, *kinds_of(count, given)]:
        began_s = time.process_time()
        index: Flat | Approximate = flat_of(vectors) if kind == EXACT else fitted(kind, vectors, tuning)[0]  # type: ignore[arg-type]
        found: Row = {"fitted_s": round(time.process_time() - began_s, 2)}
        found |= {"text_ms": query_ms(index, texts), "picture_ms": query_ms(index, pictures)}
        if isinstance(index, Approximate):
            found |= {"recall_text": recall(index, texts), "recall_picture": recall(index, pictures)}
            found |= settings(index.spec)
        row[kind] = {**found, **room(folder, index), "added_us": grown(index, mixture, rng)}
        del index
        if kind != EXACT:  # what was added for the measurement goes again
            vectors = exact.load(folder / exact.FILE, Mark(1, 1, vectors.dim, 1, 0), count)
        sys.stderr.write(json.dumps({"items": count, kind: row[kind]}) + "\n")
    auto = "ivfpq" if count >= building.LARGE and "ivfpq" in row else EXACT
    row["auto"] = {"kind": auto, **row[auto]}
    return row


def slope(points: list[tuple[float, float]]) -> float | None:
    """Return the slope of the line fitted to the logarithms of points; ``None`` for fewer than two."""
    sound = [(x, y) for x, y in points if y > 0]
    if len(sound) < 2:
        return None
    return round(float(np.polyfit(*np.log(np.array(sound)).T, 1)[0]), 3)


def curves(report: Row) -> dict[str, list[tuple[float, float]]]:
    """Return what is plotted: points ``(items, value)`` by what they are of."""
    rows = report["indexes"]
    kinds = [name for name in (EXACT, "auto", "ivfpq", "rabitq", "hnsw") if any(name in row for row in rows)]
    found = {"written_s": [(row["items"], row["written_s"]) for row in report["collections"]]}
    for what in ("text_ms", "picture_ms", "added_us", "memory_mb", "disk_mb"):
        for kind in kinds:
            found[f"{kind} {what}"] = [(row["items"], row[kind][what]) for row in rows if kind in row]
    return found


def plot(report: Row, file: Path) -> None:
    """Draw query time, time of writing, and room over the number of items."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "growth"
    found = curves(report)
    panels = {
        "one text query, ms": [name for name in found if name.endswith("text_ms") and not name.startswith("auto")],
        "adding, \N{MICRO SIGN}s an item": [name for name in found if name.endswith("added_us") and "auto" not in name],
        "index in memory, MB": [name for name in found if name.endswith("memory_mb") and "auto" not in name],
    }
    figure, axes = pyplot.subplots(1, len(panels), figsize=(11, 3.4), layout="constrained")
    for place, (title, names) in zip(axes, panels.items(), strict=True):
        lines = {name.split()[0]: found[name] for name in names}
        if title.startswith("adding"):
            lines["whole collection"] = [(x, 1e6 * y / x) for x, y in found["written_s"]]
        for label, points in lines.items():
            sound = [(x, y) for x, y in points if y > 0]
            place.loglog(*zip(*sound, strict=True), marker="o", markersize=3, label=f"{label} ({slope(sound)})")
        place.set_title(title, fontsize=9)
        place.set_xlabel("items", fontsize=8)
        place.tick_params(labelsize=7)
        place.grid(alpha=0.3)
        place.legend(fontsize=7, title="kind (slope)", title_fontsize=7)
    figure.savefig(file, dpi=120, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    """Measure and print, or plot what was printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="+", default=["ivfpq", "rabitq", "hnsw"])
    parser.add_argument("--graph", type=int, default=100_000)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--plot", type=Path, nargs=2, metavar=("GROWTH.json", "FILE"))
    given = parser.parse_args()
    if given.plot:
        plot(json.loads(given.plot[0].read_text(encoding="utf-8")), given.plot[1])
        return
    if given.folder is None:
        parser.error("name the folder of pictures and captions")
    on_one_thread()
    real = vectors_of(given.folder, given.cache)
    real = Real(real.pictures, real.captions[np.random.default_rng(0).permutation(len(real.captions))])
    report: Row = {"counts": given.counts, "indexes": []}
    with tempfile.TemporaryDirectory() as temporary:
        counts = sorted(given.counts)
        report["collections"] = filled(Path(temporary) / "c", real, [count for count in counts if count <= given.rows])
        for count in counts:
            folder = Path(temporary) / str(count)
            folder.mkdir()
            report["indexes"].append(measured(folder, count, real, given))
    report["slopes"] = {name: slope(points) for name, points in curves(report).items()}
    print(json.dumps({**report, **machine()}, indent=1))


if __name__ == "__main__":
    main()
