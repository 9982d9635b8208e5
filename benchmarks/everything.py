"""Runs the benchmarks of speed one after the other, and keeps what each prints.

    python -m benchmarks.everything DATA WORK [--only NAME...] [--rclip BIN/rclip] [--clip-retrieval BIN/python]

DATA holds flickr8k/ (images/ and captions.tsv). What they need (a model of random weights, large pictures, drawn
collections, a folder of many files) is made in WORK the first time, and taken from there afterwards. Each result goes
to `benchmarks/results/NAME.json`, from which `python -m benchmarks.table` makes the tables of the README. Nothing else
should run on the machine; all of it takes about an hour.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.large_pictures import make_pictures

RESULTS = Path(__file__).parent / "results"
MODEL, INT8, LARGE, VECTORS, UNCHANGED = "vit-b-32-256", "vit-b-32-256-int8", "large", "vectors.npz", "unchanged"
SMALL, MIDDLE, MANY, PEERS = "items1000", "items8086", "items100000", "items8086-vit"
_UNUSUAL = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPROFILEIMPORTTIME")


class Place(NamedTuple):
    """Where data are, where to work, and where peers are."""

    data: Path
    work: Path
    rclip: Path | None
    clip_retrieval: Path | None

    @property
    def pictures(self) -> str:
        """The folder of photographs."""
        return str(self.data / "flickr8k" / "images")

    @property
    def captioned(self) -> str:
        """The folder of photographs with their captions."""
        return str(self.data / "flickr8k")

    def of(self, name: str) -> str:
        """A path in the work folder."""
        return str(self.work / name)


def environment() -> dict[str, str]:
    """The environment without what would hide a start's usual cost, as where no compiled code may be kept."""
    return {name: value for name, value in os.environ.items() if name not in _UNUSUAL}


def _python(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment())


def _drawn(place: Place, name: str, count: int, *arguments: str) -> None:
    cache = ("--cache", place.of(VECTORS))
    _python("benchmarks.drawn_collection", place.captioned, place.of(name), "--counts", str(count), *cache, *arguments)


def _large(place: Place) -> None:
    make_pictures(sorted(Path(place.pictures).iterdir()), place.work / LARGE, 60)


MAKERS: dict[str, Callable[[Place], None]] = {
    MODEL: lambda place: _python("benchmarks.random_model", "ViT-B-32-256", "--out", place.of(MODEL)),
    INT8: lambda place: _python(
        "retrieval", "models", "export", place.of(MODEL), "--out", place.of(INT8), "--int8", place.pictures
    ),
    LARGE: _large,
    SMALL: lambda place: _drawn(place, SMALL, 1000),
    MIDDLE: lambda place: _drawn(place, MIDDLE, 8086),
    MANY: lambda place: _drawn(place, MANY, 100_000),
    PEERS: lambda place: _drawn(place, PEERS, 8086, "--model", place.of(MODEL)),
    UNCHANGED: lambda place: _python("benchmarks.unchanged", "--rounds", "1", "--keep", place.of(UNCHANGED)),
}


class Benchmark(NamedTuple):
    """A module with its arguments, and the names of what has to be made for it."""

    module: str
    arguments: Callable[[Place], list[str]]
    needs: tuple[str, ...] = ()


def _peers(place: Place, *arguments: str) -> list[str]:
    peers = {"--rclip": place.rclip, "--clip-retrieval": place.clip_retrieval}
    given = [part for name, path in peers.items() if path for part in (name, str(path))]
    return [place.pictures, "--model", place.of(MODEL), *given, *arguments]


BENCHMARKS: dict[str, Benchmark] = {
    "cold_search": Benchmark(
        "cold_search", lambda place: [place.of(MIDDLE), place.of(SMALL), place.of(MANY)], (SMALL, MIDDLE, MANY)
    ),
    "warm_search": Benchmark("warm_search", lambda place: [place.of(MANY)], (MANY,)),
    "unchanged": Benchmark("unchanged", lambda place: ["--keep", place.of(UNCHANGED)], (UNCHANGED,)),
    "scan": Benchmark("scan", lambda _place: []),
    "pipeline": Benchmark("pipeline", lambda place: [place.pictures, "--runs", "1", "--files", "8086"]),
    "large_pictures": Benchmark("large_pictures", lambda place: [place.pictures, "--keep", place.of(LARGE)], (LARGE,)),
    "large_pictures_vit": Benchmark(
        "large_pictures",
        lambda place: [place.pictures, "--keep", place.of(LARGE), "--model", place.of(MODEL)],
        (LARGE, MODEL),
    ),
    "peers": Benchmark(
        "peers",
        lambda place: _peers(
            place, "--large", place.of(LARGE), "--collection", place.of(PEERS),
            "--unchanged", place.of(f"{UNCHANGED}/collection"), place.of(f"{UNCHANGED}/media"),
            "--int8", place.of(INT8), "--runs", "1", "--files", "1000",
        ),
        (MODEL, INT8, LARGE, PEERS, UNCHANGED),
    ),
    "eight_bits": Benchmark(
        "eight_bits",
        lambda place: [place.captioned, "--single", place.of(MODEL), "--int8", place.of(INT8)],
        (MODEL, INT8),
    ),
    "video": Benchmark("video", lambda place: [place.pictures, "--clips", "2"]),
    "index_peers": Benchmark("index_peers", lambda place: [place.captioned, "--cache", place.of(VECTORS)]),
    "index_kinds": Benchmark(
        "index_kinds", lambda place: [place.captioned, "--cache", place.of(VECTORS), "--kinds", "ivfpq"]
    ),
    "memory": Benchmark("memory", lambda _place: ["--counts", "1000,100000"]),
    "growth": Benchmark(
        "growth",
        lambda place: [
            place.captioned, "--cache", place.of(VECTORS), "--kinds", "ivfpq",
            "--counts", "1000", "10000", "100000", "--rows", "10000",
        ],
    ),
    "pipeline_vit": Benchmark(
        "pipeline",
        lambda place: [place.pictures, "--runs", "1", "--files", "1000", "--model", place.of(MODEL)],
        (MODEL,),
    ),
}  # fmt: skip
"""By name, the short ones first."""


def run(name: str, place: Place) -> None:
    """Make what is missing, run one benchmark, and keep what it prints."""
    benchmark = BENCHMARKS[name]
    for need in benchmark.needs:
        if not (place.work / need).exists():
            sys.stderr.write(f"making {need}\n")
            MAKERS[need](place)
    sys.stderr.write(f"{name}\n")
    began_s = time.perf_counter()
    command = [sys.executable, "-m", f"benchmarks.{benchmark.module}", *benchmark.arguments(place)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment())
    if ran.returncode:
        sys.stderr.write(f"{name} failed, its last result stays\n")
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(_without_places(ran.stdout, place), encoding="utf-8")
    sys.stderr.write(f"{name} took {time.perf_counter() - began_s:.0f} s\n")


def _without_places(text: str, place: Place) -> str:
    """Return the result without the folders of this machine, one key a line."""
    said = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    return said.replace(f"{place.work}/", "").replace(f"{place.data}/", "") + "\n"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--rclip", type=Path)
    parser.add_argument("--clip-retrieval", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    place = Place(given.data.resolve(), given.work.resolve(), given.rclip, given.clip_retrieval)
    for name in given.only:
        run(name, place)


if __name__ == "__main__":
    main()
