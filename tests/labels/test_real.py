"""The built-in model on real pictures: its words and probabilities against what people wrote."""

import os
from pathlib import Path

import numpy as np
import pytest

from retrieval.embedding import open_embedder
from retrieval.labels import of_files, word_vectors
from retrieval.labels.calibrate import fitted, read_captioned
from retrieval.labels.inflection import Vocabulary

DATA = Path(os.environ.get("SIGHTSEEK_DATA", Path(__file__).parents[3] / "shared" / "data")) / "flickr8k"
WORDS = ("dog", "beach", "snow", "water", "child", "man", "grass", "bicycle", "mountain", "crowd", "zebra", "pizza")

pytestmark = pytest.mark.skipif(not (DATA / "captions.tsv").is_file(), reason=f"needs the pictures of {DATA}")


@pytest.mark.slow
def test_words_and_probabilities_agree_with_captions() -> None:
    embedder = open_embedder()
    pictures = read_captioned(DATA, "dev")[:80]
    rows = np.concatenate([file.vectors for file in of_files([str(one.path) for one in pictures], embedder)])
    words = word_vectors(WORDS, embedder)
    vocabulary = Vocabulary(WORDS)
    true = np.stack([vocabulary.found_in(one.captions) for one in pictures])
    best = np.argmax(rows @ words.T, axis=1)
    assert true[np.arange(len(rows)), best].mean() > 2 * true.mean()
    made = fitted(embedder.spec, rows, words, true)
    assert made.quality.ece_after < made.quality.ece_before
