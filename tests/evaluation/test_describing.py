"""Descriptions by the nearest sentence, measured with a tiny model that knows colours."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.embedding import Embedder, open_embedder
from retrieval.errors import DatasetError
from retrieval.evaluation.describing import describe_by_nearest, describe_scores, evaluate_describe
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


def test_a_model_that_knows_describes_in_the_words_of_the_references(data: Path, embedder: Embedder) -> None:
    bank = [f"this one is {colour} here" for colour in (*NAMES, "black", "red")]
    told: list[tuple[int, int]] = []
    report = evaluate_describe(
        data / "images", data / "captions.tsv", bank, embedder, progress=lambda *seen: told.append(seen)
    )
    assert (report.split, report.images, report.bank, report.failed) == ("dev", 4, 5, ())
    assert report.scores.bleu_4 == pytest.approx(1.0)
    assert 0 < report.scores.cider_d <= report.scores.cider  # the other reference is a word shorter
    assert told[-1] == (4, 4)
    made = json.loads(json.dumps(report.to_json()))
    assert list(made)[:5] == ["images", "bank", "BLEU-4", "CIDEr", "CIDEr-D"]
    assert made["BLEU-4"] == 1.0


def test_other_words_score_less(data: Path, embedder: Embedder) -> None:
    wrong = evaluate_describe(data / "images", data / "captions.tsv", ["something else entirely, really"], embedder)
    assert wrong.scores == (0.0, 0.0, 0.0)


def test_the_nearest_sentence_is_taken_and_the_first_of_equals(embedder: Embedder) -> None:
    pictures = embedder.embed_texts(["red", "blue"])
    assert describe_by_nearest(pictures, ["blue", "red", "blue", "red"], embedder) == ["red", "blue"]


def test_pictures_that_cannot_be_read_are_in_no_score(data: Path, embedder: Embedder) -> None:
    (data / "images" / "red.png").write_bytes(b"no picture")
    bank = [f"this one is {colour} here" for colour in NAMES]
    report = evaluate_describe(data / "images", data / "captions.tsv", bank, embedder)
    assert report.images == 3
    assert [path.name for path, _ in report.failed] == ["red.png"]
    assert report.scores.bleu_4 == pytest.approx(1.0)


def test_what_cannot_be_measured_is_said(data: Path, embedder: Embedder) -> None:
    for name in NAMES:
        (data / "images" / f"{name}.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="none of the 4 pictures"):
        evaluate_describe(data / "images", data / "captions.tsv", ["a"], embedder)
    with pytest.raises(DatasetError, match="bank"):
        evaluate_describe(data / "images", data / "captions.tsv", [], embedder)


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
