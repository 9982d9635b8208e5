"""Scores descriptions of pictures against what people wrote of them, and measures a model's nearest sentences so."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retrieval.embedding import Embedder
from retrieval.embedding.stream import Embedded, Job, embed_stream
from retrieval.errors import DatasetError
from retrieval.evaluation.datasets import picture_paths, read_any
from retrieval.evaluation.sentences import bleu, cider
from retrieval.labels.labelling import best_of
from retrieval.labels.text_vectors import sentence_vectors
from retrieval.types import FloatMatrix

_DECIMALS = 4


class DescribeScores(NamedTuple):
    """How near descriptions come to references: ``bleu_4`` from 0 to 1, ``cider`` and ``cider_d`` from 0 to 10."""

    bleu_4: float
    cider: float
    cider_d: float

    def to_json(self) -> dict[str, float]:
        """Return ``BLEU-4``, ``CIDEr`` and ``CIDEr-D``, rounded."""
        return {
            "BLEU-4": round(self.bleu_4, _DECIMALS),
            "CIDEr": round(self.cider, _DECIMALS),
            "CIDEr-D": round(self.cider_d, _DECIMALS),
        }


class DescribeReport(NamedTuple):
    """What a measurement of descriptions found.

    ``images`` counts the pictures described, ``bank`` the different sentences chosen from, ``failed`` the pictures that
    could not be read (they are in no score). ``model`` is the fingerprint of the model.
    """

    split: str
    images: int
    bank: int
    scores: DescribeScores
    failed: tuple[tuple[Path, str], ...]
    model: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values: counts and scores first."""
        return {
            "images": self.images,
            "bank": self.bank,
            **self.scores.to_json(),
            "split": self.split,
            "failed": [{"path": str(path), "reason": reason} for path, reason in self.failed],
            "model": self.model,
        }


def describe_scores(descriptions: Sequence[str], references: Sequence[Sequence[str]]) -> DescribeScores:
    """Score one description a picture against the picture's references (in the same order); pure.

    BLEU-4 is that of the whole corpus, CIDEr and CIDEr-D take document frequencies from the references; see
    ``sentences``.

    Raises:
        ValueError: not as many descriptions as lists of references, none at all, or a list that is empty.
    """
    return DescribeScores(
        bleu(descriptions, references),
        cider(descriptions, references),
        cider(descriptions, references, robust=True),
    )


def describe_by_nearest(pictures: FloatMatrix, bank: Sequence[str], embedder: Embedder) -> list[str]:
    """Return for each picture, ``(n, dim)`` rows of length 1, the sentence of ``bank`` with the highest cosine.

    Raises:
        ModelError: the model cannot be run.
    """
    different = list(dict.fromkeys(bank))
    return [different[place] for place in best_of(pictures, sentence_vectors(different, embedder))]


def evaluate_describe(
    images_dir: Path,
    captions_path: Path,
    bank: Sequence[str],
    embedder: Embedder,
    split: str = "dev",
    *,
    progress: Callable[[int, int], None] | None = None,
) -> DescribeReport:
    """Describe each picture of a split by the nearest sentence of ``bank`` and score it against its captions.

    ``bank`` are sentences of other pictures, such as ``read_captions(path, "train").captions``. Captions are read in
    any form ``read_any`` knows. ``progress`` is told how many pictures of how many are done. A file with several frames
    counts by the mean of its vectors.

    Raises:
        DatasetError: the captions or the folder cannot be used, the bank is empty, or not one picture can be read.
        ModelError: the model cannot be run.
    """
    if not bank:
        raise DatasetError("the bank holds no sentence to describe with; name a split that has captions")
    captions = read_any(captions_path, images_dir, split)
    paths = picture_paths(images_dir, captions)
    rows, failed = _embedded(paths, embedder, progress)
    if not rows:
        raise DatasetError(f"none of the {len(paths)} pictures can be read; the first one, {paths[0]}: {failed[0]}")
    references: list[list[str]] = [[] for _ in paths]
    for place, text in zip(captions.picture.tolist(), captions.captions, strict=True):
        references[place].append(text)
    described = sorted(rows)
    found = describe_by_nearest(np.stack([rows[place] for place in described]), bank, embedder)
    return DescribeReport(
        split=split,
        images=len(described),
        bank=len(set(bank)),
        scores=describe_scores(found, [references[place] for place in described]),
        failed=tuple((paths[place], reason) for place, reason in sorted(failed.items())),
        model={"name": embedder.spec.name, **embedder.spec.fingerprint()},
    )


def _embedded(
    paths: Sequence[Path], embedder: Embedder, progress: Callable[[int, int], None] | None
) -> tuple[dict[int, FloatMatrix], dict[int, str]]:
    """Return the vectors ``(dim,)`` of pictures by their place, and why others could not be read."""
    rows: dict[int, FloatMatrix] = {}
    failed: dict[int, str] = {}
    jobs = (Job(path, place) for place, path in enumerate(paths))
    for done, result in enumerate(embed_stream(jobs, embedder, digest=False), 1):
        place = result.job.tag
        assert isinstance(place, int)
        if isinstance(result, Embedded):
            rows[place] = result.vectors.mean(axis=0)
        else:
            failed[place] = result.reason
        if progress:
            progress(done, len(paths))
    return rows, failed
