"""Searches of a collection beside exact search: no loss where the index is exact, the true one where it is not."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from retrieval.embedding import open_embedder
from retrieval.errors import DatasetError, ModelMismatch
from retrieval.evaluation.notation import parse
from retrieval.evaluation.protocols import LINES, open_dataset
from retrieval.evaluation.run import Options, measure_dataset
from retrieval.evaluation.served import ServedOptions, evaluate_served
from retrieval.query import parse_where
from retrieval.store.flat import Flat
from retrieval.types import Matches
from tests.evaluation.library_makers import make_collection
from tests.media_makers import draw_picture, write_clip, write_picture
from tests.model_makers import COLOURS, plain, write_tiny_model


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")), "cpu", 1)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """One picture of each colour and many drawn ones that have some of it."""
    folder = tmp_path_factory.mktemp("pictures")
    for colour in COLOURS:
        write_picture(folder / f"{colour}.png", Image.fromarray(plain(colour)))
    for seed in range(30):
        write_picture(folder / "drawn" / f"{seed}.png", draw_picture(seed, (48, 36)))
    return folder


@pytest.fixture(scope="module")
def collection(images, embedder, tmp_path_factory):
    with make_collection(tmp_path_factory.mktemp("collection") / "c", embedder, [images]) as made:
        yield made


@pytest.fixture
def dataset(images, tmp_path):
    def dataset(rows, folder=images):
        path = tmp_path / "captions.tsv"
        path.write_text("".join(f"{name}\ttest\t{caption}\n" for name, caption in rows))
        return open_dataset(LINES, folder, path)

    return dataset


ROWS = [
    *[(f"{colour}.png", f"a photo of something {colour}") for colour in COLOURS],
    *[(f"drawn/{seed}.png", f"{first} and {second}") for seed, (first, second) in enumerate(pairwise(COLOURS))],
]


def test_an_exact_index_loses_nothing(dataset, collection, embedder):
    report = evaluate_served(dataset(ROWS), collection, embedder, ServedOptions(measures=(parse("RR"), parse("AP"))))
    assert [str(one) for one in report.losses] == ["R@1", "R@5", "R@10", "RR", "AP"]
    assert all((one.difference, one.interval_95, one.p) == (0, (0, 0), 1) for one in report.losses.values())
    assert report.agreement == {1: 100, 5: 100, 10: 100}
    assert (report.captions, report.gallery, report.items, report.nothing) == (15, 38, 38, 0)
    assert 30 < report.losses[parse("R@1")].ours < 100
    assert report.index["kind"] == "flat"


def test_the_exact_figures_are_those_of_pictures_embedded_anew(dataset, collection, embedder):
    """The same gallery, all pictures of the folder: stored vectors are rounded, which changes no rank here."""
    rows = [*ROWS, *[(f"drawn/{seed}.png", "dog") for seed in range(7, 30)]]
    anew = measure_dataset(dataset(rows), embedder, Options((parse("RR@10"),))).report.text_to_image
    report = evaluate_served(dataset(rows), collection, embedder, ServedOptions(measures=(parse("RR@10"),)))
    assert (anew.queries, anew.gallery) == (report.captions, report.gallery)
    for name in ("R@1", "R@5", "R@10"):
        assert report.losses[parse(name)].theirs == pytest.approx(anew.figures[name])
    assert report.losses[parse("RR@10")].ours == pytest.approx(anew.measures["RR@10"][0])


def test_what_an_index_does_not_find_is_its_own_loss(dataset, collection, embedder, monkeypatch):
    """An index that passes over every second key, as one that probes too few lists does."""
    whole = Flat.candidates

    def lossy(self, queries, k, allowed):
        keys, scores = whole(self, queries, len(self), allowed)
        kept = [np.flatnonzero(row % 2 == 1)[:k] for row in keys]
        found = Matches(np.full((len(keys), k), -1), np.full((len(keys), k), -np.inf, np.float32))
        for row, places in enumerate(kept):
            found.keys[row, : len(places)] = keys[row, places]
            found.scores[row, : len(places)] = scores[row, places]
        return found

    honest = evaluate_served(dataset(ROWS), collection, embedder)
    monkeypatch.setattr(Flat, "candidates", lossy)
    report = evaluate_served(dataset(ROWS), collection, embedder)
    kept = [collection.find_item(path).key % 2 == 1 for path in dataset(ROWS).paths]
    for name in ("R@1", "R@5"):
        one = report.losses[parse(name)]
        assert one.theirs == honest.losses[parse(name)].theirs
        assert one.ours <= 100 * np.mean(kept)
        assert one.difference < -10
    assert 20 < report.agreement[10] < 80
    said = report.to_json()
    assert said["index_loss"]["R@1"] == pytest.approx(said["exact"]["R@1"] - said["text_to_image"]["R@1"], abs=2e-3)
    assert said["model_loss"]["R@1"] == pytest.approx(100 - said["exact"]["R@1"], abs=1e-3)
    low, high = said["index_loss_95"]["R@1"]
    assert low <= said["index_loss"]["R@1"] <= high


def test_a_filter_narrows_both_and_what_it_leaves_out_is_counted(dataset, collection, embedder):
    options = ServedOptions(where=parse_where("path:**/drawn/**"))
    report = evaluate_served(dataset(ROWS), collection, embedder, options)
    assert (report.gallery, report.nothing, report.where) == (30, 8, "path:**/drawn/**")
    assert report.agreement[10] == 100
    assert all(one.difference == 0 for one in report.losses.values())
    assert report.losses[parse("R@10")].theirs <= 100 * 7 / 15
    nothing = evaluate_served(dataset(ROWS), collection, embedder, ServedOptions(where=parse_where("ext:gif")))
    assert (nothing.gallery, nothing.nothing, nothing.losses[parse("R@1")].ours) == (0, 15, 0)


def test_fewer_hits_measure_less_and_deeper_measures_ask_for_more(dataset, collection, embedder):
    few = evaluate_served(dataset(ROWS), collection, embedder, ServedOptions(3, measures=(parse("median_rank"),)))
    assert ([str(one) for one in few.losses], few.k, list(few.agreement)) == (["R@1"], 3, [1, 3])
    deep = evaluate_served(dataset(ROWS), collection, embedder, ServedOptions(3, measures=(parse("R@60"),)))
    assert (deep.k, deep.losses[parse("R@60")].ours) == (60, 100)


def test_pictures_are_known_by_content_and_copies_are_as_right(dataset, images, embedder, tmp_path):
    """The dataset's folder is elsewhere; the collection holds the red picture twice."""
    for name in ("red", "green"):
        write_picture(tmp_path / "indexed" / f"renamed {name}.png", Image.fromarray(plain(name)))
    shutil.copy(tmp_path / "indexed" / "renamed red.png", tmp_path / "indexed" / "again.png")
    with make_collection(tmp_path / "c", embedder, [tmp_path / "indexed"]) as collection:
        rows = [("red.png", "red"), ("green.png", "green")]
        report = evaluate_served(dataset(rows), collection, embedder)
        assert (report.gallery, report.losses[parse("R@1")].ours) == (3, 100)
        asked = report.asked[0]
        assert {name.rsplit("/", 1)[-1] for name in asked.relevant} == {"renamed red.png", "again.png"}
        assert (asked.rank, asked.ranks) == (1, (1, 2))
        with pytest.raises(DatasetError, match=r"1 of 2 pictures are not in the collection, such as .*blue\.png; run"):
            evaluate_served(dataset([("red.png", "red"), ("blue.png", "blue")]), collection, embedder)


