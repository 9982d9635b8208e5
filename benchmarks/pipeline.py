"""Measures how near indexing comes to its limit: the model alone and decoding alone, in the same run.

    python -m benchmarks.pipeline FOLDER [--model NAME] [--files 8086] [--runs 3]

The limit is (processor time of the model on ready pictures + processor time of decoding and scaling the files) over
the number of processors. `ratio` is the wall time of `sightseek index` less that of starting it, over the limit:
1.0 would be processors that never wait. Files are linked into a temporary folder, and the three are measured in turn,
so that a change of the machine's mood reaches all of them; `processor_ratio` is the same of processor time, which does
not depend on what else the machine does. Memory is the largest resident size of the command.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.watching import indexed, own_bytes
from retrieval.bench import measure_decoding, measure_encoding
from retrieval.config import Sampling
from retrieval.embedding import open_embedder
from retrieval.embedding.base import processors
from retrieval.embedding.stream import default_workers
from retrieval.media import MEDIA_SUFFIXES


def measure(paths: Sequence[Path], model: str, runs: int) -> dict[str, float]:
    """Measure limit and command over these files in turn, ``runs`` times; return the medians of all figures.

    Raises:
        RetrievalError: the model cannot be used.
    """
    embedder = open_embedder(model, "cpu")
    embedder.embed_texts(["a"])  # what is not there yet is said before anything is measured
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        (scratch / "media").mkdir()
        (scratch / "one").mkdir()
        for number, path in enumerate(paths):
            (scratch / "media" / f"{number:06}{path.suffix}").symlink_to(path.absolute())
        (scratch / "one" / paths[0].name).symlink_to(paths[0].absolute())
        for number in range(runs):
            start = indexed(model, scratch / "one", scratch / f"one{number}")
            encoding = measure_encoding(embedder, 10.0)
            decoding = measure_decoding(paths, embedder, Sampling(), default_workers(), 1e9)
            ran = indexed(model, scratch / "media", scratch / f"all{number}")
            limit_s = decoding.pictures * (encoding.each_s + decoding.each_s) / processors()
            rows.append(
                {
                    "limit_s": limit_s,
                    "wall_s": ran.wall_s - start.wall_s,
                    "ratio": (ran.wall_s - start.wall_s) / limit_s,
                    "processor_ratio": (ran.processor_s - start.processor_s) / (limit_s * processors()),
                    "whole_wall_s": ran.wall_s,
                    "model_only_s_each": encoding.each_s,
                    "decoding_s_each": decoding.each_s,
                    "resident_mb": ran.resident_bytes / 1e6,
                }
            )
            sys.stderr.write(json.dumps(rows[-1]) + "\n")
    found = {name: round(statistics.median(row[name] for row in rows), 4) for name in rows[0]}
    found["own_mb"] = round(own_bytes() / 1e6, 1)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--files", type=int, default=10**9)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    paths = sorted(path for path in given.folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES)[: given.files]
    found = measure(paths, given.model, given.runs)
    print(json.dumps({"files": len(paths), "model": given.model, **found, **machine()}, indent=1))


if __name__ == "__main__":
    main()
