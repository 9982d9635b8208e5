"""Measures what each way to fuse the parts of a query finds, on captioned pictures, and how long it takes.

    python -m benchmarks.fusion IMAGES_FOLDER CAPTIONS_TSV [--split dev] [--model starter] [--every 1]

Pictures of the split (lines of ``image TAB split TAB caption``, some a picture) are indexed into a collection made for
the purpose, and asked through ``Searcher``:

``text_text``: two captions of one picture are added, the picture is right; recall at 1, 5 and 10 in percent.
``picture_text``: another picture, whose captions are nearest in the space of texts, and a caption; likewise.
``text_minus_text``: "A - B" of two words or pairs of words, where at least 5 pictures show both and 10 A alone; a
picture shows what at least two of its captions name, and is free of what none names. Of the first ten hits, in percent:
``b`` how many captions name B at all, ``a`` how many show A, ``a_without_b`` how many show A and are free of B.
``negation``: the same by the sum of vectors, for several weights of B; ``orthogonal`` is the weight that leaves nothing
of B in A (Widdows, ACL 2003), their cosine.
``words``: every second picture is named by the words of its last caption, the others by a number; asked by the first
caption, by looks, words, and both, for all and for those named. Two of four pictures are asked for: on the others the
fusion of looks and words was chosen.
``ms``: the median time of a search, in milliseconds.
``batch``: the first captions again, one by one and all together; milliseconds a query.
"""

import argparse
import json
import re
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.machine import machine
from indexer import index
from retrieval import Collection, Hits, Part, Query, Searcher, SearchOptions, open_embedder
from retrieval.config import Matched
from retrieval.types import FloatMatrix

FUSIONS = ("early", "rrf", "scores", "hybrid")
SMALL = frozenset(
    ["the", "and", "his", "her", "for", "from", "into", "over", "with", "that", "this", "while", "there", "are", "has"]
)
PAIRS = 600


class Pictures(NamedTuple):
    """The pictures of a split: their files, and of each its captions."""

    files: list[Path]
    captions: list[list[str]]


def read_pictures(images: Path, captions: Path, split: str) -> Pictures:
    """Return the pictures of a split in the order of the file."""
    found: dict[str, list[str]] = {}
    for line in captions.read_text(encoding="utf-8").splitlines():
        image, of_split, caption = line.split("\t")
        if of_split == split:
            found.setdefault(image, []).append(caption.rstrip(" ."))
    return Pictures([images / name for name in found], list(found.values()))


class Asker:
    """Asks a collection; knows the place of each picture by its path."""

    def __init__(self, searcher: Searcher, files: Sequence[Path]) -> None:
        self.searcher = searcher
        self.place = {str(path): place for place, path in enumerate(files)}
        self.times_s: list[float] = []

    def places(self, parts: Sequence[Part], options: SearchOptions) -> list[int]:
        """Return the first ten pictures."""
        start = time.perf_counter()
        hits = self.searcher.search(Query(tuple(parts)), 10, options).hits
        self.times_s.append(time.perf_counter() - start)
        return [self.place[hit.path] for hit in hits]

    def median_ms(self) -> float:
        """Return the median time since the last call."""
        found, self.times_s = 1000 * statistics.median(self.times_s), []
        return round(found, 1)


def recall(asker: Asker, questions: Sequence[tuple[list[Part], int]], options: SearchOptions) -> dict[str, float]:
    """Return recall at 1, 5 and 10, and the time of a search."""
    ranks = []
    for parts, right in questions:
        found = asker.places(parts, options)
        ranks.append(found.index(right) + 1 if right in found else 99)
    shares = {f"R@{k}": round(100 * float(np.mean([rank <= k for rank in ranks])), 1) for k in (1, 5, 10)}
    return {**shares, "ms": asker.median_ms()}


