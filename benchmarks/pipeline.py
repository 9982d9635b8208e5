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
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine
from retrieval.bench import measure_decoding, measure_encoding
from retrieval.config import Sampling
from retrieval.embedding import open_embedder
from retrieval.embedding.base import processors
from retrieval.embedding.stream import default_workers
from retrieval.media import MEDIA_SUFFIXES


def run(command: list[str]) -> tuple[float, float, int]:
    """Run a command; return its wall and processor time in seconds, and its largest resident size in bytes."""
    began_s = time.perf_counter()
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _pid, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - began_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def indexed(model: str, media: Path, scratch: Path, number: int) -> tuple[float, float, int]:
    """Index a folder into a new collection with the command."""
    command = [sys.executable, "-m", "retrieval", "index", str(media), "--model", model]
    return run([*command, "-c", str(scratch / f"collection{number}")])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--files", type=int, default=10**9)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    paths = sorted(path for path in given.folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES)[: given.files]
    embedder = open_embedder(given.model, "cpu")
    embedder.embed_texts(["a"])  # what is not there yet is said before anything is measured
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        (scratch / "media").mkdir()
        (scratch / "one").mkdir()
        for number, path in enumerate(paths):
            (scratch / "media" / f"{number:06}{path.suffix}").symlink_to(path.absolute())
        (scratch / "one" / paths[0].name).symlink_to(paths[0].absolute())
        for number in range(given.runs):
            start_s, start_processor_s, _size = indexed(given.model, scratch / "one", scratch, 2 * number)
            encoding = measure_encoding(embedder, 10.0)
            decoding = measure_decoding(paths, embedder, Sampling(), default_workers(), 1e9)
            wall_s, processor_s, size_bytes = indexed(given.model, scratch / "media", scratch, 2 * number + 1)
            limit_s = decoding.pictures * (encoding.each_s + decoding.each_s) / processors()
            rows.append(
                {
                    "limit_s": limit_s,
                    "wall_s": wall_s - start_s,
                    "ratio": (wall_s - start_s) / limit_s,
                    "processor_ratio": (processor_s - start_processor_s) / (limit_s * processors()),
                    "model_only_s_each": encoding.each_s,
                    "decoding_s_each": decoding.each_s,
                    "resident_mb": size_bytes / 1e6,
                }
            )
            sys.stderr.write(json.dumps(rows[-1]) + "\n")
    found = {name: round(statistics.median(row[name] for row in rows), 4) for name in rows[0]}
    found["own_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
    print(json.dumps({"files": len(paths), "model": given.model, **found, **machine()}, indent=1))


if __name__ == "__main__":
    main()
