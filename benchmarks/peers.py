"""Measures indexing, a cold search and a run in which nothing changed beside rclip and clip-retrieval.

    python -m benchmarks.peers FOLDER --model DIR --rclip BIN/rclip [--clip-retrieval BIN/python]
                               [--int8 DIR] [--files 1000] [--large FOLDER] [--runs 3]

DIR is ViT-B-32-256 with random weights (`python -m benchmarks.random_model ViT-B-32-256 --out DIR`); all three run the
same weights: sightseek and rclip with ONNX Runtime, clip-retrieval with PyTorch. `--int8` names the same model as
`models export --int8` writes it: sightseek then also takes part with its image tower in eight bits, which the peers do
not have. Peers live in environments of their own (`python -m venv V; V/bin/pip install rclip`); one that is not given
is skipped. They take turns, so that a change of the machine's mood reaches all.

Pictures a second are those of a whole command less the same command over one picture, so that starting up is not
counted. `resident_mb` is the largest of a command's processes. rclip indexes when it searches, so its run in which
nothing changed is a search with a look at the folder less a search without one; both take part in `searching` over as
many rows as there are in our collection, which are drawn vectors.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.costs import Cost, cost_of
from benchmarks.machine import machine
from benchmarks.random_model import write_checkpoint
from benchmarks.rclip import Rclip, drawn
from retrieval.media import MEDIA_SUFFIXES

_ARCH = "ViT-B-32-256"
_OURS = {"sightseek": "", "sightseek_int8": "int8_"}
"""Our own entrants, and what their ratios begin with."""


class Indexer(NamedTuple):
    """A name, and a function that indexes a folder from nothing."""

    name: str
    index: Callable[[Path], Cost]


class Peers:
    """The programs, and a place to work in."""

    def __init__(self, given: argparse.Namespace, scratch: Path) -> None:
        """Prepare what is given: the weights in the form that each takes."""
        self.scratch = scratch
        self.model: Path = given.model.absolute()
        self.int8: Path | None = given.int8.absolute() if given.int8 else None
        self.rclip = Rclip(given.rclip.absolute(), scratch / "rclip") if given.rclip else None
        if self.rclip:
            self.rclip.give_models(self.model)
        self.other: Path | None = given.clip_retrieval.absolute() if given.clip_retrieval else None
        if self.other:
            self.checkpoint = write_checkpoint(_ARCH, scratch / "random.safetensors")
        self._number = 0

    def ours(self, folder: Path) -> Cost:
        """Index into a new collection."""
        return self._indexed(folder, self.model)

    def ours_in_eight_bits(self, folder: Path) -> Cost:
        """Index into a new collection with the image tower in eight bits."""
        assert self.int8
        return self._indexed(folder, self.int8)

    def _indexed(self, folder: Path, model: Path) -> Cost:
        self._number += 1
        collection = self.scratch / f"collection{self._number}"
        command = [sys.executable, "-m", "retrieval", "index", str(folder), "--model", str(model)]
        return cost_of([*command, "-c", str(collection)], folder)

    def by_rclip(self, folder: Path) -> Cost:
        """Index with rclip."""
        assert self.rclip
        self.rclip.forget()
        return cost_of(self.rclip.indexing(), folder, self.rclip.environment)

    def by_clip_retrieval(self, folder: Path) -> Cost:
        """Embed with clip-retrieval, in batches of 32 with two processes that decode."""
        assert self.other
        self._number += 1
        options = {
            "input_dataset": folder, "output_folder": self.scratch / f"embeddings{self._number}", "enable_text": False,
            "clip_model": f"open_clip:{_ARCH}/{self.checkpoint}", "batch_size": 32, "num_prepro_workers": 2,
        }  # fmt: skip
        command = [str(self.other), "-m", "clip_retrieval.cli", "inference"]
        return cost_of([*command, *(f"--{name}={value}" for name, value in options.items())], folder)

    @property
    def indexers(self) -> list[Indexer]:
        """Who is there."""
        found = [Indexer("sightseek", self.ours)]
        found += [Indexer("sightseek_int8", self.ours_in_eight_bits)] if self.int8 else []
        found += [Indexer("rclip", self.by_rclip)] if self.rclip else []
        return found + ([Indexer("clip-retrieval", self.by_clip_retrieval)] if self.other else [])


def linked(paths: Sequence[Path], folder: Path) -> Path:
    """Link files into a new folder."""
    folder.mkdir()
    for number, path in enumerate(paths):
        (folder / f"{number:06}{path.suffix}").symlink_to(path.absolute())
    return folder


def indexing(peers: Peers, paths: Sequence[Path], runs: int, name: str) -> dict[str, object]:
    """Return pictures a second and memory of each, and ours over each peer's."""
    one, all_of_them = linked(paths[:1], peers.scratch / f"{name}_one"), linked(paths, peers.scratch / name)
    rates: dict[str, list[float]] = {each.name: [] for each in peers.indexers}
    sizes: dict[str, list[float]] = {each.name: [] for each in peers.indexers}
    for _ in range(runs):
        for each in peers.indexers:
            start, whole = each.index(one), each.index(all_of_them)
            rates[each.name].append((len(paths) - 1) / (whole.wall_s - start.wall_s))
            sizes[each.name].append(whole.resident_mb)
            sys.stderr.write(f"{name} {each.name} {rates[each.name][-1]:.2f}/s {whole.resident_mb:.0f} MB\n")
    found: dict[str, object] = {"files": len(paths)}
    for each in peers.indexers:
        rate, size = statistics.median(rates[each.name]), statistics.median(sizes[each.name])
        found[each.name] = {"pictures_s": round(rate, 2), "resident_mb": round(size)}
        if each.name not in _OURS:
            found[f"memory_to_{each.name}"] = round(statistics.median(sizes["sightseek"]) / size, 2)
            for name, prefix in _OURS.items():
                if name in rates:
                    ours = statistics.median(a / b for a, b in zip(rates[name], rates[each.name], strict=True))
                    found[f"{prefix}rate_to_{each.name}"] = round(ours, 2)
    return found


