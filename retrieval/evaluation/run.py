"""Measures a model on captioned pictures, words to pictures and pictures to words."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.embedding import Embedder
from retrieval.embedding.stream import Embedded, Failed, Job, embed_stream
from retrieval.errors import DatasetError
from retrieval.evaluation.datasets import Captions, picture_paths, read_captions
from retrieval.evaluation.measures import Interval, Pairs, Ranks, best_ranks, figures, intervals, never
from retrieval.types import FloatMatrix

_TEXTS_AT_ONCE = 64
_DECIMALS = 3


class Direction(NamedTuple):
    """One direction: how many queries chose from how many rows, the figures (per cent), and their 95 % intervals."""

    queries: int
    gallery: int
    figures: dict[str, float]
    interval_95: dict[str, Interval]


class Report(NamedTuple):
    """What an evaluation found.

    ``images`` and ``captions`` count what was asked for, ``failed`` pictures included: those are in no gallery, and
    what was to be found there counts as never found. ``captions`` counts different texts when ``unique_captions``.
    ``ignored`` counts lines of other splits, ``repeated`` lines that say the same of the same picture again. ``model``
    is the fingerprint of the model, ``data`` the SHA-256 (hex) of the captions file.
    """

    split: str
    images: int
    captions: int
    text_to_image: Direction
    image_to_text: Direction
    failed: tuple[tuple[Path, str], ...]
    unique_captions: bool
    ignored: int
    repeated: int
    model: dict[str, Any]
    data: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values: the counts and figures first, then intervals, failures and the model."""
        directions = {"text_to_image": self.text_to_image, "image_to_text": self.image_to_text}
        return {
            "images": self.images,
            "captions": self.captions,
            **{
                name: {measure: round(found, _DECIMALS) for measure, found in direction.figures.items()}
                for name, direction in directions.items()
            },
            "interval_95": {
                name: {
                    measure: [round(low, _DECIMALS), round(high, _DECIMALS)]
                    for measure, (low, high) in direction.interval_95.items()
                }
                for name, direction in directions.items()
            },
            "split": self.split,
            "unique_captions": self.unique_captions,
            "ignored": self.ignored,
            "repeated": self.repeated,
            "failed": [{"path": str(path), "reason": reason} for path, reason in self.failed],
            "model": self.model,
            "data": self.data,
        }


def evaluate(
    images_dir: Path,
    captions_tsv: Path,
    embedder: Embedder,
    split: str = "test",
    *,
    unique_captions: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Embed the pictures and captions of one split and measure recall@1, 5, 10 and median rank in both directions.

    Words to pictures: the caption's own picture must be among the first k. Pictures to words: any of the picture's
    captions must be. Ties count against the model. With ``unique_captions`` captions of equal text are one query, all
    their pictures are right, and each text stands once in the gallery (names of classes). A file with several frames
    counts by the mean of its vectors. ``progress`` is told how many pictures of how many are done.

    Raises:
        DatasetError: the captions or the folder cannot be used, or not one picture can be read.
        ModelError: the model cannot be run.
    """
    captions = read_captions(captions_tsv, split)
    paths = picture_paths(images_dir, captions)
    vectors, failed = _embed_pictures(paths, embedder, progress)
    texts, pairs = _texts(captions, unique_captions)
    words = embed_captions(texts, embedder)
    readable = np.array([place not in failed for place in range(len(paths))])
    to_image, to_text = _both_ways(words, vectors, readable, pairs)
    owners = np.arange(len(texts)) if unique_captions else captions.picture
    return Report(
        split=split,
        images=len(paths),
        captions=len(texts),
        text_to_image=_direction(to_image, owners, int(readable.sum())),
        image_to_text=_direction(to_text, np.arange(len(paths)), len(texts)),
        failed=tuple((paths[place], reason) for place, reason in sorted(failed.items())),
        unique_captions=unique_captions,
        ignored=captions.ignored,
        repeated=captions.repeated,
        model={"name": embedder.spec.name, **embedder.spec.fingerprint()},
        data=_digest(captions_tsv),
    )


def embed_captions(texts: Sequence[str], embedder: Embedder) -> FloatMatrix:
    """Embed texts to ``(n, dim) float32`` in their order; equal texts are embedded once, long ones with long ones."""
    different = sorted(set(texts), key=lambda text: (len(text), text))
    found = np.empty((len(different), embedder.dim), dtype=np.float32)
    for start in range(0, len(different), _TEXTS_AT_ONCE):
        found[start : start + _TEXTS_AT_ONCE] = embedder.embed_texts(different[start : start + _TEXTS_AT_ONCE])
    place = {text: row for row, text in enumerate(different)}
    vectors: FloatMatrix = found[[place[text] for text in texts]]
    return vectors


def _embed_pictures(
    paths: Sequence[Path], embedder: Embedder, progress: Callable[[int, int], None] | None
) -> tuple[FloatMatrix, dict[int, str]]:
    """Return ``(n, dim)`` vectors, NaN where a picture failed, and the reasons by place."""
    vectors = np.full((len(paths), embedder.dim), np.nan, dtype=np.float32)
    failed: dict[int, str] = {}
    jobs = (Job(path, place) for place, path in enumerate(paths))
    for done, result in enumerate(embed_stream(jobs, embedder, digest=False), 1):
        place = result.job.tag
        assert isinstance(place, int)
        match result:
            case Failed(reason=reason):
                failed[place] = reason
            case Embedded(vectors=rows):
                mean = rows.mean(axis=0, dtype=np.float64)
                vectors[place] = rows[0] if len(rows) == 1 else mean / max(float(np.linalg.norm(mean)), 1e-30)
        if progress:
            progress(done, len(paths))
    if len(failed) == len(paths):
        raise DatasetError(f"none of the {len(paths)} pictures can be read; the first one, {paths[0]}: {failed[0]}")
    return vectors, failed


def _texts(captions: Captions, unique: bool) -> tuple[list[str], Pairs]:
    """Return the texts to embed and the pairs (text, picture) that belong together."""
    if not unique:
        return list(captions.captions), np.stack([np.arange(len(captions.captions)), captions.picture], axis=1)
    place: dict[str, int] = {}
    rows = [place.setdefault(text, len(place)) for text in captions.captions]
    return list(place), np.unique(np.stack([np.array(rows, dtype=np.int64), captions.picture], axis=1), axis=0)


def _both_ways(
    words: FloatMatrix, pictures: FloatMatrix, readable: NDArray[np.bool_], pairs: Pairs
) -> tuple[Ranks, Ranks]:
    """Rank both ways; pictures that failed are in no gallery, and rank last as queries."""
    row = np.cumsum(readable) - 1
    kept = pairs[readable[pairs[:, 1]]]
    known = np.stack([kept[:, 0], row[kept[:, 1]]], axis=1)
    gallery = pictures[readable]
    to_image = best_ranks(words, gallery, known)
    to_text = np.full(len(pictures), never(len(words)), dtype=np.int64)
    to_text[readable] = best_ranks(gallery, words, known[:, ::-1])
    return to_image, to_text


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _direction(ranks: Ranks, units: NDArray[np.int64], gallery: int) -> Direction:
    return Direction(len(ranks), gallery, figures(ranks), intervals(ranks, units))
