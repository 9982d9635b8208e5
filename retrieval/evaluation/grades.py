"""Graded relevance: how a model's order agrees with people who judged pictures against captions.

Only judged pairs are looked at: each caption ranks the pictures it was judged with (condensed lists; Sakai, SIGIR
2007), since nothing is known of the others.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import DatasetError
from retrieval.evaluation.bounded import bounded_lines
from retrieval.evaluation.datasets import Captions
from retrieval.evaluation.measures import rank_blocks
from retrieval.evaluation.notation import Measure, Values, summary, values
from retrieval.evaluation.sides import Vectors
from retrieval.evaluation.significance import Interval, bootstrap
from retrieval.messages import N_, _

MAX_JUDGEMENTS = 200_000
LOWEST = 1.0
"""The judgement that says that a caption has nothing to do with a picture: no gain."""
MEASURES = (Measure("nDCG", 5), Measure("nDCG", 10), Measure("nDCG"))
_MAX_LINE = 10_000
_DECIMALS = 4
_BLOCK_CELLS = 2**22


class Judgement(NamedTuple):
    """What people said of a picture and a caption, which is the ``number``-th (from 0) of the picture ``written_of``.

    ``mean`` is that of the scores given, 1 (the caption does not describe the picture) to 4 (it does).
    """

    image: str
    written_of: str
    number: int
    mean: float


class GradeReport(NamedTuple):
    """How the model's scores agree with judgements.

    ``pairs`` were compared, ``skipped`` are of captions or pictures that the split lacks or that failed. ``queries``
    captions had a picture with some gain, to which ``figures`` (per cent) and their intervals over captions refer.
    ``spearman`` and ``kendall`` (tau-b) correlate scores and mean judgements over all pairs, from -1 to 1.
    """

    pairs: int
    skipped: int
    queries: int
    figures: dict[str, float]
    interval_95: dict[str, Interval]
    spearman: float
    kendall: float
    data: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "pairs": self.pairs,
            "skipped": self.skipped,
            "queries": self.queries,
            **{name: round(found, _DECIMALS) for name, found in self.figures.items()},
            "interval_95": {name: [round(end, _DECIMALS) for end in one] for name, one in self.interval_95.items()},
            "spearman": round(self.spearman, _DECIMALS),
            "kendall": round(self.kendall, _DECIMALS),
            "data": self.data,
        }


def read_grades(path: Path) -> list[Judgement]:
    """Read Flickr8k's expert judgements: lines of ``image TAB image#number TAB score TAB score TAB score``.

    Scores are 1 to 4 (Hodosh, Young and Hockenmaier, JAIR 2013).

    Raises:
        DatasetError: the file cannot be read, or a line is of another form; the message names the line.
    """
    found: list[Judgement] = []
    for number, raw in bounded_lines(path, _MAX_LINE, N_("a file of judgements")):
        found.append(_judgement(path, number, raw))
        if len(found) > MAX_JUDGEMENTS:
            raise DatasetError(
                _("{path} holds more than {most:,} judgements; split it").format(path=path, most=MAX_JUDGEMENTS)
            )
    if not found:
        raise DatasetError(
            _("{path} holds no judgement; give lines of image, image#number and scores").format(path=path)
        )
    return found


def grade(path: Path, captions: Captions, vectors: Vectors) -> GradeReport:
    """Compare the scores of a dataset, as it was embedded, with the judgements in a file.

    The n-th caption of a picture is the n-th that the captions file gives of it. The gain of a picture is its mean
    judgement less 1. Ties count against the model: of pictures that score alike the less relevant one comes first.

    Raises:
        DatasetError: the file cannot be read, or no judgement is of this split.
    """
    judged = read_grades(path)
    texts, pictures, means = _rows(judged, captions, vectors)
    if len(means) < 2:
        raise DatasetError(
            _(
                "{path}: {count} of {total:,} judgements are of captions and pictures of split "
                "{split!r}; name the split that was judged with --split"
            ).format(path=path, count=len(means), total=len(judged), split=captions.split)
        )
    scores = np.einsum("nd,nd->n", vectors.words[texts], vectors.pictures[pictures])
    of_queries = _condensed(texts, scores, means)
    units = np.arange(len(of_queries[0]))
    named = {str(one): found for one, found in zip(MEASURES, of_queries, strict=True)}
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return GradeReport(
        len(means),
        len(judged) - len(means),
        len(units),
        {str(one): summary(one, found) for one, found in zip(MEASURES, of_queries, strict=True)},
        bootstrap(named, units),
        spearman(scores, means),
        kendall(scores, means),
        digest,
    )


def spearman(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Return Spearman's rank correlation (1904), ties sharing their mean rank; 0 where one side is constant."""
    one, other = (_mean_ranks(np.asarray(side, np.float64)) for side in (first, second))
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size > 0 else 0.0


