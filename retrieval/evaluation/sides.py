"""Ranking a dataset both ways, fold by fold, and the record of each query."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.evaluation.measures import First, Pairs, Rankings, rank_all
from retrieval.evaluation.results import SHOWN, Asked, AskedDirection
from retrieval.types import FloatMatrix

_NOT_THERE = -1


class Vectors(NamedTuple):
    """A dataset as vectors: ``pictures`` ``(n, dim)``, NaN where one failed, ``words`` ``(m, dim)`` of ``texts``.

    ``pairs`` ``(p, 2)`` say which text (row of ``words``) belongs to which picture, ``fold`` ``(n,)`` in which part of
    the dataset a picture is, ``failed`` why a picture, by its place, could not be read. ``content`` is a SHA-256 (hex)
    over the contents of the pictures, in their order.
    """

    pictures: FloatMatrix
    texts: tuple[str, ...]
    words: FloatMatrix
    pairs: Pairs
    fold: NDArray[np.int64]
    failed: dict[int, str]
    content: str = ""


class Fold(NamedTuple):
    """One part of one direction: ``queries`` ``(q,)`` chose from ``gallery`` ``(g,)``, both places in the dataset."""

    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    rankings: Rankings
    first: First


class Side(NamedTuple):
    """One direction, fold by fold."""

    direction: AskedDirection
    folds: tuple[Fold, ...]


def words_to_pictures(vectors: Vectors) -> Side:
    """Rank the pictures of each fold for its texts; pictures that failed are in no gallery and never found."""
    readable: NDArray[np.bool_] = np.all(np.isfinite(vectors.pictures), axis=1)
    folds = []
    for pictures, texts, pairs in _parts(vectors):
        gallery = pictures[readable[pictures]]
        folds.append(_ranked(vectors.words, vectors.pictures, (texts, gallery), pairs))
    return Side("text_to_image", tuple(folds))


def pictures_to_words(vectors: Vectors) -> Side:
    """Rank the texts of each fold for its pictures; pictures that failed find nothing."""
    folds = [
        _ranked(vectors.pictures, vectors.words, (pictures, texts), pairs[:, ::-1])
        for pictures, texts, pairs in _parts(vectors)
    ]
    return Side("image_to_text", tuple(folds))


def asked_of(side: Side, vectors: Vectors, images: Sequence[str]) -> Iterator[Asked]:
    """Yield the record of each query of a side, fold by fold; ``images`` are the names of the pictures."""
    to_image = side.direction == "text_to_image"
    asking, answering = (vectors.texts, images) if to_image else (images, vectors.texts)
    right: dict[int, list[int]] = {}
    for text, picture in vectors.pairs.tolist():
        query, row = (text, picture) if to_image else (picture, text)
        right.setdefault(query, []).append(row)
    for fold in side.folds:
        for place, query in enumerate(fold.queries.tolist()):
            shown = () if not to_image and query in vectors.failed else zip(*_first(fold, place), strict=True)
            ranks = fold.rankings.ranks[fold.rankings.starts[place] : fold.rankings.starts[place + 1]]
            yield Asked(
                side.direction,
                asking[query],
                not to_image,
                tuple(answering[row] for row in right.get(query, ())),
                tuple((answering[row], score) for row, score in shown),
                int(fold.rankings.best[place]),
                tuple(ranks[ranks <= fold.rankings.gallery].tolist()),
            )


def _first(fold: Fold, place: int) -> tuple[list[int], list[float]]:
    return fold.gallery[fold.first.rows[place]].tolist(), fold.first.scores[place].tolist()


def _parts(vectors: Vectors) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Pairs]]:
    """Yield the pictures, the texts and the pairs of each fold."""
    of_pair = vectors.fold[vectors.pairs[:, 1]]
    for fold in np.unique(vectors.fold):
        pairs = vectors.pairs[of_pair == fold]
        yield np.flatnonzero(vectors.fold == fold), np.unique(pairs[:, 0]), pairs


def _ranked(
    asking: FloatMatrix, answering: FloatMatrix, places: tuple[NDArray[np.int64], NDArray[np.int64]], pairs: Pairs
) -> Fold:
    """Rank within one fold; what is right and in no gallery keeps its place among the right rows, never found."""
    queries, gallery = places
    row_of = np.full(len(answering), _NOT_THERE, np.int64)
    row_of[gallery] = np.arange(len(gallery))
    inside = np.stack([np.searchsorted(queries, pairs[:, 0]), row_of[pairs[:, 1]]], axis=1)
    return Fold(queries, gallery, *rank_all(asking[queries], answering[gallery], inside, shown=SHOWN))