def in_turn(commands: dict[str, Callable[[], Cost]], runs: int) -> dict[str, float]:
    """Return the median wall time of each in seconds; a first round warms the disk's cache."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            cost = command()
            if number:
                times[name].append(cost.wall_s)
    return {name: statistics.median(row) for name, row in times.items()}


def searching(peers: Peers, collection: Path, runs: int) -> dict[str, object]:
    """Return the time of one cold search of both, over as many items, and of `--help`."""
    rclip = peers.rclip
    assert rclip
    items = json.loads(
        subprocess.run(
            [sys.executable, "-m", "retrieval", "status", "-c", str(collection), "--format", "json"],
            check=True, capture_output=True, text=True,
        ).stdout
    )["items"]  # fmt: skip
    folder = peers.scratch / "rows"
    touch(folder, items)
    cost_of(rclip.searching(), folder, rclip.environment)
    assert rclip.fill(folder, drawn()) == items
    command = [sys.executable, "-m", "retrieval"]
    times = in_turn(
        {
            "search": lambda: cost_of([*command, "search", "a dog", "-c", str(collection)], folder),
            "rclip_search": lambda: cost_of(rclip.searching(), folder, rclip.environment),
            "help": lambda: cost_of([*command, "--help"], folder),
            "rclip_help": lambda: cost_of([str(rclip.command), "--help"], folder, rclip.environment),
        },
        runs,
    )
    return {
        "items": items,
        **{f"{name}_s": round(value, 3) for name, value in times.items()},
        "search_to_rclip": round(times["search"] / times["rclip_search"], 2),
        "help_to_rclip": round(times["help"] / times["rclip_help"], 2),
    }


def touch(folder: Path, count: int) -> None:
    """Make empty pictures, a thousand to a folder."""
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:04}").mkdir(parents=True, exist_ok=True)
        (folder / f"{number // 1000:04}" / f"{number:06}.jpg").touch()


def unchanged(peers: Peers, collection: Path, tree: Path, runs: int) -> dict[str, object]:
    """Return the time of a run in which nothing changed over a tree that ``collection`` knows."""
    rclip = peers.rclip
    assert rclip
    cost_of(rclip.searching(), tree, rclip.environment)
    files = rclip.fill(tree, drawn())
    command = [sys.executable, "-m", "retrieval", "index", "-c", str(collection)]
    times = in_turn(
        {
            "index": lambda: cost_of(command, tree),
            "rclip_with_a_look": lambda: cost_of(rclip.indexing(), tree, rclip.environment),
            "rclip_without": lambda: cost_of(rclip.searching(), tree, rclip.environment),
        },
        runs,
    )
    looking_s = times["rclip_with_a_look"] - times["rclip_without"]
    return {
        "files": files,
        **{f"{name}_s": round(value, 3) for name, value in times.items()},
        "to_rclip": round(times["index"] / looking_s, 3),
        "to_rclip_with_its_search": round(times["index"] / times["rclip_with_a_look"], 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--int8", type=Path, help="the same model in eight bits")
    parser.add_argument("--rclip", type=Path)
    parser.add_argument("--clip-retrieval", type=Path, help="the Python of its environment")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--large", type=Path, help="a folder of large pictures")
    parser.add_argument("--collection", type=Path, help="a collection of DIR's vectors, for the cold search")
    parser.add_argument("--unchanged", type=Path, nargs=2, metavar=("COLLECTION", "TREE"))
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, object] = {
        name: "skipped: not given" for name, path in vars(given).items() if name in _OPTIONAL and not path
    }
    with tempfile.TemporaryDirectory() as temporary:
        peers = Peers(given, Path(temporary).resolve())
        paths = pictures(given.folder)[: given.files]
        if paths:
            found["indexing"] = indexing(peers, paths, given.runs, "pictures")
        if given.large:
            found["large"] = indexing(peers, pictures(given.large), given.runs, "large")
        if given.collection and peers.rclip:
            found["searching"] = searching(peers, given.collection.absolute(), 2 * given.runs + 1)
        if given.unchanged and peers.rclip:
            collection, tree = (path.resolve() for path in given.unchanged)
            found["unchanged"] = unchanged(peers, collection, tree, given.runs)
    print(json.dumps({**found, "versions_of_peers": _versions(given), **machine()}, indent=1))


_OPTIONAL = ("int8", "rclip", "clip_retrieval", "large", "collection", "unchanged")


def pictures(folder: Path) -> list[Path]:
    """Return the media below a folder in order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES)


def _versions(given: argparse.Namespace) -> dict[str, str]:
    """Return the versions of the peers that are given, as their environments say."""
    pythons = {"rclip": given.rclip and given.rclip.parent / "python", "clip-retrieval": given.clip_retrieval}
    script = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    return {
        name: subprocess.run(
            [str(python), "-c", script, name], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name, python in pythons.items()
        if python
    }


if __name__ == "__main__":
    main()