def test_a_video_counts_by_its_best_moment_and_once(dataset, embedder, tmp_path):
    folder = tmp_path / "media"
    write_clip(folder / "clip.mp4", [("red", 2.0), ("blue", 2.0), ("red", 2.0)], fps=5)
    for colour in ("green", "white"):
        write_picture(folder / f"{colour}.png", Image.fromarray(plain(colour)))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    rows = [("clip.mp4", "red"), ("clip.mp4", "blue"), ("green.png", "green"), ("broken.png", "black")]
    with make_collection(tmp_path / "c", embedder, [folder]) as collection:
        report = evaluate_served(dataset(rows, folder), collection, embedder)
    assert report.gallery == 3
    assert report.items > 3
    assert report.losses[parse("R@1")].ours == report.losses[parse("R@1")].theirs == 75
    assert [path.name for path, _ in report.failed] == ["broken.png"]
    assert len(report.asked[0].found) == 3


def test_records_and_json_are_those_of_the_queries(dataset, collection, embedder):
    told = []
    report = evaluate_served(
        dataset(ROWS), collection, embedder, progress=lambda done, total: told.append((done, total))
    )
    assert [one.query for one in report.asked] == [caption for _, caption in ROWS]
    assert report.asked[0].relevant == ("red.png",)
    assert len(report.asked[0].found) == 10
    assert told[-1] == (15, 15)
    said = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert list(said)[:5] == ["images", "captions", "text_to_image", "exact", "index_loss"]
    assert said["model"]["digest"] == embedder.spec.digest
    assert said["index"]["items"] == 38


def test_another_model_is_refused(dataset, collection, tmp_path):
    other = open_embedder(str(write_tiny_model(tmp_path / "other", seed=3)), "cpu", 1)
    with pytest.raises(ModelMismatch):
        evaluate_served(dataset(ROWS), collection, other)


def test_what_the_filter_leaves_out_is_never_found_however_many_hits_are_asked_for(dataset, collection, embedder):
    """As many hits as one likes: memory is that of the files there are, and no loss is made up."""
    measures = (parse("RR"), parse("mean_rank"))
    options = ServedOptions(10**9, parse_where("path:**/drawn/**"), measures)
    report = evaluate_served(dataset(ROWS[: len(COLOURS)]), collection, embedder, options)
    assert (report.nothing, report.gallery) == (len(COLOURS), 30)
    assert report.losses[parse("RR")][:3] == (0, 0, 0)
    assert report.losses[parse("mean_rank")][:3] == (31, 31, 0)
