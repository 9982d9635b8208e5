"""The cut with a model that brings no statistics: queries are compared with others of their form."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from indexer import index
from retrieval.config import Cut, ModelSpec, Preprocessing, SearchOptions
from retrieval.embedding import open_embedder
from retrieval.errors import QueryError
from retrieval.query import parse_query
from retrieval.ranking.null import Null, evidence, excess, rank_of_null
from retrieval.search import Searcher
from retrieval.search.background import Background, phrases
from retrieval.store import Collection
from retrieval.types import Item, Part, Query
from tests.media_makers import write_clip, write_picture
from tests.model_makers import COLOURS, plain, write_tiny_model
from tests.store.test_kinds import PICTURE, Entry, add

AUTO = SearchOptions(cut=Cut("auto", 0.05))
THERE = ("red", "green", "yellow", "white")
RATES = (0.005, 0.01, 0.05, 0.2, 0.5)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny", seed=3)), "cpu", 1)


def fill(folder: Path, colours=THERE, each: int = 12) -> Path:
    rng = np.random.default_rng(1)
    for colour in colours:
        for number in range(each):
            pixels = plain(colour).astype(np.int64) + rng.integers(-12, 13, (48, 64, 1))
            write_picture(folder / colour / f"{number}.png", Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))
    return folder


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    """Twelve pictures of each of four colours, and a clip that is red, then green."""
    folder = fill(tmp_path_factory.mktemp("media"))
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


# ------------------------------------------------------------------------------------------------------- the numbers


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-1, 1)), st.floats(-1.5, 1.5))
def test_a_p_value_is_the_share_that_reaches_as_much(values: np.ndarray, one: float) -> None:
    null = Null(np.sort(values))
    assert null.p_values(np.array([one]))[0] == (1 + (values >= one).sum()) / (1 + len(values))


@given(st.integers(20, 120), st.integers(0, 10_000))
def test_p_values_of_the_null_itself_are_not_too_small(count: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).normal(size=count + 1)
    ranks = [Null(np.sort(np.delete(drawn, place))).p_values(drawn[place : place + 1])[0] for place in range(count + 1)]
    for rate in RATES:
        assert np.mean(np.array(ranks) <= rate) <= rate + 1e-9


@given(arrays(np.float64, 20, elements=st.floats(1e-6, 1)))
def test_evidence_falls_as_p_values_rise(p_values: np.ndarray) -> None:
    found = evidence(np.sort(p_values))
    assert (np.diff(found) <= 1e-12).all()
    assert ((found >= 0) & (found <= 1)).all()
    assert evidence(np.array([0.05]))[0] == pytest.approx(0.711, abs=1e-3)  # of the table in the paper: 1 - 0.289


def test_ranks_grow_with_the_collection() -> None:
    assert [rank_of_null(items) for items in (0, 10, 249, 250, 2499, 2500, 250_000)] == [1, 1, 1, 2, 2, 3, 5]


def test_a_constant_score_is_no_evidence() -> None:
    null = Null(np.sort(excess(np.ones(500), np.ones(500))))
    assert null.p_values(excess(np.ones(3), 1.0)).tolist() == [1.0, 1.0, 1.0]


def test_phrases_are_many_and_different() -> None:
    assert len(phrases()) == len({phrase.lower() for phrase in phrases()}) > 900


# ---------------------------------------------------------------------------------------------------------- searches


@pytest.mark.parametrize("colour", THERE)
def test_words_find_what_is_there(searcher, colour):
    hits = searcher.search(f"a {colour} picture", 60, AUTO)
    assert hits.cut.relevant
    assert hits.hits[0].probability > 0.7
    assert folders(hits) <= {colour, "clips"}


@pytest.mark.parametrize("words", ["blue", "a bus at night", "orange", "a grey dog"])
def test_words_for_what_is_not_there_find_nothing(searcher, words):
    hits = searcher.search(words, 10, AUTO)
    assert hits.hits == ()
    assert not hits.cut.relevant
    assert hits.cut.p_value > 0.05
    assert hits.cut.best == searcher.search(words, 10).hits[0].score


QUERIES = [
    Query((Part("text", "red"),)),
    Query((Part("text", "blue"),)),
    Query((Part("text", "red"), Part("text", "yellow"))),
    Query((Part("text", "red"), Part("text", "green", -0.5))),
    Query((Part("text", "a bus"), Part("text", "white", -1.0))),
]


@pytest.mark.parametrize("query", [*QUERIES, "picture", "mixed", "clip"])
def test_a_higher_rate_never_keeps_less_and_what_is_kept_comes_first(searcher, media, query):
    named = {
        "picture": parse_query("", like=[str(media / "red" / "0.png")]),
        "mixed": parse_query("white", like=[str(media / "red" / "0.png")]),
        "clip": parse_query("", like=[str(media / "clips" / "red then green.mp4")]),
    }
    query = named.get(query, query) if isinstance(query, str) else query
    every = [hit.item for hit in searcher.search(query, 60).hits]
    before = 0
    for rate in RATES[2:]:
        found = searcher.search(query, 60, SearchOptions(cut=Cut("auto", rate)))
        assert found.cut.relevant == bool(found.hits) == (found.cut.p_value <= rate)
        assert [hit.item for hit in found.hits] == every[: len(found.hits)]
        assert len(found.hits) >= before
        before = len(found.hits)
        chances = [hit.probability for hit in found.hits]
        assert chances == sorted(chances, reverse=True)
        assert found == searcher.search(query, 60, SearchOptions(cut=Cut("auto", rate)))


def test_pictures_are_answered_by_their_like(searcher, media, tmp_path):
    there = searcher.search(
        parse_query("", like=[str(media / "red" / "0.png")]), 60, SearchOptions(cut=Cut("auto", 0.3))
    )
    assert str(media / "red" / "0.png") not in [hit.path for hit in there.hits]
    assert folders(there) <= {"red", "clips"}
    asked = write_picture(tmp_path / "blue.png", Image.fromarray(plain("blue")))
    assert not searcher.search(parse_query("", like=[str(asked)]), 60, AUTO).cut.relevant


def test_pages_join_and_folded_hits_are_cut_too(searcher):
    whole = searcher.search("a red picture", 60, AUTO).hits
    pages = [
        hit
        for offset in range(0, 20, 4)
        for hit in searcher.search("a red picture", 4, SearchOptions(cut=AUTO.cut, offset=offset)).hits
    ]
    assert tuple(pages) == whole
    folded = searcher.search("a red picture", 60, SearchOptions(cut=AUTO.cut, hide_duplicates="similar")).hits
    assert 0 < len(folded) < len(whole)
    assert {hit.item for hit in folded} | {one for hit in folded for one in hit.also} <= {hit.item for hit in whole}


def test_a_filter_narrows_what_is_compared(searcher):
    away = searcher.search(parse_query("red", where="not (path:red/** or kind:video)"), 30, AUTO)
    assert away.hits == ()
    assert folders(searcher.search(parse_query("red", where="not path:white/**"), 60, AUTO)) <= {"red", "clips"}
    few = searcher.search(parse_query("red", where="path:red/3.png"), 30, AUTO)
    assert few.cut is None
    assert "10" in few.notes[-1]


def test_pictures_need_as_many_as_the_rate_asks_for(searcher, media):
    asked = parse_query("", like=[str(media / "red" / "0.png")])
    found = searcher.search(asked, 60, SearchOptions(cut=Cut("auto", 0.005)))
    assert found.cut is None
    assert "200" in found.notes[-1]
    assert len(found.hits) == len(searcher.search(asked, 60).hits)


def test_what_the_phrases_reach_is_kept_until_the_collection_changes_by_much(tmp_path, embedder, monkeypatch):
    folder = fill(tmp_path / "media", ("red", "green"), 20)
    with Collection.create(tmp_path / "c", embedder.spec) as made:
        index(made, embedder, [folder])
        asked = Query((Part("text", "red"),))
        first = Searcher(made, embedder).search(asked, 10, AUTO)
        looked: list[int] = []
        search = Collection.search

        def counted(self, queries, k, where=None):
            looked.append(len(queries))
            return search(self, queries, k, where)

        monkeypatch.setattr(Collection, "search", counted)
        assert Searcher(made, embedder).search(asked, 10, AUTO) == first
        assert max(looked) == 1
        fill(folder, ("blue",), 1)
        index(made, embedder, [folder])
        Searcher(made, embedder).search(asked, 10, AUTO)
        assert max(looked) == 1
        fill(folder, ("white",), 30)
        index(made, embedder, [folder])
        Searcher(made, embedder).search(asked, 10, AUTO)
        assert max(looked) == len(phrases())


class Constant:
    """A model that gives the same vector for everything."""

    def __init__(self) -> None:
        self.spec, self.dim, self.batch_size = ModelSpec("same", 8, "5" * 64, Preprocessing(8, 8)), 8, 4

    def embed_texts(self, texts):
        return np.tile(np.eye(8, dtype=np.float32)[:1], (len(texts), 1))

    def text_notes(self, text):
        return []


def test_a_model_that_tells_nothing_apart_finds_nothing_relevant(tmp_path):
    model = Constant()
    with Collection.create(tmp_path / "c", model.spec) as made:
        source = made.add_source(Path("/media"))
        with made.transaction() as writer:
            for number in range(50):
                entry = Entry(Path(f"/media/{number:06d}"), 1, 1)
                writer.put(source.id, entry, PICTURE, None, [Item()], model.embed_texts(["x"]))
        hits = Searcher(made, model).search("anything", 10, SearchOptions(cut=Cut("auto", 0.5)))
        assert hits.hits == ()
        assert hits.cut.p_value == 1.0
        assert hits.cut.chance == 0.0


class Hashed(Constant):
    """A model that gives each text a direction of its own."""

    def __init__(self) -> None:
        self.spec, self.dim, self.batch_size = ModelSpec("hashed", 64, "6" * 64, Preprocessing(8, 8)), 64, 4

    def embed_texts(self, texts):
        drawn = np.stack([np.random.default_rng(list(text.encode())).normal(size=64) for text in texts])
        return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.slow
def test_an_approximate_index_gives_the_same_null(tmp_path):
    rng, model = np.random.default_rng(4), Hashed()
    rows = rng.normal(size=(40, 64))[rng.integers(40, size=800)] + 0.3 * rng.normal(size=(800, 64))
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    probes = model.embed_texts(phrases())
    with Collection.create(tmp_path / "c", model.spec) as made:
        add(made, 0, vectors)
        exact = Background(made, model)._reached(probes, None)
        assert made.fit_index("hnsw", lambda: vectors[:100])
        assert np.mean(np.abs(Background(made, model)._reached(probes, None) - exact) < 1e-3) > 0.97
        best = (probes @ made.vectors(made.keys()).T).max(axis=1)
        assert exact.max() == pytest.approx(
            (best - 0.5 * probes @ made.vectors(made.keys()).mean(axis=0)).max(), abs=1e-4
        )


@pytest.mark.parametrize("options", [{"match": "both"}, {"match": "words"}, {"fusion": "rrf"}])
def test_only_looks_can_be_judged(searcher, options):
    with pytest.raises(QueryError, match="--cut auto"):
        searcher.search("red", 10, SearchOptions(cut=AUTO.cut, **options))
    every = searcher.search("red + white", 20, SearchOptions(fusion="rrf")).hits
    found = searcher.search("red + white", 20, SearchOptions(fusion="rrf", cut=Cut("score", every[3].score)))
    assert found.hits == tuple(hit for hit in every if hit.score >= every[3].score)


def test_many_queries_are_cut_as_single_ones_are(searcher):
    queries = ["a red picture", "a bus at night", "white"]
    for together, query in zip(searcher.search_many(queries, 40, AUTO), queries, strict=True):
        alone = searcher.search(query, 40, AUTO)
        assert [hit.item for hit in together.hits] == [hit.item for hit in alone.hits]
        assert together.cut.relevant == alone.cut.relevant
        assert together.cut.p_value == pytest.approx(alone.cut.p_value, abs=1e-2)
