"""Measures whether a picture cut from the middle of a clip finds the clip, and the moment.

    python -m benchmarks.picture_to_video CLIPS_FOLDER COLLECTION [--margin 0.1]

For each clip: its middle frame without the outer ``margin`` of each side is the query. ``first``: its clip comes first
among all the collection holds; ``in_moment``: the middle's time lies within the first moment widened by 2 seconds.
"""

import argparse
import json
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.machine import machine
from retrieval import Collection, Sampling, Searcher, embedder_for, parse_query
from retrieval.errors import MediaError
from retrieval.media import open_media
from retrieval.types import Sample

WIDENED_S = 2.0


def middle_frame(path: Path) -> Sample | None:
    """Return the frame nearest to half the clip's length, or None when the file is not a clip."""
    try:
        with open_media(path, Sampling(mode="all"), target=480) as media:
            if media.info.kind != "video":
                return None
            samples = list(media)
    except MediaError:
        return None
    last = samples[-1].item
    half_s = (media.info.duration_s or last.end_s or 0.0) / 2
    return min(samples, key=lambda sample: abs((sample.item.at_s or 0.0) - half_s))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--margin", type=float, default=0.1)
    given = parser.parse_args()
    rows = []
    with Collection.open(given.collection) as collection, tempfile.TemporaryDirectory() as scratch:
        searcher = Searcher(collection, embedder_for(collection.manifest.spec))
        for path in sorted(given.clips.iterdir()):
            sample = middle_frame(path)
            if sample is None:
                continue
            height, width = sample.pixels.shape[:2]
            left, top = round(width * given.margin), round(height * given.margin)
            query = Path(scratch) / "query.png"
            Image.fromarray(sample.pixels).crop((left, top, width - left, height - top)).save(query)
            hit = searcher.search(parse_query("", like=[str(query)]), k=1).hits[0]
            first = Path(hit.path).name == path.name
            at_s = sample.item.at_s or 0.0
            inside = first and hit.start_s is not None and hit.end_s is not None
            inside = inside and hit.start_s - WIDENED_S <= at_s <= hit.end_s + WIDENED_S  # type: ignore[operator]
            rows.append({"clip": path.name, "first": first, "in_moment": inside, "found": Path(hit.path).name})
    print(
        json.dumps(
            {
                "clips": len(rows),
                "first": sum(row["first"] for row in rows),
                "in_moment": sum(row["in_moment"] for row in rows),
                "missed": [row for row in rows if not (row["first"] and row["in_moment"])],
                **machine(),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
