"""Searching by the words of files, alone and beside looks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.config import SearchOptions
from retrieval.errors import QueryError
from retrieval.query import parse_query
from retrieval.ranking.fusion import PLACES_K
from retrieval.search import Searcher
from retrieval.store import Collection, Entry
from retrieval.types import Details, Item, MediaInfo, Part, Query
from tests.model_makers import COLOURS
from tests.test_search import embedder, names  # noqa: F401 - a fixture

WORDS = SearchOptions(match="words")
BOTH = SearchOptions(match="both")
FILES = {
    "holiday/one.jpg": ("red", ""),
    "holiday/red dress.jpg": ("blue", "at the beach"),
    "work/two.jpg": ("green", "a red bicycle by a wall"),
    "work/three.jpg": ("yellow", ""),
    "红色/four.jpg": ("white", "海边的小狗"),
    "clips/beach walk.mp4": ("blue green red", ""),
}


@pytest.fixture(scope="module")
def searcher(tmp_path_factory, embedder) -> Iterator[Searcher]:  # noqa: F811
    """Pictures that look like one colour and are called by others, and a clip of three colours."""
    with Collection.create(tmp_path_factory.mktemp("collections") / "named", embedder.spec) as opened:
        with opened.transaction() as writer:
            source = writer.add_source(Path("/media"))
            for name, (colours, told) in FILES.items():
                vectors = embedder.embed_texts(colours.split())
                video = name.endswith("mp4")
                items = [Item(t + 1.0, t, t + 2.0) if video else Item() for t in np.arange(len(vectors)) * 2.0]
                info = MediaInfo("video" if video else "image", 9, 9, 6.0 if video else None, None, "x")
                info = info._replace(details=Details(told=told))
                writer.put(source.id, Entry(Path("/media") / name, 1, 1), info, None, items, vectors)
        yield Searcher(opened, embedder)


def found(searcher, text: str, options: SearchOptions, k: int = 20) -> list[str]:
    return names(searcher.search(text, k, options))


def test_words_alone_find_what_is_called_so(searcher):
    assert found(searcher, "red", WORDS) == ["red dress.jpg", "two.jpg"]
    assert found(searcher, "beach", WORDS) == ["beach walk.mp4", "red dress.jpg"]
    assert found(searcher, "holiday", WORDS) == ["one.jpg", "red dress.jpg"]
    assert found(searcher, "红色", WORDS) == ["four.jpg"]
    assert found(searcher, "小狗", WORDS) == ["four.jpg"]
    assert found(searcher, "nothing", WORDS) == []


def test_words_that_are_taken_away_rule_a_file_out(searcher):
    assert found(searcher, "red -bicycle", WORDS) == ["red dress.jpg"]
    assert found(searcher, 'red - "the beach"', WORDS) == ["two.jpg"]


def test_a_video_is_one_hit_by_words_and_its_best_moment_by_both(searcher):
    hit = searcher.search("walk", 5, WORDS).hits[0]
    assert (hit.kind, hit.start_s, hit.end_s, hit.at_s) == ("video", 0.0, 6.0, 3.0)
    hits = searcher.search("walk red", 5, BOTH).hits
    (moment,) = [one for one in hits if one.kind == "video"][:1]
    assert (moment.start_s, moment.end_s, moment.at_s) == (4.0, 6.0, 5.0)


def test_words_and_looks_are_fused(searcher):
    looks = found(searcher, "red", SearchOptions())
    assert looks[0] in ("one.jpg", "beach walk.mp4")
    both = searcher.search("red", 20, BOTH).hits
    assert {hit.path for hit in both} == {f"/media/{name}" for name in FILES}
    called = {hit.path: rank for rank, hit in enumerate(searcher.search("red", 20, WORDS).hits, 1)}
    seen = {hit.path: rank for rank, hit in enumerate(searcher.search("red", 20).hits, 1)}
    for hit in both:
        parts = [ranks[hit.path] for ranks in (called, seen) if hit.path in ranks]
        assert hit.score == pytest.approx(sum((PLACES_K + 1) / (PLACES_K + rank) / 2 for rank in parts))


@pytest.mark.parametrize("fusion", ["early", "rrf", "scores", "hybrid"])
def test_words_that_appear_nowhere_change_nothing(searcher, fusion):
    query = Query((Part("text", "red"), Part("text", "blue", 0.5)))
    looks = searcher.search(query, 20, SearchOptions(fusion=fusion)).hits
    without = searcher.search("red", 20, WORDS).hits
    assert [hit.path for hit in searcher.search("red zzyzx qwerty", 20, WORDS).hits] == [hit.path for hit in without]
    query = Query((Part("text", "qwerty"), Part("text", "zzyzx", 0.5)))
    looks = searcher.search(query, 20, SearchOptions(fusion=fusion)).hits
    both = searcher.search(query, 20, SearchOptions(fusion=fusion, match="both")).hits
    assert [(hit.path, hit.at_s) for hit in both] == [(hit.path, hit.at_s) for hit in looks]


def test_filters_pages_and_duplicates(searcher):
    assert names(searcher.search(parse_query("red", where="path:work/**"), 9, WORDS)) == ["two.jpg"]
    assert set(names(searcher.search(parse_query("red", where="kind:image"), 9, BOTH))) == {
        Path(name).name for name in FILES if name.endswith("jpg")
    }
    for match in ("words", "both"):
        whole = searcher.search("red beach", 20, SearchOptions(match=match)).hits
        pages = [searcher.search("red beach", 2, SearchOptions(match=match, offset=at)).hits for at in (0, 2, 4, 6, 8)]
        assert tuple(hit for page in pages for hit in page) == whole
        folded = searcher.search("red beach", 20, SearchOptions(match=match, hide_duplicates="exact")).hits
        assert [hit.path for hit in folded] == [hit.path for hit in whole]
    assert [hit.path for hit in searcher.search("red", 9, SearchOptions(match="words", sort="path")).hits] == sorted(
        ["/media/holiday/red dress.jpg", "/media/work/two.jpg"]
    )


def test_pictures_may_stand_beside_words(searcher):
    query = parse_query("beach", like=["/media/work/three.jpg"])
    assert names(searcher.search(query, 9, WORDS)) == ["beach walk.mp4", "red dress.jpg"]
    assert "three.jpg" not in names(searcher.search(query, 9, BOTH))  # it is the query


@pytest.mark.parametrize("match", ["words", "both"])
def test_without_words_there_is_nothing_to_look_for(searcher, match):
    query = parse_query("", like=["/media/work/three.jpg"], minus=["red"])
    with pytest.raises(QueryError, match="want words"):
        searcher.search(query, 5, SearchOptions(match=match))
    with pytest.raises(QueryError, match="leave it out"):
        searcher.search("red", 5, SearchOptions(match=match, explain=True))


@settings(max_examples=50, deadline=None)
@given(
    text=st.text(st.sampled_from("\"*^:(){}+-' NEAR AND OR NOT red海 beach"), min_size=1, max_size=20).filter(str.strip)
)
def test_whatever_is_asked_is_no_wrong_expression(searcher, text):
    """Words reach the full-text index as words, never as its operators."""
    parts = (Part("text", text),)
    for options in (WORDS, BOTH):
        hits = searcher.search(Query(parts), 20, options).hits
        assert len({(hit.path, hit.at_s) for hit in hits}) == len(hits)


# ----------------------------------------------------------------------------------------------- many queries at once


QUERIES = st.one_of(
    st.sampled_from(["red", "blue -red", '"red" + 0.5:"beach"', "green where:(kind:video)", "-red", "a where:(x>>1)"]),
    st.sampled_from([*COLOURS]).map(lambda colour: f"a {colour} thing"),
    st.builds(
        lambda colour, path: Query((Part("item", f"/media/{path}"), Part("text", colour, -0.5))),
        st.sampled_from([*COLOURS]),
        st.sampled_from([*FILES, "missing.jpg"]),
    ),
)


def alone_or_why(searcher, query, k, options):
    """Return the hits of one query, or what is wrong with it."""
    try:
        return searcher.search(query, k, options)
    except QueryError as error:
        return str(error)


@settings(max_examples=60, deadline=None)
@given(
    queries=st.lists(QUERIES, max_size=6),
    k=st.integers(1, 12),
    match=st.sampled_from(["visual", "words", "both"]),
    fusion=st.sampled_from(["early", "rrf", "scores", "hybrid"]),
    hide=st.sampled_from(["none", "exact"]),
    offset=st.integers(0, 3),
)
def test_many_queries_find_what_each_finds_alone(searcher, queries, k, match, fusion, hide, offset):
    options = SearchOptions(match=match, fusion=fusion, hide_duplicates=hide, offset=offset)
    together = searcher.search_many(queries, k, options)
    assert len(together) == len(queries)
    for query, answer in zip(queries, together, strict=True):
        alone = alone_or_why(searcher, query, k, options)
        if isinstance(alone, str):
            assert (type(answer), str(answer)) == (QueryError, alone)
            continue
        assert [(hit.path, hit.at_s) for hit in answer.hits] == [(hit.path, hit.at_s) for hit in alone.hits]
        assert [hit.score for hit in answer.hits] == pytest.approx([hit.score for hit in alone.hits], abs=1e-5)
        assert (answer.query, answer.searched, answer.notes) == (alone.query, alone.searched, alone.notes)


def test_the_index_is_searched_once_for_many_queries(searcher, monkeypatch):
    asked = []
    search = searcher.collection.search

    def counted(vectors, k, where=None):
        asked.append(len(vectors))
        return search(vectors, k, where)

    monkeypatch.setattr(searcher.collection, "search", counted)
    searcher.search_many([f"a {colour} thing" for colour in COLOURS], 5)
    assert asked == [len(COLOURS)]


def test_no_queries_and_wrong_options(searcher):
    assert searcher.search_many([]) == []
    with pytest.raises(QueryError):
        searcher.search_many(["red"], 0)
