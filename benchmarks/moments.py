"""Measures how well pictures and words find the moments of synthetic clips, and how well the shots of these are found.

    python -m benchmarks.moments IMAGES CAPTIONS FOLDER [--split test] [--pictures N] [--each 5]

The clips are made from the photographs of the split (see ``benchmarks.synthetic``) in FOLDER, which keeps them and
their collection for the next run. Each photograph is shown in one shot of one clip. Asked is with each photograph cut
to the middle 80 % of its width and height, 20 % brighter or darker in turn, as a JPEG of quality 40; and with its
captions.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

from benchmarks.machine import machine
from benchmarks.synthetic import Clip, Shot, make_clips, pictures_of
from indexer import index
from retrieval import Collection, Searcher, open_embedder, parse_query
from retrieval.evaluation.moments import Span, iou
from retrieval.media import open_media
from retrieval.types import Hit, Part, Query

KEPT, QUALITY, LIGHTS = 0.8, 40, (0.8, 1.2)
OVERLAP = 0.5
TOLERANCE_S = 0.1
"""A cut found within this time of a real one is right."""
ROUNDING_S = 0.001


class Place(NamedTuple):
    """Where a photograph is shown."""

    file: str
    shot: Shot

    def holds(self, at_s: float | None) -> bool:
        """Return whether a time is within the shot; containers hold times in whole milliseconds."""
        return at_s is not None and self.shot.start_s - ROUNDING_S <= at_s < self.shot.end_s - ROUNDING_S


def filled(folder: Path) -> None:
    """Index the clips, unless that was done."""
    embedder = open_embedder()
    there = (folder / "collection").exists()
    opened = Collection.open(folder / "collection", write=True) if there else None
    with opened or Collection.create(folder / "collection", embedder.spec) as collection:
        index(collection, embedder, [folder / "clips"])


def altered(picture: Image.Image, light: float) -> Image.Image:
    """Return the middle of a picture in another light."""
    width, height = picture.size
    left, top = width * (1 - KEPT) / 2, height * (1 - KEPT) / 2
    middle = picture.crop((round(left), round(top), round(width - left), round(height - top)))
    return ImageEnhance.Brightness(middle).enhance(light)


def first_of(searcher: Searcher, query: Query) -> Hit | None:
    """Return the first hit."""
    return next(iter(searcher.search(query, k=1).hits), None)


def by_picture(searcher: Searcher, images: Path, places: dict[str, Place], scratch: Path) -> dict[str, object]:
    """Ask with each photograph, altered."""
    right = inside = 0
    missed = []
    scratch.mkdir(parents=True, exist_ok=True)
    for number, (name, place) in enumerate(places.items()):
        query = scratch / name
        picture = altered(Image.open(images / name).convert("RGB"), LIGHTS[number % len(LIGHTS)])
        picture.save(query, "JPEG", quality=QUALITY)
        hit = first_of(searcher, parse_query("", like=[str(query)]))
        video = hit is not None and Path(hit.path).name == place.file
        time = video and hit is not None and place.holds(hit.at_s)
        right += video
        inside += time
        if not time:
            missed.append((name, place.file, None if hit is None else Path(hit.item).name))
    return {
        "queries": len(places),
        "right_video_first_%": share(right, len(places)),
        "time_in_shot_%": share(inside, len(places)),
        "missed": missed,
    }


def by_words(
    searcher: Searcher, places: dict[str, Place], captions: dict[str, Sequence[str]]
) -> tuple[dict[str, object], float]:
    """Ask with captions; the second figure is recall at the first place and half overlap, in per cent."""
    found = {"right_video": 0, "overlap": 0, "in_shot": 0}
    overlaps = []
    for name, place in places.items():
        for caption in captions[name]:
            hit = first_of(searcher, Query((Part("text", caption),)))
            here = hit is not None and Path(hit.path).name == place.file
            shared = 0.0
            if here and hit is not None:
                span = Span(hit.start_s or 0.0, hit.end_s or 0.0)
                shared = iou(span, Span(place.shot.start_s, place.shot.end_s))
                found["in_shot"] += place.holds(hit.at_s)
            found["right_video"] += here
            found["overlap"] += shared >= OVERLAP
            overlaps.append(shared)
    recall = share(found["overlap"], len(overlaps))
    return {
        "queries": len(overlaps),
        "R@1_video_%": share(found["right_video"], len(overlaps)),
        "R@1_time_in_shot_%": share(found["in_shot"], len(overlaps)),
        f"R@1_IoU>={OVERLAP}_%": recall,
        "mean_IoU_%": round(100 * float(np.mean(overlaps)), 2),
    }, recall


def image_recall(searcher: Searcher, images: Path, captions: dict[str, Sequence[str]]) -> float:
    """Return recall at the first place, in per cent, of the same words among the photographs themselves."""
    embedder = searcher.embedder
    names = list(captions)
    vectors = []
    for name in names:
        with open_media(images / name) as media:
            vectors.append(embedder.embed_pixels(np.stack([embedder.preprocess(one.pixels) for one in media]))[0])
    gallery = np.stack(vectors)
    right = total = 0
    for place, name in enumerate(names):
        scores = embedder.embed_texts(list(captions[name])) @ gallery.T
        right += int((scores.argmax(axis=1) == place).sum())
        total += len(scores)
    return share(right, total)


def by_cuts(searcher: Searcher, clips: Sequence[Clip]) -> dict[str, object]:
    """Compare the cuts that were found with those that were made."""
    right = made = found = 0
    tracks = {record.path.name: searcher.collection.track(record.id) for record in searcher.collection.records()}
    for clip in clips:
        track = tracks[clip.file]
        cuts = [] if track is None else track.cuts_s.tolist()
        real = [shot.start_s for shot in clip.shots[1:]]
        made, found = made + len(real), found + len(cuts)
        for cut_s in real:
            near = min(cuts, key=lambda one: abs(one - cut_s), default=None)
            if near is not None and abs(near - cut_s) <= TOLERANCE_S:
                cuts.remove(near)
                right += 1
    return {"made": made, "found": found, "right": right, "F1": round(2 * right / max(made + found, 1), 4)}


def share(part: int, whole: int) -> float:
    """Return a share in per cent."""
    return round(100 * part / max(whole, 1), 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("captions", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--pictures", type=int, default=None, help="only so many photographs of the split")
    parser.add_argument("--each", type=int, default=5, help="how many captions of each photograph are asked with")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    known = pictures_of(given.captions, given.split)
    names = sorted(known)[: given.pictures]
    clips = make_clips(given.images, names, given.folder / "clips", given.seed)
    filled(given.folder)
    places = {shot.picture: Place(clip.file, shot) for clip in clips for shot in clip.shots}
    captions = {name: known[name][: given.each] for name in places}
    with Searcher.open(given.folder / "collection", language="en") as searcher:
        words, recall = by_words(searcher, places, captions)
        among = image_recall(searcher, given.images, captions)
        figures = {
            "clips": len(clips),
            "synthetic": True,
            "split": given.split,
            "cuts": by_cuts(searcher, clips),
            "picture_to_moment": by_picture(searcher, given.images, places, given.folder / "queries"),
            "words_to_moment": words,
            "words_to_picture_R@1_%": among,
            "moment_of_picture_recall_%": round(100 * recall / max(among, 0.01), 2),
        }
    print(json.dumps({**figures, **machine()}, indent=1))


if __name__ == "__main__":
    main()