def kendall(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Return Kendall's tau-b (1945), which allows for ties; 0 where one side is constant."""
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    agreeing = untied_one = untied_other = 0
    step = max(1, _BLOCK_CELLS // max(1, len(one)))
    for start in range(0, len(one), step):
        block = slice(start, start + step)
        by_one = np.sign(one[block, None] - one[None, :]).astype(np.int8)
        by_other = np.sign(other[block, None] - other[None, :]).astype(np.int8)
        agreeing += int((by_one * by_other).sum(dtype=np.int64))
        untied_one += int(np.count_nonzero(by_one))
        untied_other += int(np.count_nonzero(by_other))
    size = float(np.sqrt(float(untied_one) * float(untied_other)))
    return agreeing / size if size > 0 else 0.0


def _judgement(path: Path, number: int, raw: bytes) -> Judgement:
    try:
        image, caption, *scores = raw.decode("utf-8-sig").rstrip("\r\n").split("\t")
        written_of, _mark, nth = caption.rpartition("#")
        given = [float(score) for score in scores]
        if not (image and written_of and given and nth.isascii() and nth.isdigit()):
            raise ValueError
        if not all(1.0 <= score <= 4.0 for score in given):
            raise ValueError
    except ValueError:
        raise DatasetError(
            _("{path}, line {number}: expected image, image#number and scores from 1 to 4 with tabs between").format(
                path=path, number=number
            )
        ) from None
    return Judgement(image, written_of, int(nth), sum(given) / len(given))


def _rows(
    judged: Sequence[Judgement], captions: Captions, vectors: Vectors
) -> tuple[NDArray[np.int64], NDArray[np.int64], Values]:
    """Return text row, picture row and mean judgement of the pairs that the dataset holds."""
    picture_of = {name: place for place, name in enumerate(captions.images) if place not in vectors.failed}
    row_of = {text: row for row, text in enumerate(vectors.texts)}
    written: dict[str, list[int]] = {}
    for caption, (text, picture) in enumerate(zip(captions.captions, captions.picture.tolist(), strict=True)):
        same = len(vectors.texts) == len(captions.captions)
        written.setdefault(captions.images[picture], []).append(caption if same else row_of[text])
    found = [
        (written[one.written_of][one.number], picture_of[one.image], one.mean)
        for one in judged
        if one.image in picture_of and one.number < len(written.get(one.written_of, ()))
    ]
    table = np.array(found, np.float64).reshape(-1, 3)
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2]


def _condensed(texts: NDArray[np.int64], scores: NDArray[np.float32], means: Values) -> list[Values]:
    """Return each of ``MEASURES`` for the captions that have a picture with some gain."""
    found: list[list[float]] = [[] for _ in MEASURES]
    for text in np.unique(texts):
        here = np.flatnonzero(texts == text)
        gains = means[here] - LOWEST
        right = np.flatnonzero(gains > 0)
        if not len(right):
            continue
        pairs = np.stack([np.zeros(len(right), np.int64), right], axis=1)
        rankings, _further = rank_blocks([scores[here][None, :]], (1, len(here)), pairs, gains[right])
        for one, into in zip(MEASURES, found, strict=True):
            into.append(float(values(one, rankings)[0]))
    return [np.array(one) for one in found]


def _mean_ranks(side: Values) -> Values:
    _values, place, count = np.unique(side, return_inverse=True, return_counts=True)
    ranks: Values = (np.cumsum(count) - (count - 1) / 2.0)[place]
    return ranks
