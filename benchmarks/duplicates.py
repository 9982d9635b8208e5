"""Measures `duplicates`: whether altered copies of photographs are found, and how time grows with their number.

    python -m benchmarks.duplicates copies FOLDER [--splits dev test] [--count 2000]
    python -m benchmarks.duplicates vectors FOLDER [--counts 25000 50000 100000] [--cache FILE.npz]

FOLDER holds images/ and captions.tsv (image, split, caption).

``copies``: of each photograph five copies are written, as files, and all are indexed and grouped as *visually
identical*. The five are what copies on people's drives are: half the size; strong compression; another format at
another size, as messengers send; brighter or darker, more or less contrast, another gamma; cut by up to 3 % a side, or
with a border of up to 2 %. Copies are compared with one another as well, so also a cropped one with a brightened one.
A pair is right when it is of one photograph; another photograph of the same scene counts as wrong. ``alone`` tells of
changes made to single photographs, some of which people may call copies and some not: the share called identical.
Which model embeds is without meaning here; it is a tiny one.

``vectors``: collections of so many pictures, of which a fifth are copies. Looks are those of random
parts of real photographs, vectors are drawn from a mixture fitted to real ones (see ``drawn``). Each size is run
in a process of its own. ``cpu_s`` is the time of all its threads, which does not depend on what else the machine does;
the slope is that of its logarithm over that of the count.
"""

import argparse
import csv
import io
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from benchmarks.machine import machine
from retrieval.config import DuplicateOptions, Level, ModelSpec, Preprocessing
from retrieval.duplicates import find_duplicates
from retrieval.duplicates.records import Group
from retrieval.media.frames import compact, signature
from retrieval.ranking.near import Looks, looks, unlikeness
from retrieval.store import Collection, Entry
from retrieval.types import FloatMatrix, Item, MediaInfo

Change = Callable[[Image.Image, random.Random], Image.Image]
PIXELS = 260
"""To how many pixels the tiny model scales pictures, as the built-in one does; large ones are decoded no larger."""
COPIED = 0.2
"""Which share of the pictures of ``vectors`` are copies of others."""
_SHOWN = 20
_BLOCK = 5000


def names_of(folder: Path, splits: list[str]) -> list[str]:
    """Return the names of the pictures of some splits, in a random order that is always the same."""
    with (folder / "captions.tsv").open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = sorted({row[0] for row in rows if not splits or row[1] in splits})
    random.Random(0).shuffle(names)
    return names


# --------------------------------------------------------------------------------------------------------- changes


