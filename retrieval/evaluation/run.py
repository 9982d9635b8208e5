"""Measures a model on captioned pictures, words to pictures and pictures to words."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Sampling
from retrieval.embedding import Embedder
from retrieval.embedding.stream import Embedded, Failed, Job, embed_stream
from retrieval.errors import DatasetError
from retrieval.evaluation.datasets import Captions
from retrieval.evaluation.measures import DEPTHS, MEDIAN, Pairs
from retrieval.evaluation.notation import Measure, summary, values
from retrieval.evaluation.protocols import LINES, Dataset, open_dataset
from retrieval.evaluation.report import Direction, Report
from retrieval.evaluation.results import Asked
from retrieval.evaluation.sides import Side, Vectors, asked_of, pictures_to_words, words_to_pictures
from retrieval.evaluation.significance import bootstrap
from retrieval.messages import _, retold
from retrieval.types import FloatMatrix

_TEXTS_AT_ONCE = 64
STANDARD = (*(Measure("R", k) for k in DEPTHS), Measure(MEDIAN))
"""What is measured in any case."""

Told = Callable[[int, int], None]
"""Told how many pictures of how many are done."""


class Options(NamedTuple):
    """How to measure: further ``measures``, whether equal captions are one query, and which frames of videos count."""

    measures: tuple[Measure, ...] = ()
    unique_captions: bool = False
    sampling: Sampling = Sampling()


class Outcome(NamedTuple):
    """A report, what came of each query (words first, then pictures), and the vectors it was made from."""

    report: Report
    asked: tuple[Asked, ...]
    vectors: Vectors


def evaluate(
    images_dir: Path,
    captions_tsv: Path,
    embedder: Embedder,
    split: str = "test",
    *,
    unique_captions: bool = False,
    progress: Told | None = None,
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
    dataset = open_dataset(LINES, images_dir, captions_tsv, split)
    return measure_dataset(dataset, embedder, Options(unique_captions=unique_captions), progress).report


def measure_dataset(
    dataset: Dataset,
    embedder: Embedder,
    options: Options = Options(),  # noqa: B008 - a frozen value
    progress: Told | None = None,
) -> Outcome:
    """Embed a dataset and measure it both ways; see ``evaluate``.

    Folds are measured each with their own gallery; a figure is the mean of the folds' figures.

    Raises:
        DatasetError: not one picture can be read.
        ModelError: the model cannot be run.
    """
    vectors = embed_dataset(dataset, embedder, options, progress)
    owners = np.arange(len(vectors.texts)) if options.unique_captions else dataset.captions.picture
    sides = (words_to_pictures(vectors), pictures_to_words(vectors))
    units = (owners, np.arange(len(dataset.paths)))
    to_image, to_text = (_direction(side, unit, options.measures) for side, unit in zip(sides, units, strict=True))
    captions = dataset.captions
    report = Report(
        protocol=dataset.protocol.name,
        split=captions.split,
        images=len(dataset.paths),
        captions=len(vectors.texts),
        folds=dataset.folds,
        text_to_image=to_image,
        image_to_text=to_text,
        failed=tuple((dataset.paths[place], reason) for place, reason in sorted(vectors.failed.items())),
        unique_captions=options.unique_captions,
        ignored=captions.ignored,
        repeated=captions.repeated,
        notes=dataset.notes,
        model={"name": embedder.spec.name, **embedder.spec.fingerprint()},
        data=dataset.digest,
        pictures=vectors.content,
    )
    asked = (one for side in sides for one in asked_of(side, vectors, captions.images))
    return Outcome(report, tuple(asked), vectors)


def embed_dataset(dataset: Dataset, embedder: Embedder, options: Options, progress: Told | None = None) -> Vectors:
    """Embed the pictures and captions of a dataset.

    Raises:
        DatasetError: not one picture can be read.
        ModelError: the model cannot be run.
    """
    pictures, failed, content = _embed_pictures(dataset.paths, embedder, options.sampling, progress)
    texts, pairs = texts_of(dataset.captions, options.unique_captions)
    fold = np.arange(len(dataset.paths)) * dataset.folds // max(1, len(dataset.paths))
    return Vectors(pictures, tuple(texts), embed_captions(texts, embedder), pairs, fold, failed, content)


def embed_captions(texts: Sequence[str], embedder: Embedder) -> FloatMatrix:
    """Embed texts to ``(n, dim) float32`` in their order; equal texts are embedded once, long ones with long ones."""
    different = sorted(set(texts), key=lambda text: (len(text), text))
    found = np.empty((len(different), embedder.dim), dtype=np.float32)
    for start in range(0, len(different), _TEXTS_AT_ONCE):
        found[start : start + _TEXTS_AT_ONCE] = embedder.embed_texts(different[start : start + _TEXTS_AT_ONCE])
    place = {text: row for row, text in enumerate(different)}
    vectors: FloatMatrix = found[[place[text] for text in texts]]
    return vectors


def texts_of(captions: Captions, unique: bool) -> tuple[list[str], Pairs]:
    """Return the texts to embed and the pairs (text, picture) that belong together."""
    if not unique:
        return list(captions.captions), np.stack([np.arange(len(captions.captions)), captions.picture], axis=1)
    place: dict[str, int] = {}
    rows = [place.setdefault(text, len(place)) for text in captions.captions]
    return list(place), np.unique(np.stack([np.array(rows, dtype=np.int64), captions.picture], axis=1), axis=0)


def describe_dataset(dataset: Dataset, vectors: Vectors, bank: Sequence[str], embedder: Embedder) -> dict[str, Any]:
    """Describe each picture by the nearest sentence of ``bank`` and score that against its captions; JSON-ready.

    ``bank`` are sentences of other pictures. Pictures that failed are in no score.

    Raises:
        ModelError: the model cannot be run.
    """
    from retrieval.evaluation.describing import describe_by_nearest, describe_scores

    references: dict[int, list[str]] = {}
    for place, text in zip(dataset.captions.picture.tolist(), dataset.captions.captions, strict=True):
        references.setdefault(place, []).append(text)
    read = [place for place in sorted(references) if place not in vectors.failed]
    found = describe_by_nearest(vectors.pictures[read], bank, embedder)
    scores = describe_scores(found, [references[place] for place in read])
    return {"images": len(read), "bank": len(set(bank)), **scores.to_json()}


def _embed_pictures(
    paths: Sequence[Path], embedder: Embedder, sampling: Sampling, progress: Told | None
) -> tuple[FloatMatrix, dict[int, str], str]:
    """Return ``(n, dim)`` vectors, NaN where a picture failed, the reasons by place, and a digest of all contents."""
    vectors = np.full((len(paths), embedder.dim), np.nan, dtype=np.float32)
    failed: dict[int, str] = {}
    contents = [b""] * len(paths)
    jobs = (Job(path, place) for place, path in enumerate(paths))
    for done, result in enumerate(embed_stream(jobs, embedder, sampling=sampling), 1):
        place = result.job.tag
        assert isinstance(place, int)
        contents[place] = result.digest or b"-"
        match result:
            case Failed(reason=reason):
                failed[place] = reason
            case Embedded(vectors=rows):
                mean = rows.mean(axis=0, dtype=np.float64)
                vectors[place] = rows[0] if len(rows) == 1 else mean / max(float(np.linalg.norm(mean)), 1e-30)
        if progress:
            progress(done, len(paths))
    if len(failed) == len(paths):
        raise DatasetError(
            _("none of the {count} pictures can be read; the first one, {path}: {reason}").format(
                count=len(paths), path=paths[0], reason=retold(failed[0])
            )
        )
    return vectors, failed, hashlib.sha256(b"".join(contents)).hexdigest()


def _direction(side: Side, units: NDArray[np.int64], wanted: Sequence[Measure]) -> Direction:
    """Measure one side; ``units`` say to which picture a query, by its row, belongs."""
    measures = list(dict.fromkeys([*STANDARD, *wanted]))
    of_folds = {measure: [values(measure, fold.rankings) for fold in side.folds] for measure in measures}
    means = {str(one): np.concatenate(parts) for one, parts in of_folds.items() if one.name != MEDIAN}
    medians = {str(one): np.concatenate(parts) for one, parts in of_folds.items() if one.name == MEDIAN}
    asked = np.concatenate([fold.queries for fold in side.folds])
    labels = np.repeat(np.arange(len(side.folds)), [len(fold.queries) for fold in side.folds])
    interval = bootstrap(means, units[asked], medians=medians, folds=labels if len(side.folds) > 1 else None)
    found = {one: float(np.mean([summary(one, part) for part in parts])) for one, parts in of_folds.items()}
    return Direction(
        len(asked),
        len(side.folds[0].gallery),
        {str(one): found[one] for one in STANDARD},
        {str(one): interval[str(one)] for one in STANDARD},
        {str(one): (found[one], interval[str(one)]) for one in dict.fromkeys(wanted)},
    )
