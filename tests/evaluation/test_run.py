"""Whole evaluations with a tiny model that knows colours, on pictures drawn for it."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from retrieval.embedding import open_embedder
from retrieval.errors import DatasetError
from retrieval.evaluation import evaluate
from retrieval.evaluation.run import embed_captions
from tests.media_makers import draw_picture, write_animation, write_picture
from tests.model_makers import COLOURS, plain, write_tiny_model

NAMES = ("red", "green", "blue", "yellow")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")), "cpu", 1)


@pytest.fixture
def images(tmp_path):
    for colour in NAMES:
        write_picture(tmp_path / "images" / f"{colour}.png", Image.fromarray(plain(colour)))
    return tmp_path / "images"


def captions(folder, rows):
    path = folder / "captions.tsv"
    path.write_text("".join(f"{name}\ttest\t{caption}\n" for name, caption in rows), encoding="utf-8")
    return path


def test_a_model_that_knows_finds_everything(images, tmp_path, embedder):
    rows = [(f"{colour}.png", caption) for colour in NAMES for caption in (f"a {colour} car", f"{colour} and {colour}")]
    report = evaluate(images, captions(tmp_path, rows), embedder)
    perfect = {"R@1": 100.0, "R@5": 100.0, "R@10": 100.0, "median_rank": 1.0}
    assert (report.text_to_image.figures, report.image_to_text.figures) == (perfect, perfect)
    assert (report.text_to_image.queries, report.text_to_image.gallery) == (8, 4)
    assert (report.image_to_text.queries, report.image_to_text.gallery) == (4, 8)
    assert report.failed == ()


def test_the_record_begins_as_promised(images, tmp_path, embedder):
    data = evaluate(images, captions(tmp_path, [(f"{colour}.png", colour) for colour in NAMES]), embedder).to_json()
    assert list(data)[:4] == ["images", "captions", "text_to_image", "image_to_text"]
    assert list(data["text_to_image"]) == list(data["image_to_text"]) == ["R@1", "R@5", "R@10", "median_rank"]
    assert (data["images"], data["captions"]) == (4, 4)
    assert data["interval_95"]["text_to_image"]["R@1"] == [100.0, 100.0]
    assert data["model"]["digest"] == embedder.spec.digest
    assert data["data"] == hashlib.sha256((tmp_path / "captions.tsv").read_bytes()).hexdigest()
    assert json.loads(json.dumps(data)) == json.loads(json.dumps(data, allow_nan=False))


def test_directions_are_not_swapped(images, tmp_path, embedder):
    """Wrong captions for two pictures: words fail there, while a picture is right by any of its captions."""
    rows = [
        ("red.png", "red"),
        ("red.png", "green"),
        ("green.png", "blue"),
        ("blue.png", "yellow"),
        ("yellow.png", "red"),
    ]
    report = evaluate(images, captions(tmp_path, rows), embedder)
    assert report.text_to_image.figures["R@1"] == pytest.approx(20)
    # Two captions say "red": the one that belongs to the red picture ties with one that does not.
    assert report.image_to_text.figures["R@1"] == 0
    rows[-1] = ("yellow.png", "blue")
    report = evaluate(images, captions(tmp_path, rows), embedder)
    assert report.text_to_image.figures["R@1"] == pytest.approx(20)
    assert report.image_to_text.figures["R@1"] == pytest.approx(25)


def test_a_picture_that_fails_counts_as_never_found(images, tmp_path, embedder):
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    rows = [(f"{colour}.png", colour) for colour in NAMES] + [("broken.png", "orange")]
    report = evaluate(images, captions(tmp_path, rows), embedder)
    assert [(path.name, bool(reason)) for path, reason in report.failed] == [("broken.png", True)]
    assert (report.images, report.captions, report.text_to_image.gallery) == (5, 5, 4)
    assert report.text_to_image.figures["R@10"] == pytest.approx(80)
    assert report.image_to_text.figures["R@10"] == pytest.approx(80)
    assert report.to_json()["failed"][0]["path"].endswith("broken.png")


def test_no_readable_picture_is_an_error(tmp_path, embedder):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "x.png").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="none of the 1 pictures can be read"):
        evaluate(tmp_path / "images", captions(tmp_path, [("x.png", "red")]), embedder)


def test_captions_shared_by_pictures_are_one_query_on_request(images, tmp_path, embedder):
    for seed in range(3):
        red = Image.fromarray(plain("red"))
        red.paste(draw_picture(seed, (16, 12)), (seed * 10, 5))
        write_picture(images / f"red {seed}.png", red)
    rows = [(f"{colour}.png", colour) for colour in NAMES] + [(f"red {seed}.png", "red") for seed in range(3)]
    path = captions(tmp_path, rows)
    single = evaluate(images, path, embedder)
    assert (single.captions, single.text_to_image.figures["R@1"]) == (7, pytest.approx(100 * 4 / 7))
    grouped = evaluate(images, path, embedder, unique_captions=True)
    assert (grouped.captions, grouped.text_to_image.figures["R@1"]) == (4, 100.0)
    assert (grouped.image_to_text.queries, grouped.image_to_text.figures["R@1"]) == (7, 100.0)


def test_an_animation_counts_by_the_mean_of_its_frames(images, tmp_path, embedder):
    write_animation(images / "both.gif", [COLOURS["white"], COLOURS["orange"]], 1000)
    rows = [(f"{colour}.png", colour) for colour in NAMES] + [("both.gif", "white orange")]
    report = evaluate(images, captions(tmp_path, rows), embedder)
    assert report.text_to_image.figures["R@1"] == 100.0


def test_progress_is_told(images, tmp_path, embedder):
    told = []
    rows = [(f"{colour}.png", colour) for colour in NAMES]
    evaluate(images, captions(tmp_path, rows), embedder, progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 4) for n in range(1, 5)]


def test_texts_come_back_in_their_order(embedder):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([*NAMES, "dog", "snow"], rng.integers(1, 9))) for _ in range(150)]
    vectors = embed_captions(texts, embedder)
    for place in (0, 70, 149):
        assert vectors[place] == pytest.approx(embedder.embed_texts([texts[place]])[0], abs=1e-5)
    assert embed_captions([], embedder).shape == (0, embedder.dim)
