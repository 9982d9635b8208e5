"""Words and sentences for what is seen: pure, from vectors to labels."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.labels.calibration import Calibration
from retrieval.labels.looking import FileVectors
from retrieval.query import format_item
from retrieval.types import FloatMatrix, Kind

_BLOCK_BYTES = 64 * 2**20


class Tag(NamedTuple):
    """A word for a picture or moment: its cosine, and the chance that it applies (``None`` without calibration)."""

    word: str
    cosine: float
    probability: float | None

    @property
    def score(self) -> float:
        """What is shown and compared: the probability if there is one, else the cosine."""
        return self.cosine if self.probability is None else self.probability


class Sentence(NamedTuple):
    """A sentence for a picture or moment, and its cosine."""

    text: str
    score: float


Label = TypeVar("Label", Tag, Sentence)


class Labelled(NamedTuple, Generic[Label]):
    """A picture, or a moment of a video, with its labels, best first; times are seconds, ``None`` for a picture.

    ``at_s`` is the frame that fits the best label most, ``item`` names it as a query does.
    """

    path: str
    kind: Kind
    start_s: float | None
    end_s: float | None
    at_s: float | None
    item: str
    labels: tuple[Label, ...]


class Words(NamedTuple):
    """Words with their vectors ``(w, dim) float32``, and what makes probabilities of cosines, if there is any."""

    words: Sequence[str]
    vectors: FloatMatrix
    calibration: Calibration | None = None


def tag_file(file: FileVectors, words: Words, k: int = 5, least: float = -1.0) -> list[Labelled[Tag]]:
    """Return the k best words with a score of ``least`` or more for a picture, or for each moment of a video.

    Frames next to one another with the same best word are one moment, labelled by the mean of their vectors. Equal
    scores are in the order of ``words``.
    """
    found = []
    for moment in _moments(file, words.vectors):
        cosines = moment.vector[None] @ words.vectors.T
        chances = None if words.calibration is None else words.calibration.probabilities(moment.vector[None], cosines)
        best = np.argsort(-cosines[0], kind="stable")[:k]
        tags = (
            Tag(words.words[place], float(cosines[0, place]), None if chances is None else float(chances[0, place]))
            for place in best
        )
        found.append(moment.labelled(file, tuple(tag for tag in tags if tag.score >= least)))
    return found


def describe_file(
    file: FileVectors, sentences: Sequence[str], vectors: FloatMatrix, k: int = 3
) -> list[Labelled[Sentence]]:
    """Return the k nearest sentences for a picture, or for each moment of a video; moments are those of ``tag_file``.

    ``vectors`` are those of the sentences, ``(s, dim) float32``. Equal scores are in the order of ``sentences``.
    """
    found = []
    for moment in _moments(file, vectors):
        cosines = vectors @ moment.vector
        best = np.argsort(-cosines, kind="stable")[:k]
        labels = tuple(Sentence(sentences[place], float(cosines[place])) for place in best)
        found.append(moment.labelled(file, labels))
    return found


def best_of(pictures: FloatMatrix, texts: FloatMatrix) -> NDArray[np.int64]:
    """Return the ``(n,) int64`` place of each picture's nearest text, in bounded memory; the first of equals."""
    block = max(1, _BLOCK_BYTES // max(1, 4 * len(texts)))
    parts = [np.argmax(pictures[at : at + block] @ texts.T, axis=1) for at in range(0, len(pictures), block)]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)


class _Moment(NamedTuple):
    """Frames ``first`` to ``last`` (included) of a file, their mean direction, and the one that fits best."""

    first: int
    last: int
    best: int
    vector: FloatMatrix

    def labelled(self, file: FileVectors, labels: tuple[Label, ...]) -> Labelled[Label]:
        start_s, end_s, at_s = file.items[self.first].start_s, file.items[self.last].end_s, file.items[self.best].at_s
        return Labelled(file.path, file.kind, start_s, end_s, at_s, format_item(file.path, at_s), labels)


def _moments(file: FileVectors, texts: FloatMatrix) -> list[_Moment]:
    """Join frames next to one another that have the same best text."""
    nearest = best_of(file.vectors, texts)
    starts = [0, *(np.flatnonzero(np.diff(nearest)) + 1).tolist()]
    found = []
    for first, end in zip(starts, [*starts[1:], len(nearest)], strict=True):
        frames = file.vectors[first:end]
        mean = frames.mean(axis=0, dtype=np.float64)
        vector = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
        best = first + int(np.argmax(frames @ texts[nearest[first]]))
        found.append(_Moment(first, end - 1, best, vector))
    return found
