"""The picture or the frame of a video that is explained, decoded as it was when it was indexed."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.config import Sampling
from retrieval.embedding import Embedder
from retrieval.embedding.base import usable
from retrieval.errors import MediaError, QueryError
from retrieval.media import Media, open_media
from retrieval.messages import _, retold
from retrieval.query import format_item, split_item
from retrieval.ranking import best_scores
from retrieval.types import FloatMatrix, Kind, Pixels, Sample

SHOWN = 720
"""Pixels the shorter side of a picture to look at has at least, where the file has them."""


class Target(NamedTuple):
    """What is explained: a picture, or a video's frame at ``at_s`` seconds.

    ``pixels`` are upright, as they go to the model's preprocessing; ``width`` and ``height`` are those of the upright
    file in its own pixels; ``vector`` is ``(1, dim)``.
    """

    path: str
    kind: Kind
    at_s: float | None
    width: int
    height: int
    pixels: Pixels
    vector: FloatMatrix
    notes: tuple[str, ...]

    @property
    def item(self) -> str:
        """The target's name as a query takes it: ``path`` or ``path#t=12.5``."""
        return format_item(self.path, self.at_s)


def open_target(name: str, embedder: Embedder, probes: FloatMatrix, sampling: Sampling) -> Target:
    """Decode and embed what ``name`` says: a picture, ``film.mp4#t=12.5``, or a video's frame that matches best.

    The frames are those that ``sampling`` keeps, of which the nearest in time is taken.

    Raises:
        QueryError: there is no such file.
        MediaError: it cannot be read, or the model gives no vector for it.
    """
    path, at_s = _file(name)
    how = embedder.spec.preprocessing
    try:
        with open_media(path, sampling, max(how.height, how.width)) as media:
            if media.info.kind == "image" or at_s is not None:
                sample, vector = _alone(_nearest(media, at_s or 0.0), embedder)
            else:
                sample, vector = _best(media, embedder, probes)
            info, notes = media.info, tuple(f"{path}: {retold(note)}" for note in media.notes)
    except MediaError as error:
        raise MediaError(
            _("{path} cannot be explained: {reason}; give another file").format(path=path, reason=retold(str(error)))
        ) from None
    at = sample.item.at_s if info.kind == "video" else None
    return Target(os.fspath(path), info.kind, at, info.width, info.height, sample.pixels, vector, notes)


def shown_pixels(target: Target, sampling: Sampling) -> Pixels:
    """Decode a target once more, large enough to look at.

    Raises:
        MediaError: the file can no longer be read.
    """
    try:
        with open_media(Path(target.path), sampling, SHOWN) as media:
            return _nearest(media, target.at_s or 0.0).pixels
    except MediaError as error:
        raise MediaError(
            _("{path} cannot be drawn: {reason}; give another file").format(path=target.path, reason=retold(str(error)))
        ) from None


def _file(name: str) -> tuple[Path, float | None]:
    """Return the file and time that ``name`` says; a file of exactly that name comes first."""
    for value, at_s in ((name, None), split_item(name)):
        try:
            if os.path.isfile(value):  # noqa: PTH113 - False for a name too long
                return Path(os.path.abspath(value)), at_s  # noqa: PTH100 - takes ".." out and keeps links
        except ValueError:
            break
    raise QueryError(
        _("there is no file {name!r} to explain; give a picture or a video last, or an item as film.mp4#t=12.5").format(
            name=name[:200]
        )
    )


def _nearest(media: Media, at_s: float) -> Sample:
    """Return the sample nearest in time, reading no further than needed."""
    best: Sample | None = None
    for sample in media:
        away_s = abs((sample.item.at_s or 0.0) - at_s)
        if best is not None and away_s > abs((best.item.at_s or 0.0) - at_s):
            break
        best = sample
    if best is None:
        raise MediaError(_("it holds no pictures"))
    return best


def _best(media: Media, embedder: Embedder, probes: FloatMatrix) -> tuple[Sample, FloatMatrix]:
    """Return the sample that scores best, and its vector; no more than a batch is in memory."""
    best: tuple[float, Sample, FloatMatrix] | None = None
    for batch in _batches(media, embedder.batch_size):
        vectors = embedder.embed_pixels(np.stack([embedder.preprocess(sample.pixels) for sample in batch]))
        scores = np.where(usable(vectors), best_scores(vectors, probes), -np.inf)
        place = int(scores.argmax())
        if np.isfinite(scores[place]) and (best is None or scores[place] > best[0]):
            best = float(scores[place]), batch[place], vectors[place : place + 1]
    if best is None:
        raise MediaError(_("the model gives no vector for it"))
    return best[1], best[2]


def _alone(sample: Sample, embedder: Embedder) -> tuple[Sample, FloatMatrix]:
    vector = embedder.embed_pixels(embedder.preprocess(sample.pixels)[None])
    if not usable(vector).all():
        raise MediaError(_("the model gives no vector for it"))
    return sample, vector


def _batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
