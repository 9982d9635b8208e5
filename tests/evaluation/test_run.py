"""Whole evaluations with a tiny model that knows colours, on pictures drawn for it."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from retrieval.config import Sampling
from retrieval.embedding import open_embedder
from retrieval.errors import DatasetError
from retrieval.evaluation import evaluate
from retrieval.evaluation.notation import parse, parse_all
from retrieval.evaluation.protocols import LINES, open_dataset, protocol_named
from retrieval.evaluation.run import Options, describe_dataset, embed_captions, measure_dataset
from tests.media_makers import draw_picture, write_animation, write_clip, write_picture
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


def coco_of(folder, names, each=2):
    """Captions in Karpathy's form, and a protocol of two folds for them."""
    path = folder / "captions.json"
    said = {name: [f"a {name} car", f"{name} and {name}", f"something {name}"][:each] for name in names}
    path.write_text(
        json.dumps(
            {
                "images": [
                    {"filename": f"{name}.png", "split": "test", "sentences": [{"raw": raw} for raw in raws]}
                    for name, raws in said.items()
                ]
            }
        )
    )
    return open_dataset(protocol_named("coco-1k")._replace(folds=2, most=2), folder / "images", path)


def test_folds_are_measured_each_with_its_own_gallery_and_averaged(images, tmp_path, embedder):
    """The mean of two evaluations of halves; a model that is turned round finds by chance only."""
    dataset = coco_of(tmp_path, NAMES, each=3)
    wrong = dataset._replace(
        captions=dataset.captions._replace(captions=(*dataset.captions.captions[2:], *dataset.captions.captions[:2]))
    )
    whole = measure_dataset(wrong, embedder, Options((parse("AP"),)))
    halves = []
    for half in (slice(0, 2), slice(2, 4)):
        rows = [
            (name, text)
            for place, text in zip(wrong.captions.picture.tolist(), wrong.captions.captions, strict=True)
            if (name := wrong.captions.images[place]) in wrong.captions.images[half]
        ]
        halves.append(evaluate(images, captions(tmp_path, rows), embedder))
    assert (whole.report.folds, whole.report.captions) == (2, 8)
    for name, one in whole.report.directions.items():
        others = [half.directions[name] for half in halves]
        assert (one.queries, one.gallery) == (sum(half.queries for half in others), others[0].gallery)
        for measure, found in one.figures.items():
            assert found == pytest.approx(np.mean([half.figures[measure] for half in others])), (name, measure)
    assert whole.report.text_to_image.figures["R@1"] < 100
    assert {name for asked in whole.asked[:4] for name, _ in asked.found} == {"red.png", "green.png"}


def test_the_record_tells_other_pictures_of_the_same_names(images, tmp_path, embedder):
    path = captions(tmp_path, [(f"{colour}.png", colour) for colour in NAMES])
    first, again = (evaluate(images, path, embedder).to_json()["pictures"] for _ in range(2))
    assert first == again
    write_picture(images / "red.png", Image.fromarray(plain("orange")))
    assert evaluate(images, path, embedder).to_json()["pictures"] != first


def test_further_measures_come_with_intervals_beside_the_contract(images, tmp_path, embedder):
    path = captions(tmp_path, [(f"{colour}.png", colour) for colour in NAMES])
    dataset = open_dataset(LINES, images, path)
    data = measure_dataset(dataset, embedder, Options(parse_all("nDCG@10 RR mean_rank"))).report.to_json()
    assert list(data["text_to_image"]) == ["R@1", "R@5", "R@10", "median_rank"]
    assert data["measures"]["image_to_text"] == {
        "nDCG@10": {"value": 100.0, "interval_95": [100.0, 100.0]},
        "RR": {"value": 100.0, "interval_95": [100.0, 100.0]},
        "mean_rank": {"value": 1.0, "interval_95": [1.0, 1.0]},
    }
    assert (data["queries"], data["gallery"]) == ({"text_to_image": 4, "image_to_text": 4},) * 2
    assert data["index"]["kind"] == "exact"


def test_each_query_leaves_a_record(images, tmp_path, embedder):
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    rows = [(f"{colour}.png", text) for colour in NAMES for text in (colour, f"a {colour} car")]
    dataset = open_dataset(LINES, images, captions(tmp_path, [*rows, ("broken.png", "orange")]))
    outcome = measure_dataset(dataset, embedder)
    words, pictures = outcome.asked[:9], outcome.asked[9:]
    assert (words[1].query, words[1].relevant, words[1].rank, words[1].ranks) == ("a red car", ("red.png",), 1, (1,))
    assert (words[1].found[0][0], len(words[1].found)) == ("red.png", 4)
    assert (words[8].rank, words[8].ranks) == (11, ())
    assert pictures[0].query == "red.png"
    assert pictures[0].is_picture
    assert pictures[0].relevant == ("red", "a red car")
    assert pictures[0].ranks == (1, 2)
    assert (pictures[4].found, pictures[4].ranks) == ((), ())
    for row, one in enumerate(words[:8]):
        scores = outcome.vectors.pictures[outcome.vectors.pairs[row, 1]] @ outcome.vectors.words[row]
        assert dict(one.found)[one.relevant[0]] == pytest.approx(float(scores), abs=1e-6)


def test_descriptions_are_scored_against_the_pictures_own_captions(images, tmp_path, embedder):
    rows = [(f"{colour}.png", f"a photo of a {colour} car on the street") for colour in NAMES]
    dataset = open_dataset(LINES, images, captions(tmp_path, rows))
    vectors = measure_dataset(dataset, embedder).vectors
    good = describe_dataset(
        dataset, vectors, [f"a photo of a {colour} car on the street" for colour in NAMES], embedder
    )
    bad = describe_dataset(dataset, vectors, ["snow", "a dog"], embedder)
    assert (good["images"], good["bank"], good["BLEU-4"]) == (4, 4, pytest.approx(1))
    assert bad["BLEU-4"] < 0.1 < good["CIDEr"]
    assert bad["CIDEr"] < good["CIDEr"]


def test_videos_count_by_the_mean_of_the_frames_that_are_asked_for(tmp_path, embedder):
    """A clip that is blue for long and red for a moment: every frame counts alike."""
    folder = tmp_path / "videos"
    write_clip(folder / "v1.mp4", [("red", 0.4), ("blue", 3.6)], fps=5)
    write_clip(folder / "v2.mp4", [("green", 1.0)], fps=5)
    table = tmp_path / "pairs.csv"
    table.write_text("key,vid_key,video_id,sentence\nret0,a,v1,blue\nret1,b,v2,green\n")
    dataset = open_dataset(protocol_named("msrvtt-1ka"), folder, table)
    every = measure_dataset(dataset, embedder, Options(sampling=Sampling.parse("all")))
    assert every.report.text_to_image.figures["R@1"] == 100
    assert every.report.image_to_text.queries == 2
    thinned = measure_dataset(dataset, embedder, Options(sampling=Sampling.parse("auto")))
    blue = every.vectors.words[0]
    assert every.vectors.pictures[0] @ blue > thinned.vectors.pictures[0] @ blue + 0.05
