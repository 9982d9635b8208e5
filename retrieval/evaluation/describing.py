"""Scores descriptions of pictures against what people wrote of them, and measures a model's nearest sentences so."""

from collections.abc import Sequence
from typing import NamedTuple

from retrieval.embedding import Embedder
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
