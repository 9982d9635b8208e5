"""Draws docs/tour.png: real searches in the sample library, each with its best hits.

python data/make_sample.py && sightseek index data/sample -c /tmp/tour && python data/make_tour_picture.py /tmp/tour
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from retrieval import Collection, Hit, Sampling, Searcher, embedder_for, parse_query
from retrieval.media import open_media
from retrieval.present import timestamp

QUERIES: tuple[tuple[str, str], ...] = (
    ("a cat", ""),
    ("a photographer with a tripod", ""),
    ("a cup of coffee", ""),
    ("a tower under a blue sky", "kind:video"),
)
HITS = 4
THUMB, GAP, HEAD, FOOT = 224, 16, 44, 46
PAPER, INK, FAINT = (250, 250, 248), (24, 26, 30), (110, 114, 122)


def thumbnail(hit: Hit) -> Image.Image:
    """Return the picture, or the frame at the hit's ``at_s``, cut to a square."""
    wanted_s = hit.at_s or 0.0
    with open_media(Path(hit.path), Sampling(mode="all"), target=2 * THUMB) as media:
        sample = min(media, key=lambda one: abs((one.item.at_s or 0.0) - wanted_s))
    picture = Image.fromarray(sample.pixels)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize((THUMB, THUMB), Image.Resampling.LANCZOS)


def label(hit: Hit) -> tuple[str, str]:
    """Return the two lines under a thumbnail: the file, and score with the moment."""
    moment = f"  {timestamp(hit.start_s)[3:8]}-{timestamp(hit.end_s or 0.0)[3:8]}" if hit.start_s is not None else ""
    return Path(hit.path).name, f"{hit.score:.2f}{moment}"


def main() -> None:
    """Search, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "tour.png")
    given = parser.parse_args()
    width = GAP + HITS * (THUMB + GAP)
    row = HEAD + THUMB + FOOT
    sheet = Image.new("RGB", (width, len(QUERIES) * row + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(19), ImageFont.load_default(13)
    with Collection.open(given.collection) as collection:
        searcher = Searcher(collection, embedder_for(collection.manifest.spec))
        for number, (words, where) in enumerate(QUERIES):
            top = number * row
            command = f'sightseek search "{words}"' + (f' --where "{where}"' if where else "")
            draw.text((GAP, top + 14), f"$ {command}", INK, large)
            for place, hit in enumerate(searcher.search(parse_query(words, where=where), k=HITS).hits):
                left = GAP + place * (THUMB + GAP)
                sheet.paste(thumbnail(hit), (left, top + HEAD))
                for line, (text, colour) in enumerate(zip(label(hit), (INK, FAINT), strict=True)):
                    draw.text((left, top + HEAD + THUMB + 4 + 17 * line), text[:34], colour, small)
    sheet.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(given.out, optimize=True)
    print(f"{given.out}: {sheet.width} x {sheet.height}, {given.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
