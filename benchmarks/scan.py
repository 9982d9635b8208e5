"""Measures what looking for media and their sidecars costs beside listing the folders and asking for each file's size.

    python -m benchmarks.scan [--files 100000] [--share 0.1] [--rounds 5]

Makes empty files in folders of 1,000 in a temporary place: pictures alone, then a share of them with an XMP file beside
them, then with Google Takeout's JSON, then with both. Bare listing (``os.scandir`` and ``stat``) and scan take turns;
times are of the processor, and the ratios of medians.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import machine
from indexer.scan import scan

FOLDER = 1000
SIDECARS = {"none": (), "xmp": ("{}.xmp",), "json": ("{}.jpg.json",), "xmp and json": ("{}.xmp", "{}.jpg.json")}


def bare(root: Path) -> int:
    """List folders and look at each file once; return how many there are."""
    count = 0
    with os.scandir(root) as listing:
        for entry in listing:
            if entry.is_dir():
                count += bare(Path(entry.path))
            else:
                entry.stat()
                count += 1
    return count


def scanned(root: Path) -> int:
    """Scan; return how many media files are found."""
    return sum(1 for _entry in scan(root))


def timed(walk: Callable[[Path], int], root: Path) -> float:
    """Return how long a walk keeps the processor, in seconds."""
    started = time.process_time()
    walk(root)
    return time.process_time() - started


def make(root: Path, files: int, share: float, names: tuple[str, ...]) -> None:
    """Make what is missing of pictures and sidecars."""
    for number in range(files):
        folder = root / f"{number // FOLDER:04}"
        if number % FOLDER == 0:
            folder.mkdir(parents=True, exist_ok=True)
        stem = f"IMG_{number:06}"
        wanted = ["{}.jpg", *(names if number % round(1 / share) == 0 else ())]
        for name in wanted:
            (folder / name.format(stem)).touch()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found: dict[str, object] = {}
    for kind, names in SIDECARS.items():
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary).resolve()
            make(root, given.files, given.share, names)
            assert scanned(root) == given.files
            times = [(timed(bare, root), timed(scanned, root)) for _ in range(given.rounds)]
        bare_s, scan_s = (statistics.median(column) for column in zip(*times, strict=True))
        found[kind] = {"bare_s": round(bare_s, 3), "scan_s": round(scan_s, 3), "ratio": round(scan_s / bare_s, 2)}
    print(json.dumps({"files": given.files, "share": given.share, "sidecars": found, **machine()}, indent=1))


if __name__ == "__main__":
    main()