def two_captions(pictures: Pictures, rng: np.random.Generator) -> Iterator[tuple[list[Part], int]]:
    """Yield two captions of each picture."""
    for place, captions in enumerate(pictures.captions):
        one, other = rng.choice(len(captions), 2, replace=False)
        yield [Part("text", captions[one]), Part("text", captions[other])], place


def picture_and_caption(
    pictures: Pictures, texts: FloatMatrix, rng: np.random.Generator
) -> Iterator[tuple[list[Part], int]]:
    """Yield a caption of each picture with another picture; ``texts`` is the mean vector of each one's captions."""
    alike = texts @ texts.T
    np.fill_diagonal(alike, -1)
    for place, captions in enumerate(pictures.captions):
        like = Part("image", str(pictures.files[int(alike[place].argmax())]))
        yield [like, Part("text", captions[rng.integers(len(captions))])], place


class Named:
    """How many captions of each picture name each word and each pair of neighbouring words."""

    def __init__(self, pictures: Pictures) -> None:
        words = Counter(word for captions in pictures.captions for caption in captions for word in _words(caption))
        self.counts: dict[str, np.ndarray] = {}
        for place, captions in enumerate(pictures.captions):
            for caption in captions:
                stems = [_singular(word, words) for word in _words(caption)]
                for name in {*stems, *(f"{one} {other}" for one, other in pairwise(stems))}:
                    self.counts.setdefault(name, np.zeros(len(pictures.files), int))[place] += 1

    def pairs(self, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Return pairs that are shown together and apart often enough, in random order."""
        shown = {name: count >= 2 for name, count in self.counts.items() if _tells(name)}
        most = 0.6 * len(next(iter(shown.values())))
        often = {name: of for name, of in shown.items() if (10 if " " in name else 15) <= of.sum() <= most}
        found = [
            (one, other)
            for one, with_one in often.items()
            for other, with_other in often.items()
            if not set(one.split()) & set(other.split())
            and (with_one & with_other).sum() >= 5
            and (with_one & (self.counts[other] == 0)).sum() >= 10
        ]
        return [found[place] for place in rng.permutation(len(found))[:PAIRS]]


def take_away(
    asker: Asker, named: Named, pairs: Sequence[tuple[str, str]], options: SearchOptions, weight: Callable[..., float]
) -> dict[str, float]:
    """Ask "A - B" for all pairs and return what the first ten hits show, in percent."""
    rows = []
    for one, other in pairs:
        away = weight(one, other)
        parts = [Part("text", one)] + ([Part("text", other, -away)] if away else [])
        found = asker.places(parts, options)
        with_one, with_other = named.counts[one][found], named.counts[other][found]
        rows.append([with_other > 0, with_one >= 2, (with_one >= 2) & (with_other == 0)])
    b, a, both = 100 * np.mean(np.array(rows, float), axis=(0, 2))
    return {"b": round(b, 1), "a": round(a, 1), "a_without_b": round(both, 1), "ms": asker.median_ms()}


def by_words(asker: Asker, pictures: Pictures, match: Matched) -> dict[str, dict[str, float]]:
    """Return recall of the first captions, for all the pictures that are asked for and for those with telling names."""
    first = [([Part("text", captions[0])], place) for place, captions in enumerate(pictures.captions) if place % 4 >= 2]
    options = SearchOptions(match=match)
    return {"all": recall(asker, first, options), "named": recall(asker, first[1::2], options)}


def batch(asker: Asker, captions: Sequence[str]) -> dict[str, object]:
    """Return the time of a query alone and together with others, and how many find the same pictures."""
    start = time.perf_counter()
    alone = [asker.searcher.search(Query((Part("text", caption),))) for caption in captions]
    between = time.perf_counter()
    together = asker.searcher.search_many([Query((Part("text", caption),)) for caption in captions])
    end = time.perf_counter()
    same = sum(
        isinstance(many, Hits) and [hit.path for hit in one.hits] == [hit.path for hit in many.hits]
        for one, many in zip(alone, together, strict=True)
    )
    each_ms = 1000 / len(captions)
    return {
        "queries": len(captions),
        "alone_ms": round(each_ms * (between - start), 2),
        "together_ms": round(each_ms * (end - between), 2),
        "same": same,
    }


def _words(caption: str) -> list[str]:
    return re.findall(r"[a-z]+", caption.lower())


def _singular(word: str, known: Counter[str]) -> str:
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if len(word) > 3 and word.endswith(ending) and not word.endswith("ss"):
            shorter = word[: -len(ending)] + instead
            if shorter in known:
                return shorter
    return word


def _tells(name: str) -> bool:
    return all(len(word) > 2 and word not in SMALL for word in name.split())


def named_by_words(pictures: Pictures, folder: Path) -> list[Path]:
    """Copy the pictures to a folder, every second one named by its last caption; return their new paths."""
    made = []
    for place, (file, captions) in enumerate(zip(pictures.files, pictures.captions, strict=True)):
        name = re.sub(r"[^A-Za-z ]", "", captions[-1])[:80].strip() if place % 2 else "IMG"
        path = folder / f"{name} {place:05d}{file.suffix}"
        shutil.copyfile(file, path)
        made.append(path)
    return made


def measure(asker: Asker, pictures: Pictures, every: int) -> dict[str, object]:
    """Return all figures but those of words."""
    embedder = asker.searcher.embedder
    means = np.stack([embedder.embed_texts(captions).mean(axis=0) for captions in pictures.captions])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    texts = list(two_captions(pictures, np.random.default_rng(0)))[::every]
    likes = list(picture_and_caption(pictures, means, np.random.default_rng(0)))[::every]
    named = Named(pictures)
    pairs = named.pairs(np.random.default_rng(0))[::every]
    names = sorted({name for pair in pairs for name in pair})
    vectors = dict(zip(names, embedder.embed_texts(names), strict=True))

    def cosine(one: str, other: str) -> float:
        return max(0.0, float(vectors[one] @ vectors[other]))

    by_fusion = {}
    for fusion in FUSIONS:
        options = SearchOptions(fusion=fusion)
        by_fusion[fusion] = {
            "text_text": recall(asker, texts, options),
            "picture_text": recall(asker, likes, options),
            "text_minus_text": take_away(asker, named, pairs, options, lambda one, other: 0.5),
        }
    negation = {
        str(weight): take_away(asker, named, pairs, SearchOptions(), lambda one, other, weight=weight: weight)
        for weight in (0.0, 0.25, 0.5, 0.75, 1.0)
    }
    negation["orthogonal"] = take_away(asker, named, pairs, SearchOptions(), cosine)
    alone = {
        "text_text": recall(asker, [(parts[:1], right) for parts, right in texts], SearchOptions()),
        "picture_text": recall(asker, [(parts[1:], right) for parts, right in likes], SearchOptions()),
    }
    counts = {"text_text": len(texts), "picture_text": len(likes), "pairs": len(pairs)}
    return {"queries": counts, "text_alone": alone, "fusion": by_fusion, "negation": negation}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("captions", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--every", type=int, default=1, help="ask only every so many of the queries")
    given = parser.parse_args()
    pictures = read_pictures(given.images, given.captions, given.split)
    embedder = open_embedder(given.model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        folder.mkdir()
        linked = pictures._replace(files=named_by_words(pictures, folder))
        with Collection.create(Path(scratch) / "collection", embedder.spec) as collection:
            index(collection, embedder, [folder])
            asker = Asker(Searcher(collection, embedder), linked.files)
            figures = measure(asker, linked, given.every)
            words = {match: by_words(asker, linked, match) for match in ("visual", "words", "both")}
            together = batch(asker, [captions[0] for captions in linked.captions])
    head = {"pictures": len(pictures.files), "split": given.split, "model": given.model}
    print(json.dumps({**head, **figures, "words": words, "batch": together, **machine()}, indent=1))


if __name__ == "__main__":
    main()
