"""The cut in searches of real collections, with a small model whose statistics are made here."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import index
from retrieval.config import Cut, SearchOptions
from retrieval.embedding import model_folder, open_embedder
from retrieval.embedding.polyglot import Polyglot
from retrieval.errors import ModelError
from retrieval.query import parse_query
from retrieval.ranking.cut import DEPTH, Judge, crowding
from retrieval.search import Searcher
from retrieval.search.statistics import Statistics, read_statistics, stepped, write_statistics
from retrieval.store import Collection
from retrieval.types import Cutting
from tests.media_makers import write_clip, write_picture
from tests.model_makers import COLOURS, plain, write_tiny_model

AUTO = SearchOptions(cut=Cut("auto", 0.05))
THERE = ("red", "green", "yellow", "white")
HEAT = 0.1


def shades(colour: str, count: int, seed: int) -> list[np.ndarray]:
    """Pictures of one colour, each a little different."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        pixels = plain(colour).astype(np.int64) + rng.integers(-12, 13, (48, 64, 1))
        found.append(np.clip(pixels, 0, 255).astype(np.uint8))
    return found


def made_statistics(embedder) -> Statistics:
    """A judge that goes by the best score, and kinds of queries that it may judge; hits lie within one spread."""
    pictures = [Image.fromarray(one) for colour in COLOURS for one in shades(colour, 6, 7)]
    bank = stepped(embedder.embed_images(pictures))
    among = bank @ bank.T
    np.fill_diagonal(among, -np.inf)
    crowd = crowding(-np.sort(-among, axis=1)[:, :DEPTH].astype(np.float64), HEAT)
    weights = np.array([40.0, 0, 0, 0, 0, 0, 0])
    null = np.linspace(-8.0, 0.0, 401)
    judge = Judge(weights, -24.0, null, (1.0, -6.0, 6.0), 0.5)
    return Statistics(
        "tiny", embedder.spec.digest, HEAT, bank, crowd, {"text": judge, "picture": judge}, {"made": "here"}
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
    write_statistics(folder, made_statistics(open_embedder(str(folder), "cpu", 1)))
    return folder


@pytest.fixture(scope="module")
def embedder(model):
    return open_embedder(str(model), "cpu", 1)


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    """Six pictures of each of four colours, and a clip that is red, then green."""
    folder = tmp_path_factory.mktemp("media")
    for colour in THERE:
        for number, pixels in enumerate(shades(colour, 6, 1)):
            write_picture(folder / colour / f"{number}.png", Image.fromarray(pixels))
    write_clip(folder / "clips" / "red then green.mp4", [(COLOURS["red"], 3.0), (COLOURS["green"], 3.0)], fps=10)
    return folder


@pytest.fixture(scope="module")
def collection(tmp_path_factory, media, embedder) -> Iterator[Collection]:
    with Collection.create(tmp_path_factory.mktemp("collection") / "c", embedder.spec) as made:
        index(made, embedder, [media])
        yield made


@pytest.fixture(scope="module")
def searcher(collection, embedder) -> Searcher:
    return Searcher(collection, embedder)


def folders(hits) -> set[str]:
    return {Path(hit.path).parent.name for hit in hits.hits}


@pytest.mark.parametrize("colour", THERE)
def test_what_is_there_is_kept_and_the_rest_left_out(searcher, colour):
    hits = searcher.search(f"a {colour} picture", 30, AUTO)
    assert hits.cut is not None
    assert hits.cut.relevant
    assert folders(hits) <= {colour, "clips"}
    assert len([hit for hit in hits.hits if hit.kind == "image"]) == 6
    every = searcher.search(f"a {colour} picture", 30).hits
    assert [hit.item for hit in hits.hits] == [hit.item for hit in every[: len(hits.hits)]]
    chances = [hit.probability for hit in hits.hits]
    assert chances == sorted(chances, reverse=True)
    assert all(0.0 <= chance <= 1.0 for chance in chances)


@pytest.mark.parametrize("words", ["a blue picture", "zzz qqq", "a bus at night"])
def test_what_is_not_there_is_not_answered(searcher, words):
    hits = searcher.search(words, 10, AUTO)
    assert hits.hits == ()
    assert hits.cut is not None
    assert not hits.cut.relevant
    assert hits.cut.p_value > 0.05
    assert hits.cut.best == searcher.search(words, 10).hits[0].score


def test_a_higher_rate_answers_more(searcher):
    lax = searcher.search("a blue picture", 10, SearchOptions(cut=Cut("auto", 0.5)))
    strict = searcher.search("a red picture", 10, SearchOptions(cut=Cut("auto", 0.005)))
    assert lax.cut.p_value == searcher.search("a blue picture", 10, AUTO).cut.p_value
    assert lax.cut.relevant == (lax.cut.p_value <= 0.5)
    assert strict.cut.relevant


def test_pages_join(searcher):
    whole = searcher.search("a red picture", 30, AUTO).hits
    pages = [
        hit
        for offset in range(0, 12, 3)
        for hit in searcher.search("a red picture", 3, SearchOptions(cut=AUTO.cut, offset=offset)).hits
    ]
    assert tuple(pages) == whole
    assert tuple(searcher.iterate("a red picture", AUTO)) == whole


def test_a_filter_narrows_what_is_judged(searcher):
    assert searcher.search(parse_query("red", where="path:red/**"), 10, AUTO).notes  # six pictures
    away = searcher.search(parse_query("red", where="not (path:red/** or kind:video)"), 10, AUTO)
    assert away.hits == ()
    assert not away.cut.relevant
    there = searcher.search(parse_query("red", where="not path:white/**"), 10, AUTO)
    assert folders(there) == {"red", "clips"}


def test_moments_are_judged_as_pictures_are(searcher, collection):
    hits = searcher.search("red", 30, AUTO)
    (moment,) = (hit for hit in hits.hits if hit.kind == "video")
    assert moment.end_s == pytest.approx(3.0, abs=0.2)
    assert moment.probability == pytest.approx(hits.hits[0].probability, abs=0.4)
    assert collection.hits(3) == 26
    assert collection.hits(1) == 25


def test_pictures_ask_too_and_are_not_their_own_answer(searcher, media, tmp_path):
    there = searcher.search(parse_query("", like=[str(media / "red" / "0.png")]), 30, AUTO)
    assert there.cut.relevant
    assert folders(there) == {"red", "clips"}
    assert str(media / "red" / "0.png") not in [hit.path for hit in there.hits]
    asked = write_picture(tmp_path / "blue.png", Image.fromarray(plain("blue")))
    assert not searcher.search(parse_query("", like=[str(asked)]), 30, AUTO).cut.relevant


def test_a_lonely_picture_is_not_its_own_evidence(tmp_path, embedder, media):
    folder = tmp_path / "some"
    shutil.copytree(media / "white", folder / "white")
    shutil.copytree(media / "green", folder / "green")
    lonely = write_picture(folder / "blue.png", Image.fromarray(plain("blue")))
    with Collection.create(tmp_path / "c", embedder.spec) as made:
        index(made, embedder, [folder])
        searcher = Searcher(made, embedder)
        verdict = searcher.search(parse_query("", like=[str(lonely)]), 30, AUTO)
        assert not verdict.cut.relevant
        made.forget(lonely)
        lonely.rename(tmp_path / "blue.png")
        away = searcher.search(parse_query("", like=[str(tmp_path / "blue.png")]), 30, AUTO)
        assert away.cut.chance == pytest.approx(verdict.cut.chance, abs=1e-3)


def test_too_few_to_tell_are_left_whole_with_a_note(tmp_path, embedder, media):
    with Collection.create(tmp_path / "c", embedder.spec) as made:
        index(made, embedder, [media / "red"])
        hits = Searcher(made, embedder).search("blue", 30, AUTO)
    assert len(hits.hits) == 6
    assert hits.cut is None
    assert "10" in hits.notes[-1]


def test_an_empty_collection_is_no_error(tmp_path, embedder):
    with Collection.create(tmp_path / "c", embedder.spec) as made:
        hits = Searcher(made, embedder).search("blue", 30, AUTO)
    assert (hits.hits, hits.cut, hits.notes) == ((), None, ())


def test_a_score_cuts_without_statistics(tmp_path, media):
    plain_model = open_embedder(str(write_tiny_model(tmp_path / "tiny", seed=3)), "cpu", 1)
    with Collection.create(tmp_path / "c", plain_model.spec) as made:
        index(made, plain_model, [media])
        searcher = Searcher(made, plain_model)
        every = searcher.search("red", 30).hits
        least = every[4].score
        found = searcher.search("red", 30, SearchOptions(cut=Cut("score", least)))
        assert found.hits == tuple(hit for hit in every if hit.score >= least)
        assert found.cut == Cutting(True, least, every[0].score)
        nothing = searcher.search("red", 30, SearchOptions(cut=Cut("score", 1.5)))
        assert nothing.hits == ()
        assert not nothing.cut.relevant


def test_no_cut_costs_nothing(searcher, monkeypatch):
    def refused(*arguments: object) -> None:
        raise AssertionError("looked")

    monkeypatch.setattr(Collection, "sample", refused)
    monkeypatch.setattr("retrieval.search.relevance.read_statistics", refused)
    hits = searcher.search("red", 5)
    assert hits.cut is None
    assert all(hit.probability is None for hit in hits.hits)


def test_a_second_text_tower_stands_before_the_statistics(collection, embedder):
    hits = Searcher(collection, Polyglot(embedder, "en")).search("a red picture", 30, AUTO)
    assert hits.cut.relevant


# ------------------------------------------------------------------------------------------- the file of statistics


def test_statistics_are_read_as_they_were_written(model, embedder, tmp_path):
    written = made_statistics(embedder)
    write_statistics(tmp_path, written)
    found = read_statistics(tmp_path, embedder.spec)
    assert found is not None
    assert found.bank == pytest.approx(written.bank, abs=1e-6)
    assert found.crowd == pytest.approx(written.crowd, abs=1e-6)
    assert found.judges.keys() == written.judges.keys()
    assert found.judges["text"].null == pytest.approx(written.judges["text"].null)
    assert found.judges["text"].hits == written.judges["text"].hits
    assert (found.heat, found.facts) == (written.heat, written.facts)


def test_statistics_of_other_weights_are_not_used(model, tmp_path):
    other = open_embedder(str(write_tiny_model(tmp_path / "other", seed=1)), "cpu", 1)
    assert read_statistics(model, other.spec) is None
    assert read_statistics(tmp_path, other.spec) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"bias": -24.0', '"bias": NaN'),
        lambda text: text.replace('"best"', '"rest"'),
        lambda text: text.replace(f'"heat": {HEAT}', '"heat": 0'),
        lambda text: text.replace('"null": [', '"null": [9.0,'),
        lambda text: "[" * 100_000,
    ],
)
def test_damaged_numbers_are_one_line(model, embedder, tmp_path, damage):
    for name in ("relevance.json", "relevance.npz"):
        shutil.copy(model / name, tmp_path / name)
    file = tmp_path / "relevance.json"
    text = file.read_text()
    file.write_text(damage(text))
    assert file.read_text() != text
    with pytest.raises(ModelError) as caught:
        read_statistics(tmp_path, embedder.spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip at all", None])
def test_a_damaged_background_is_one_line(model, embedder, tmp_path, content):
    shutil.copy(model / "relevance.json", tmp_path)
    if content is not None:
        (tmp_path / "relevance.npz").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_statistics(tmp_path, embedder.spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arrays",
    [
        {"bank": np.zeros((4, 64), np.int8), "crowd": np.zeros(4, np.float32)},
        {"bank": np.ones((4, 63), np.int8), "crowd": np.zeros(4, np.float32)},
        {"bank": np.ones((4, 64), np.float32), "crowd": np.zeros(4, np.float32)},
        {"bank": np.ones((4, 64), np.int8), "crowd": np.zeros(3, np.float32)},
        {"bank": np.ones((4, 64), np.int8), "crowd": np.full(4, np.nan, np.float32)},
        {"bank": np.array([{}], dtype=object), "crowd": np.zeros(1, np.float32)},
        {"bank": np.ones((4, 64), np.int8)},
    ],
)
def test_backgrounds_that_make_no_sense_are_refused(model, embedder, tmp_path, arrays):
    shutil.copy(model / "relevance.json", tmp_path)
    np.savez(tmp_path / "relevance.npz", **arrays)
    with pytest.raises(ModelError):
        read_statistics(tmp_path, embedder.spec)


def test_the_built_in_model_brings_statistics():
    starter = open_embedder("starter", "cpu", 1)
    found = read_statistics(model_folder("starter"), starter.spec)
    assert found is not None
    assert set(found.judges) == {"text", "picture", "mixed"}
    assert found.bank.shape == (2048, starter.dim)
    for judge in found.judges.values():
        levels = [judge.least(rate) for rate in (0.5, 0.2, 0.05, 0.01, 0.005)]
        assert levels == sorted(levels)
        assert judge.hits[0] > 0 > judge.hits[1]
    for figures in found.facts["measured_on_things_not_fitted"].values():
        assert figures["auc"] > 0.75
        assert figures["nonsense"] > 0.95
