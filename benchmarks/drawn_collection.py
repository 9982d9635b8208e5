"""Makes collections of drawn pictures, as large as is wanted, for what is measured on collections.

    python -m benchmarks.drawn_collection FOLDER COLLECTION... --counts 1000 100000 [--cache FILE.npz] [--index KIND]
                                        [--model DIR]

Written as ``sightseek index`` writes, without files to read: rows, looks and vectors of made-up pictures, a thousand in
a folder, then the index that suits so many. FOLDER holds real pictures with captions (see ``drawn.vectors_of``).
Prints the time of each part in seconds and of each added item in microseconds.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.drawn import Mixture, Real, vectors_of
from benchmarks.machine import machine
from retrieval.config import IndexChoice
from retrieval.embedding import open_embedder
from retrieval.store import Collection, Entry
from retrieval.types import FloatMatrix, Item, MediaInfo

A_COMMIT = 256
A_FOLDER = 1000
_SIGNATURE_BYTES = 384


def written(collection: Collection, first: int, vectors: FloatMatrix, rng: np.random.Generator) -> None:
    """Write pictures number ``first`` and following, with the vectors ``(n, dim)``, in commits of 256."""
    source = collection.add_source(Path("/drawn"))
    picture = MediaInfo("image", 500, 375, None, None, "JPEG")
    for at in range(0, len(vectors), A_COMMIT):
        some = vectors[at : at + A_COMMIT]
        looks = rng.integers(0, 256, (len(some), _SIGNATURE_BYTES), np.uint8)
        with collection.transaction() as writer:
            for number, (row, look) in enumerate(zip(some, looks, strict=True), first + at):
                path = Path(f"/drawn/{number // A_FOLDER:05}/IMG_{number:07}.jpg")
                digest = number.to_bytes(32, "little")
                entry = Entry(path, 50_000 + number % 9973, 1_700_000_000_000_000_000 + number)
                writer.put(source.id, entry, picture, digest, [Item(signature=look.tobytes())], row[None])


def make(
    folder: Path, count: int, real: Real, choice: IndexChoice | None = None, model: str = "starter"
) -> dict[str, float]:
    """Make a collection of so many drawn pictures; return how long each part took, in seconds.

    It is said to be of ``model``, whose vectors have to be as long as the built-in model's.
    """
    rng = np.random.default_rng(count)
    mixture = Mixture(real.pictures)
    spec = open_embedder(model).spec
    times = {"rows_s": 0.0}
    with Collection.create(folder, spec) as collection:
        for first in range(0, count, 8192):
            vectors = mixture.draw(min(8192, count - first), rng)
            began_s = time.perf_counter()
            written(collection, first, vectors, rng)
            times["rows_s"] += time.perf_counter() - began_s
        began_s = time.perf_counter()
        collection.save_index()
        times["index_s"] = time.perf_counter() - began_s
        began_s = time.perf_counter()
        collection.fit_index(choice, lambda: real.captions)
        times["fit_s"] = time.perf_counter() - began_s
    return times


def main() -> None:
    """Make and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("collections", type=Path, nargs="+")
    parser.add_argument("--counts", type=int, nargs="+", required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--index", choices=["auto", "flat", "ivfpq", "rabitq", "hnsw"])
    parser.add_argument("--model", default="starter", help="whose collections they are said to be")
    given = parser.parse_args()
    real = vectors_of(given.folder, given.cache)
    found = []
    for folder, count in zip(given.collections, given.counts, strict=True):
        times = make(folder, count, real, given.index, given.model)
        each_us = 1e6 * sum(times.values()) / count
        found.append({"items": count, **{name: round(value, 3) for name, value in times.items()}, "each_us": each_us})
    print(json.dumps({"collections": found, **machine()}, indent=1))


if __name__ == "__main__":
    main()
