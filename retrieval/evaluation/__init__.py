"""Recall of a model on captioned pictures."""

from retrieval.evaluation.datasets import Captions, read_captions
from retrieval.evaluation.report import Direction, Report
from retrieval.evaluation.run import evaluate

__all__ = ["Captions", "Direction", "Report", "evaluate", "read_captions"]
