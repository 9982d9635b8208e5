"""Measures whether excerpts of clips find their clip, and the place in it.

    python -m benchmarks.excerpts CLIPS FOLDER [--each 5] [--seed 1]

Of each clip a few excerpts of 2 seconds from random places (of one that is shorter the whole) are scaled to 240 lines,
played at 0.9 to 1.1 of their speed and encoded anew (H.264, CRF 34, 25 frames a second). The clips are indexed in
FOLDER, which keeps the collection and the excerpts. ``right_clip_first``: the first hit is in the clip of the excerpt;
``start_within_1_s``: and begins within a second of the excerpt's place.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from benchmarks.machine import machine
from indexer import index
from retrieval import Collection, MediaError, Sampling, Searcher, open_embedder, open_media, parse_query
from retrieval.types import Pixels

LASTS_S, LINES, FPS, SPEEDS = 2.0, 240, 25, (0.9, 1.1)
NEAR_S = 1.0


class Excerpt(NamedTuple):
    """A file that shows a stretch of a clip, ``speed`` times as fast."""

    path: Path
    clip: str
    start_s: float
    speed: float


def make_excerpts(clips: Path, folder: Path, each: int, seed: int) -> list[Excerpt]:
    """Cut the excerpts, the same for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, made = random.Random(seed), []
    for path in sorted(clips.iterdir()):
        frames = _frames(path)
        if len(frames) < 2:
            continue
        end_s = 2 * frames[-1][0] - frames[-2][0]
        for number in range(each):
            start_s = rng.uniform(0.0, max(0.0, end_s - LASTS_S))
            speed = rng.uniform(*SPEEDS)
            excerpt = Excerpt(folder / f"{path.stem}-{number}.mp4", path.name, start_s, speed)
            if not excerpt.path.exists():
                _write(frames, excerpt, min(LASTS_S, end_s))
            made.append(excerpt)
    return made


def _frames(path: Path) -> list[tuple[float, Pixels]]:
    try:
        with open_media(path, Sampling("all"), LINES // 2) as media:
            if media.info.kind != "video":
                return []
            return [(sample.item.at_s or 0.0, sample.pixels) for sample in media]
    except MediaError:
        return []


def _write(frames: list[tuple[float, Pixels]], excerpt: Excerpt, lasts_s: float) -> None:
    with av.open(str(excerpt.path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "34", "preset": "veryfast"})
        for number, pixels in enumerate(_shown(frames, excerpt, lasts_s)):
            height, width = pixels.shape[:2]
            picture = Image.fromarray(pixels).resize((2 * round(width * LINES / height / 2), LINES))
            if not number:
                stream.width, stream.height, stream.pix_fmt = *picture.size, "yuv420p"
            frame = av.VideoFrame.from_image(picture)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _shown(frames: list[tuple[float, Pixels]], excerpt: Excerpt, lasts_s: float) -> Iterator[Pixels]:
    times = np.array([at_s for at_s, _ in frames])
    for number in range(round(lasts_s / excerpt.speed * FPS)):
        at_s = excerpt.start_s + number / FPS * excerpt.speed
        yield frames[max(0, int(np.searchsorted(times, at_s + 1e-6)) - 1)][1]


def measured(searcher: Searcher, excerpts: list[Excerpt]) -> dict[str, object]:
    """Search for each excerpt."""
    right = near = 0
    missed: list[dict[str, object]] = []
    took: list[float] = []
    for one in excerpts:
        begun = time.perf_counter()
        hits = searcher.search(parse_query("", like=[str(one.path)]), k=1).hits
        took.append(time.perf_counter() - begun)
        first = bool(hits) and Path(hits[0].path).name == one.clip
        off_s = abs((hits[0].start_s or 0.0) - one.start_s) if first else float("inf")
        right += first
        near += off_s <= NEAR_S
        if off_s > NEAR_S:
            found = Path(hits[0].item).name if hits else None
            missed.append({"excerpt": one.path.name, "start_s": round(one.start_s, 2), "found": found})
    return {
        "excerpts": len(excerpts),
        "right_clip_first_%": round(100 * right / len(excerpts), 2),
        "start_within_1_s_%": round(100 * near / len(excerpts), 2),
        "median_s_a_search": round(float(np.median(took)), 3),
        "missed": missed,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    excerpts = make_excerpts(given.clips, given.folder / f"excerpts-{given.seed}", given.each, given.seed)
    there = (given.folder / "collection").exists()
    embedder = open_embedder()
    opened = Collection.open(given.folder / "collection", write=True) if there else None
    with opened or Collection.create(given.folder / "collection", embedder.spec) as collection:
        index(collection, embedder, [given.clips])
    with Searcher.open(given.folder / "collection") as searcher:
        print(json.dumps({**measured(searcher, excerpts), **machine()}, indent=1))


if __name__ == "__main__":
    main()
