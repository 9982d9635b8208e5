"""Hits that are like a better one are folded into it: the same as folding the whole order the long way."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.config import SearchOptions
from retrieval.embedding import open_embedder
from retrieval.query import parse_query
from retrieval.ranking.near import OUTLINE_ALIKE, SIMILAR, looks, outlines, unlikeness
from retrieval.search import Searcher
from retrieval.search.folding import WINDOW
from retrieval.store import Collection, Entry
from retrieval.types import Hit, Item, MediaInfo
from tests.model_makers import write_tiny_model

COUNT = 260
LEVELS = ("exact", "identical", "similar")


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def signature(rng: np.random.Generator) -> np.ndarray:
    """Smooth random cells, as pictures have them."""
    coarse = rng.integers(20, 236, (4, 4)).repeat(4, 0).repeat(4, 1)
    return np.concatenate([coarse.ravel(), np.full(128, 128)]).astype(np.uint8)


def noisy(look: np.ndarray, rng: np.random.Generator) -> bytes:
    return np.clip(look + rng.integers(-1, 2, len(look)), 0, 255).astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def searcher(tmp_path_factory) -> Iterator[Searcher]:
    """Pictures and videos of a few looks and directions: many are copies of one another in one way or another."""
    embedder = open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")), "cpu", 1)
    rng = np.random.default_rng(5)
    seen, ways = [signature(rng) for _ in range(25)], rng.standard_normal((9, embedder.dim))
    with Collection.create(tmp_path_factory.mktemp("collections") / "crowd", embedder.spec) as opened:
        with opened.transaction() as writer:
            source = writer.add_source(Path("/crowd"))
            for place in range(COUNT):
                frames = 1 if place % 5 else int(rng.integers(2, 7))
                rows = unit(
                    ways[rng.integers(0, 9, frames)] + rng.normal(0, rng.choice([0.05, 0.4]), (frames, embedder.dim))
                )
                told = [noisy(seen[one], rng) for one in rng.integers(0, 25, frames)]
                if place % 17 == 0:
                    told = [b""] * frames
                video = place % 5 == 0
                times = [(2.0 * t + 1, 2.0 * t, 2.0 * t + 2) if video else (None, None, None) for t in range(frames)]
                items = [Item(*time, signature=look) for time, look in zip(times, told, strict=True)]
                info = MediaInfo(
                    "video" if video else "image", 640, 480 + place % 2, 2.0 * frames if video else None, None, "x"
                )
                digest = b"d%d" % rng.integers(0, 60) if place % 3 else None
                writer.put(source.id, Entry(Path(f"/crowd/{place:03d}"), 1, place), info, digest, items, rows)
        yield Searcher(opened, embedder)


class Pairwise:
    """Says whether two hits are alike, one pair at a time."""

    def __init__(self, searcher: Searcher) -> None:
        self.collection = searcher.collection
        self.digests = {record.path: record.digest for record in self.collection.records()}
        self.same_look = lru_cache(maxsize=None)(self._same_look)
        self.seen = lru_cache(maxsize=None)(self._seen)

    def _seen(self, hit: Hit):
        (told,) = self.collection.signatures([hit.key])
        look = looks(np.frombuffer(told, np.uint8)[None], np.array([[hit.width, hit.height]])) if told else None
        return look, None if look is None else outlines(look)[0], self.collection.vectors([hit.key])[0].astype(float)

    def _same_look(self, one: Hit, other: Hit) -> bool:
        (mine, shape, _), (theirs, other_shape, _) = self.seen(one), self.seen(other)
        if mine is None or theirs is None or float(shape @ other_shape) < OUTLINE_ALIKE:
            return False
        return bool(unlikeness(mine, theirs)[0] <= 1)

    def alike(self, one: Hit, other: Hit, level: str) -> bool:
        if one.kind != other.kind:
            return False
        digest = self.digests[Path(one.path)]
        if digest is not None and digest == self.digests[Path(other.path)] and one.at_s == other.at_s:
            return True
        if level == "similar" and float(self.seen(one)[2] @ self.seen(other)[2]) >= SIMILAR:
            return True
        return level != "exact" and self.same_look(one._replace(rank=0, score=0), other._replace(rank=0, score=0))


def folded(hits: tuple[Hit, ...], pairwise: Pairwise, level: str) -> list[tuple[str, tuple[str, ...]]]:
    """Fold the whole order: (item, what is folded into it of the hits soon after it)."""
    shown: list[tuple[int, Hit]] = []
    also: dict[int, list[str]] = {}
    for rank, hit in enumerate(hits):
        into = next((first for first, better in shown if pairwise.alike(hit, better, level)), None)
        if into is None:
            shown.append((rank, hit))
            also[rank] = []
        elif rank - into <= WINDOW:
            also[into].append(hit.item)
    return [(hit.item, tuple(also[rank])) for rank, hit in shown]


@pytest.fixture(scope="module")
def whole(searcher):
    """Return the folded order of everything for an item, computed once."""
    pairwise = Pairwise(searcher)
    known: dict[tuple[int, str], list[tuple[str, tuple[str, ...]]]] = {}

    def of(place: int, level: str) -> list[tuple[str, tuple[str, ...]]]:
        if (place, level) not in known:
            hits = searcher.search(parse_query("", like=[f"/crowd/{place:03d}"]), 10_000).hits
            known[place, level] = folded(hits, pairwise, level)
        return known[place, level]

    return of


@settings(max_examples=60, deadline=None)
@given(
    place=st.sampled_from([1, 2, 5]),
    level=st.sampled_from(LEVELS),
    k=st.integers(1, 60),
    offset=st.integers(0, 60),
)
def test_pages_are_those_of_the_whole_order_folded(searcher, whole, place, level, k, offset):
    expected = whole(place, level)
    query = parse_query("", like=[f"/crowd/{place:03d}"])
    hits = searcher.search(query, k, SearchOptions(offset=offset, hide_duplicates=level)).hits
    assert [(hit.item, hit.also) for hit in hits] == expected[offset : offset + k]
    assert [hit.rank for hit in hits] == list(range(offset + 1, offset + 1 + len(hits)))


def test_each_level_hides_more(whole):
    counts = [len(whole(1, level)) for level in LEVELS]
    assert COUNT > counts[0] > counts[1] > counts[2] > 3


def test_nothing_is_hidden_unless_asked(searcher):
    hits = searcher.search(parse_query("", like=["/crowd/001"]), 10_000).hits
    assert all(hit.also is None for hit in hits)
    everything = searcher.search(
        parse_query("", like=["/crowd/001"]), 10_000, SearchOptions(hide_duplicates="exact")
    ).hits
    named = {item for hit in everything for item in (hit.item, *hit.also)}
    unnamed = [rank for rank, hit in enumerate(hits) if hit.item not in named]
    assert len(everything) < len(hits)
    assert all(rank > WINDOW for rank in unnamed)  # what comes later than that is hidden without being named


def test_with_a_filter_k_hits_come_back(searcher):
    query = parse_query("", like=["/crowd/001"], where="kind:image")
    all_shown = searcher.search(query, 10_000, SearchOptions(hide_duplicates="similar")).hits
    assert {hit.kind for hit in all_shown} == {"image"}
    for k in (1, 3, len(all_shown)):
        assert searcher.search(query, k, SearchOptions(hide_duplicates="similar")).hits == all_shown[:k]


def test_an_order_by_path_keeps_the_hits_of_the_page(searcher):
    query = parse_query("", like=["/crowd/002"])
    best, by_path = (
        searcher.search(query, 8, SearchOptions(hide_duplicates="identical", sort=sort)).hits
        for sort in ("score", "path")
    )
    assert sorted(best, key=lambda hit: (hit.path, hit.at_s or 0)) == list(by_path)