def _resized(picture: Image.Image, scale: float) -> Image.Image:
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def _cut(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = picture.size
    return picture.crop(
        (round(width * left), round(height * top), width - round(width * right), height - round(height * bottom))
    )


def _toned(picture: Image.Image, rng: random.Random) -> Image.Image:
    amount = rng.choice([rng.uniform(0.85, 0.95), rng.uniform(1.05, 1.15)])
    how = rng.choice(["brightness", "contrast", "gamma"])
    if how == "gamma":
        return picture.point([round(255 * (level / 255) ** amount) for level in range(256)] * 3)
    enhance = ImageEnhance.Brightness if how == "brightness" else ImageEnhance.Contrast
    return enhance(picture).enhance(amount)


def _trimmed(picture: Image.Image, rng: random.Random) -> Image.Image:
    if rng.random() < 0.5:
        return _cut(picture, *(rng.uniform(0.0, 0.03) for _ in range(4)))
    return ImageOps.expand(picture, round(picture.width * rng.uniform(0.01, 0.02)), rng.choice(["white", "black"]))


def _marked(picture: Image.Image, rng: random.Random) -> Image.Image:
    marked = picture.copy()
    place = picture.width * 0.7, picture.height * rng.choice([0.04, 0.9])
    ImageDraw.Draw(marked, "RGBA").text(place, "(c) me", fill=(255, 255, 255, 150), font_size=picture.height * 0.06)
    return marked


def _worded(picture: Image.Image, rng: random.Random) -> Image.Image:
    worded = picture.copy()
    place = picture.width * 0.2, picture.height * rng.uniform(0.1, 0.8)
    size = picture.height * 0.1
    ImageDraw.Draw(worded).text(place, "FOR SALE", "white", font_size=size, stroke_width=1, stroke_fill="black")
    return worded


def _pasted(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Put a piece of the mirrored picture, 9 % of the width, somewhere."""
    side = round(picture.width * 0.09)
    at = rng.randrange(picture.width - side), rng.randrange(picture.height - side)
    pasted = picture.copy()
    pasted.paste(ImageOps.mirror(picture).crop((*at, at[0] + side, at[1] + side)), at)
    return pasted


def _warmer(picture: Image.Image, rng: random.Random) -> Image.Image:
    red, green, blue = picture.split()
    by = rng.uniform(0.03, 0.08)
    return Image.merge("RGB", (red.point(lambda v: v * (1 + by)), green, blue.point(lambda v: v * (1 - by))))


COPIES: dict[str, tuple[Change, str, int]] = {
    "half the size": (lambda picture, _: _resized(picture, 0.5), "JPEG", 90),
    "quality 40": (lambda picture, _: picture, "JPEG", 40),
    "other format": (lambda picture, rng: _resized(picture, rng.uniform(0.6, 0.95)), "WEBP", 75),
    "other tones": (_toned, "JPEG", 85),
    "cut or bordered": (_trimmed, "JPEG", 85),
}
"""What is done to a picture, and the format and quality it is then kept in."""
ALONE: dict[str, tuple[Change, str, int]] = {
    "saturation x 0.85-1.15": (lambda p, rng: ImageEnhance.Color(p).enhance(rng.uniform(0.85, 1.15)), "JPEG", 85),
    "warmer by 3-8 %": (_warmer, "JPEG", 85),
    "faint mark in a corner": (_marked, "JPEG", 85),
    "5 % a side cut off": (lambda picture, _: _cut(picture, 0.05, 0.05, 0.05, 0.05), "JPEG", 85),
    "10 % a side cut off": (lambda picture, _: _cut(picture, 0.1, 0.1, 0.1, 0.1), "JPEG", 85),
    "a thing of 9 % of the width": (_pasted, "JPEG", 85),
    "words of 10 % of the height": (_worded, "JPEG", 85),
    "mirrored": (lambda picture, _: ImageOps.mirror(picture), "JPEG", 85),
}


# ---------------------------------------------------------------------------------------------------------- copies


def write_copies(pictures: list[Path], folder: Path) -> None:
    """Write each picture and its five copies into folders named after what was done, under the picture's number."""
    kept = folder / "as it was"
    kept.mkdir(parents=True)
    for change in COPIES:
        (folder / change).mkdir()
    for number, path in enumerate(pictures):
        (kept / f"{number}.jpg").write_bytes(path.read_bytes())
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        for change, (make, form, quality) in COPIES.items():
            made = make(picture, random.Random(f"{number} {change}"))
            made.save(folder / change / f"{number}.{form.lower()}", form, quality=quality)


def index_of(media: Path, scratch: Path) -> Collection:
    """Return a collection of some pictures, embedded by a tiny model."""
    from indexer import index
    from retrieval.embedding import open_embedder
    from tests.model_makers import write_tiny_model

    embedder = open_embedder(str(write_tiny_model(scratch / "tiny", size=PIXELS)), "cpu", 1)
    collection = Collection.create(scratch / "collection", embedder.spec)
    summary = index(collection, embedder, [media])
    assert not summary.failed
    return collection


def pairs_in(groups: tuple[Group, ...]) -> set[tuple[Path, Path]]:
    """Return all pairs of files that stand in one group, each in the order of its paths."""
    found: set[tuple[Path, Path]] = set()
    for group in groups:
        found.update(itertools.combinations(sorted(member.file.path for member in group.members), 2))
    return found


def told_of(pairs: set[tuple[Path, Path]], media: Path, pictures: list[Path]) -> dict[str, object]:
    """Return precision and recall over pairs of files; ``with_original`` are pairs of a copy with its photograph."""
    right = {pair for pair in pairs if pair[0].stem == pair[1].stem}
    wrong = Counter(tuple(sorted((pictures[int(a.stem)].name, pictures[int(b.stem)].name))) for a, b in pairs - right)
    changes = ["as it was", *COPIES]
    expected = len(pictures) * len(list(itertools.combinations(changes, 2)))
    with_original = Counter(
        ({one.parent.name for one in pair} - {"as it was"}).pop()
        for pair in right
        if media / "as it was" in (pair[0].parent, pair[1].parent)
    )
    found = sum(with_original.values())
    return {
        "precision": round(len(right) / max(1, len(pairs)), 5),
        "recall": round(len(right) / expected, 5),
        "pairs_right": len(right),
        "pairs_wrong": len(pairs) - len(right),
        "recall_with_original": round(found / (len(pictures) * len(COPIES)), 5),
        "found_with_original": {change: round(with_original[change] / len(pictures), 4) for change in COPIES},
        "photographs_taken_for_one_another": [[*both, count] for both, count in wrong.most_common(_SHOWN)],
    }


def _looks_of(pictures: list[Image.Image]) -> Looks:
    rows = [np.frombuffer(compact(signature(np.asarray(one))), np.uint8) for one in pictures]
    return looks(np.stack(rows), np.array([one.size for one in pictures]))


def alone(pictures: list[Path]) -> dict[str, float]:
    """Return of each change which share of photographs still counts as identical."""
    whole = []
    for path in pictures:
        with Image.open(path) as opened:
            whole.append(opened.convert("RGB"))
    before, found = _looks_of(whole), {}
    for change, (make, form, quality) in ALONE.items():
        changed = []
        for number, picture in enumerate(whole):
            stream = io.BytesIO()
            make(picture, random.Random(f"{number} {change}")).save(stream, form, quality=quality)
            changed.append(Image.open(stream).convert("RGB"))
        found[change] = round(float((unlikeness(before, _looks_of(changed)) <= 1).mean()), 4)
    return found


def measure_copies(folder: Path, splits: list[str], count: int) -> dict[str, object]:
    """Write, index and group copies; return what came of it."""
    pictures = [folder / "images" / name for name in names_of(folder, splits)[:count]]
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary).resolve()
        write_copies(pictures, scratch / "media")
        with index_of(scratch / "media", scratch) as collection:
            started = time.perf_counter()
            found = find_duplicates(collection, None, DuplicateOptions("identical"))
            took_s = time.perf_counter() - started
        told = told_of(pairs_in(found.groups), scratch / "media", pictures)
    return {
        "photographs": len(pictures),
        "splits": splits,
        "files": len(pictures) * (1 + len(COPIES)),
        **told,
        "grouped_s": round(took_s, 2),
        "alone": alone(pictures[:500]),
    }


# --------------------------------------------------------------------------------------------------------- vectors


def parts_of(pictures: list[Path], count: int) -> NDArray[np.uint8]:
    """Return signatures of random parts of pictures, some mirrored, ``(count, 384) uint8``."""
    rng, found = random.Random(1), []
    each = -(-count // len(pictures))
    for path in pictures:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        for _ in range(each):
            width, height = (round(side * rng.uniform(0.4, 0.8)) for side in picture.size)
            left, top = rng.randrange(picture.width - width), rng.randrange(picture.height - height)
            part = picture.crop((left, top, left + width, top + height))
            part = ImageOps.mirror(part) if rng.random() < 0.5 else part
            found.append(np.frombuffer(compact(signature(np.asarray(part))), np.uint8))
    order = np.random.default_rng(1).permutation(len(found))[:count]
    return np.stack(found)[order]


def invent(seen: NDArray[np.uint8], drawn: FloatMatrix) -> NDArray[np.int64]:
    """Make a fifth of the looks and vectors copies of earlier ones, in place; return whose, ``(n,)``."""
    rng = np.random.default_rng(2)
    whose = np.arange(len(seen))
    copied = rng.random(len(seen)) < COPIED
    copied[0] = False
    copies, originals = np.flatnonzero(copied), np.flatnonzero(~copied)
    whose[copies] = originals[rng.integers(0, np.searchsorted(originals, copies))]
    noise = rng.integers(-1, 2, (len(copies), seen.shape[1]))
    seen[copies] = np.clip(seen[whose[copies]].astype(np.int64) + noise, 0, 255).astype(np.uint8)
    width = drawn.shape[1]
    drawn[copies] = drawn[whose[copies]] + rng.normal(0, 0.2 / np.sqrt(width), (len(copies), width))
    drawn[copies] /= np.linalg.norm(drawn[copies], axis=1, keepdims=True)
    return whose


def write_items(collection: Collection, seen: NDArray[np.uint8], vectors: FloatMatrix, places: range) -> None:
    """Write pictures that have these looks and vectors; there are no files behind them."""
    info = MediaInfo("image", 640, 480, None, None, "JPEG")
    for first in range(places.start, places.stop, _BLOCK):
        with collection.transaction() as writer:
            source = writer.add_source(Path("/drawn"))
            for at in range(first, min(places.stop, first + _BLOCK)):
                items = [Item(None, None, None, signature=seen[at].tobytes())]
                entry = Entry(Path(f"/drawn/{at:07d}.jpg"), at + 1, at)
                writer.put(source.id, entry, info, at.to_bytes(8, "big"), items, vectors[at : at + 1])


def group(folder: Path, level: Level) -> dict[str, object]:
    """Group a collection; return the seconds, the memory of this process, and the groups' files by number."""
    with Collection.open(folder) as collection:
        before_mb = _peak_mb()
        started, started_cpu = time.perf_counter(), time.process_time()
        found = find_duplicates(collection, None, DuplicateOptions(level))
        took_s, took_cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    return {
        "s": round(took_s, 2),
        "cpu_s": round(took_cpu_s, 2),
        "peak_mb": round(_peak_mb()),
        "of_that_before_mb": round(before_mb),
        "groups": [[int(member.file.path.stem) for member in each.members] for each in found.groups],
    }


def _peak_mb() -> float:
    """Return the most memory that this process has held; Linux alone tells it of a process without its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _found_again(groups: list[list[int]], whose: NDArray[np.int64]) -> dict[str, float]:
    """Return which share of the copies stands with its original, and which share of the pairs in groups are right."""
    place = np.full(len(whose), -1)
    right = pairs = 0
    for number, members in enumerate(groups):
        place[members] = number
        counts = np.unique(whose[members], return_counts=True)[1]
        right += int((counts * (counts - 1) // 2).sum())
        pairs += len(members) * (len(members) - 1) // 2
    copies = np.flatnonzero(whose != np.arange(len(whose)))
    together = (place[copies] >= 0) & (place[copies] == place[whose[copies]])
    return {"copies_with_original": round(float(together.mean()), 5), "pairs_right": round(right / max(1, pairs), 5)}


def measure_vectors(folder: Path, counts: list[int], cache: Path | None) -> dict[str, object]:
    """Group a collection that grows, each time in a process of its own."""
    from benchmarks.drawn import Mixture, vectors_of

    pictures = [folder / "images" / name for name in names_of(folder, ["train", "dev", "extra"])]
    vectors = Mixture(vectors_of(folder, cache)[0]).draw(max(counts), np.random.default_rng(3))
    seen = parts_of(pictures, max(counts))
    whose = invent(seen, vectors)
    sizes: dict[str, dict[str, object]] = {}
    times: dict[str, list[float]] = {"identical": [], "similar": []}
    with tempfile.TemporaryDirectory() as temporary:
        where = Path(temporary) / "collection"
        Collection.create(where, ModelSpec("drawn", vectors.shape[1], "0", Preprocessing(8, 8))).close()
        for before, count in itertools.pairwise([0, *counts]):
            with Collection.open(where, write=True) as collection:
                write_items(collection, seen, vectors, range(before, count))
            for level, took in times.items():
                command = [sys.executable, "-m", "benchmarks.duplicates", "group", str(where), level]
                told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                took.append(told["cpu_s"])
                groups = told.pop("groups")
                found = {**told, "groups": len(groups), **_found_again(groups, whose[:count])}
                sizes.setdefault(str(count), {})[level] = found
                sys.stderr.write(json.dumps({str(count): {level: found}}) + "\n")
    slopes = {
        level: round(float(np.polyfit(np.log(counts), np.log(took), 1)[0]), 3)
        for level, took in times.items()
        if len(counts) > 1
    }
    return {"dim": vectors.shape[1], "counts": sizes, "slope": slopes}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    copies = what.add_parser("copies")
    copies.add_argument("folder", type=Path)
    copies.add_argument("--splits", nargs="+", default=["dev", "test"])
    copies.add_argument("--count", type=int, default=2000)
    vectors = what.add_parser("vectors")
    vectors.add_argument("folder", type=Path)
    vectors.add_argument("--counts", nargs="+", type=int, default=[25_000, 50_000, 100_000])
    vectors.add_argument("--cache", type=Path, help="keeps the vectors of the pictures for another run")
    one = what.add_parser("group", help="(what the processes of `vectors` run)")
    one.add_argument("folder", type=Path)
    one.add_argument("level", choices=["exact", "identical", "similar"])
    given = parser.parse_args()
    if given.what == "group":
        print(json.dumps(group(given.folder, given.level)))
        return
    if given.what == "copies":
        report = measure_copies(given.folder, given.splits, given.count)
    else:
        report = measure_vectors(given.folder, sorted(given.counts), given.cache)
    print(json.dumps({**report, **machine()}, indent=1))


if __name__ == "__main__":
    main()
