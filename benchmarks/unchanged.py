"""Measures a run of ``sightseek index`` that finds nothing changed, beside a bare walk of the same folders.

    python -m benchmarks.unchanged [--files 100000] [--share 0.0] [--rounds 5] [--keep FOLDER]

Makes small files in folders of 1,000, of which ``--share`` have an XMP file beside them, and a collection that knows
them all, with vectors drawn at random. The walk lists folders with ``os.scandir`` and asks for each file's size and
time, in a process of its own like the command, each with the start of its interpreter. They take turns; ratios are of
medians. `_s` is wall time, `_processor_s` time of the processors. With ``--keep`` folders and collection are left in
FOLDER, and taken from there the next time.
"""

import argparse
import contextlib
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.cold_search import timed
from benchmarks.machine import machine
from benchmarks.scan import make
from indexer.scan import scan
from retrieval.embedding import open_embedder
from retrieval.store import Collection
from retrieval.types import Item, MediaInfo

_GROUP = 5000
_WALK = """
import os, sys
def walk(folder):
    with os.scandir(folder) as listing:
        for entry in listing:
            if entry.is_dir():
                walk(entry.path)
            else:
                entry.stat()
walk(sys.argv[1])
"""


def prepare(folder: Path, files: int, share: float) -> tuple[Path, Path]:
    """Make files and a collection of them unless they are there; return the folders of both."""
    media, collection = folder / "media", folder / "collection"
    if collection.exists():
        return media, collection
    make(media, files, share or 1.0, ("{}.xmp",) if share else ())
    with Collection.create(collection, open_embedder().spec) as opened:
        fill(opened, media)
    return media, collection


def fill(collection: Collection, media: Path) -> None:
    """Store each file of a folder as a picture with a vector drawn at random, and save an exact index of them."""
    source_id, info = collection.add_source(media).id, MediaInfo("image", 640, 480, None, None, "JPEG")
    rng, entries = np.random.default_rng(0), scan(media)
    while group := list(islice(entries, _GROUP)):
        vectors = rng.standard_normal((len(group), collection.manifest.spec.dim), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with collection.transaction() as writer:
            for entry, vector in zip(group, vectors, strict=True):
                digest = hashlib.blake2b(entry.raw, digest_size=16).digest()
                writer.put(source_id, entry, info, digest, [Item()], vector[None])
    collection.fit_index("flat")
    collection.save_index()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--share", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with _place(given.keep) as folder:
        media, collection = prepare(folder, given.files, given.share)
        index = [sys.executable, "-m", "retrieval", "index", "-c", str(collection)]
        said = subprocess.run(index, check=True, capture_output=True, text=True).stderr.splitlines()[-1]
        if not said.startswith(f"{given.files:,} unchanged"):
            raise SystemExit(f"not all files were known: {said}")
        commands = {"walk": [sys.executable, "-c", _WALK, str(media)], "index": index}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _round in range(given.rounds):
            for name, command in commands.items():
                times[name].append(timed(command))
    found: dict[str, float] = {}
    medians = {name: [statistics.median(part) for part in zip(*rows, strict=True)] for name, rows in times.items()}
    for place, ending in enumerate(("_s", "_processor_s")):
        for name in commands:
            found[name + ending] = round(medians[name][place], 3)
        found[f"index_to_walk{ending.removesuffix('_s')}"] = round(medians["index"][place] / medians["walk"][place], 2)
    print(json.dumps({"files": given.files, "share": given.share, "said": said, **found, **machine()}, indent=1))


@contextlib.contextmanager
def _place(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary).resolve()


if __name__ == "__main__":
    main()
