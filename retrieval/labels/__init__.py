"""Words and sentences for pictures and moments of video: zero-shot labels with calibrated scores, and descriptions.

Zero-shot classification with averaged prompts follows Radford et al., "Learning Transferable Visual Models From Natural
Language Supervision" (ICML 2021); how scores become probabilities is told in ``calibration``.
"""

from retrieval.labels.banks import Bank, builtin_sentences, read_bank
from retrieval.labels.calibration import Calibration, builtin_calibration, read_calibration
from retrieval.labels.labelling import Labelled, Sentence, Tag, Words, describe_file, tag_file
from retrieval.labels.looking import FileVectors, Unread, in_collection, of_files
from retrieval.labels.text_vectors import sentence_vectors, word_vectors
from retrieval.labels.words import WordList, builtin_words, read_words

__all__ = [
    "Bank",
    "Calibration",
    "FileVectors",
    "Labelled",
    "Sentence",
    "Tag",
    "Unread",
    "WordList",
    "Words",
    "builtin_calibration",
    "builtin_sentences",
    "builtin_words",
    "describe_file",
    "in_collection",
    "of_files",
    "read_bank",
    "read_calibration",
    "read_words",
    "sentence_vectors",
    "tag_file",
    "word_vectors",
]
