"""Descriptions by the nearest sentence, measured with a tiny model that knows colours."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retrieval.embedding import Embedder, open_embedder
from retrieval.evaluation.describing import describe_by_nearest, describe_scores
from retrieval.evaluation.protocols import LINES, open_dataset
from retrieval.evaluation.run import describe_dataset, measure_dataset
from tests.media_makers import write_picture
from tests.model_makers import plain, write_tiny_model

NAMES = ("red", "green", "blue", "yellow")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")), "cpu", 1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lines = []
    for colour in NAMES:
        write_picture(tmp_path / "images" / f"{colour}.png", Image.fromarray(plain(colour)))
        lines += [f"{colour}.png\tdev\tthis one is {colour} here", f"{colour}.png\tdev\tall of it {colour}"]
    (tmp_path / "captions.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def measured(data: Path, bank: Sequence[str], embedder: Embedder) -> dict[str, Any]:
    dataset = open_dataset(LINES, data / "images", data / "captions.tsv", "dev")
    return describe_dataset(dataset, measure_dataset(dataset, embedder).vectors, bank, embedder)


def test_a_model_that_knows_describes_in_the_words_of_the_references(data: Path, embedder: Embedder) -> None:
    bank = [f"this one is {colour} here" for colour in (*NAMES, "black", "red")]
    report = measured(data, bank, embedder)
    assert (report["images"], report["bank"]) == (4, 5)
    assert report["BLEU-4"] == 1.0
    assert 0 < report["CIDEr-D"] <= report["CIDEr"]  # the other reference is a word shorter
    assert list(json.loads(json.dumps(report))) == ["images", "bank", "BLEU-4", "CIDEr", "CIDEr-D"]


def test_other_words_score_less(data: Path, embedder: Embedder) -> None:
    wrong = measured(data, ["something else entirely, really"], embedder)
    assert (wrong["BLEU-4"], wrong["CIDEr"], wrong["CIDEr-D"]) == (0.0, 0.0, 0.0)


def test_the_nearest_sentence_is_taken_and_the_first_of_equals(embedder: Embedder) -> None:
    pictures = embedder.embed_texts(["red", "blue"])
    assert describe_by_nearest(pictures, ["blue", "red", "blue", "red"], embedder) == ["red", "blue"]


def test_pictures_that_cannot_be_read_are_in_no_score(data: Path, embedder: Embedder) -> None:
    (data / "images" / "red.png").write_bytes(b"no picture")
    bank = [f"this one is {colour} here" for colour in NAMES]
    report = measured(data, bank, embedder)
    assert report["images"] == 3
    assert report["BLEU-4"] == 1.0


def test_the_three_scores_are_those_of_the_corpus() -> None:
    from retrieval.evaluation.sentences import bleu, cider

    described = ["a red car stops here", "two dogs run"]
    references = [["a red car stops now", "the red car stops here"], ["two dogs run in snow"]]
    found = describe_scores(described, references)
    assert found == (
        bleu(described, references),
        cider(described, references),
        cider(described, references, robust=True),
    )
    assert np.isfinite(found).all()
