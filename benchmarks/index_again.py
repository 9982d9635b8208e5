"""Measures what an index run costs when nothing changed, and when files only moved, beside the first run.

    python -m benchmarks.index_again FOLDER... [--model NAME] [--move 100]

Works on a copy of the folders in a temporary place; embeds nothing in the second and third run or says so.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine


def run_index(collection: Path, *arguments: str) -> tuple[float, str]:
    """Run the command in a new process; return its wall time in seconds and its messages."""
    started = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "retrieval", "index", *arguments, "-c", str(collection)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ran.returncode not in (0, 3):
        raise SystemExit(ran.stderr)
    return time.perf_counter() - started, ran.stderr.strip()


def status(collection: Path) -> dict[str, object]:
    """Return ``sightseek status --format json``."""
    command = [sys.executable, "-m", "retrieval", "status", "--format", "json", "-c", str(collection)]
    loaded: dict[str, object] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return loaded


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--move", type=int, default=100, help="how many files to move to another folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        media, collection = Path(scratch) / "media", Path(scratch) / "collection"
        for number, folder in enumerate(given.folders):
            shutil.copytree(folder, media / f"{number} {folder.name}")
        first_s, first = run_index(collection, str(media), "--model", given.model)
        counted = status(collection)
        again = [run_index(collection) for _ in range(3)]
        again_s = sorted(seconds for seconds, _ in again)[1]
        files = sorted(path for path in media.rglob("*") if path.is_file())
        target = media / "moved"
        target.mkdir()
        for path in random.Random(0).sample(files, min(given.move, len(files))):
            path.rename(target / path.name)
        moved_s, moved = run_index(collection)
    print(
        json.dumps(
            {
                "files": counted["files"],
                "failed": counted["failed"],
                "items": counted["items"],
                "bytes": counted["bytes"],
                "first_s": round(first_s, 2),
                "files_per_s": round(len(files) / first_s, 1),
                "again_s": round(again_s, 2),
                "again_to_first": round(again_s / first_s, 5),
                "moved_s": round(moved_s, 2),
                "said": {"first": first, "again": again[0][1], "moved": moved},
                **machine(),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
