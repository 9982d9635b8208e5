"""A clip as a query finds the very place in a video that it was taken from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.config import SearchOptions
from retrieval.embedding import open_embedder
from retrieval.query import parse_query
from retrieval.search import Searcher
from retrieval.store import Collection
from tests.media_makers import draw_picture, pan, write_clip, write_picture
from tests.model_makers import write_tiny_model
from tests.test_search import names, put_files

SIZE = (320, 240)
SHOTS = {seed: pan(draw_picture(seed), SIZE, 6.0) for seed in range(12)}


def shown(seeds: list[int], start_s: float, lasts_s: float, speed: float = 1.0) -> list:
    """Return shots of ``write_clip``: a stretch of a film of 4 seconds a seed, played faster."""

    def at(t: float):
        at_s = start_s + speed * t
        place = min(int(at_s // 4.0), len(seeds) - 1)
        return SHOTS[seeds[place]](at_s - 4.0 * place)

    return [(at, lasts_s / speed)]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny", context_length=12)), "cpu", 1)


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number, seeds in enumerate(([0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11])):
        keyframe_every = 24 if number == 2 else 1000  # a frame each two seconds is all that is seen of the last one
        write_clip(folder / f"{number}.mp4", shown(seeds, 0.0, 16.0), fps=12, size=SIZE, keyframe_every=keyframe_every)
    for seed in range(4):
        write_picture(folder / f"{seed}.jpg", draw_picture(seed))
    return folder


@pytest.fixture(scope="module")
def searcher(tmp_path_factory, films, embedder) -> Iterator[Searcher]:
    with Collection.create(tmp_path_factory.mktemp("collections") / "films", embedder.spec) as opened:
        put_files(opened, embedder, sorted(films.iterdir()), films)
        yield Searcher(opened, embedder)


@pytest.mark.parametrize(
    ("start_s", "speed", "form"),
    [(5.0, 1.0, {}), (6.5, 1.1, {"size": (160, 120)}), (9.3, 0.9, {"fps": 25}), (2.5, 1.0, {"codec": "mpeg4"})],
)
def test_an_excerpt_finds_its_place(searcher, films, tmp_path, start_s, speed, form):
    excerpt = write_clip(tmp_path / "excerpt.mp4", shown([4, 5, 6, 7], start_s, 3.0, speed), **{"size": SIZE, **form})
    first, *others = searcher.search(parse_query("", like=[str(excerpt)]), k=20).hits
    assert first.path == str(films / "1.mp4")
    assert first.start_s == pytest.approx(start_s, abs=0.5)
    assert first.end_s == pytest.approx(start_s + 3.0, abs=0.5)
    assert first.start_s <= first.at_s <= first.end_s
    assert first.speed == pytest.approx(speed, abs=0.1)
    overlapping = [one for one in others if one.path == first.path and one.start_s < first.end_s]
    assert all(one.end_s <= first.start_s for one in overlapping)
    assert all(one.speed is None for one in others)


def test_few_looks_at_a_film_are_enough(searcher, films, tmp_path):
    excerpt = write_clip(tmp_path / "excerpt.mp4", shown([8, 9, 10, 11], 5.0, 6.0), size=SIZE)
    first = searcher.search(parse_query("", like=[str(excerpt)]), k=20).hits[0]
    assert first.path == str(films / "2.mp4")
    assert first.start_s == pytest.approx(5.0, abs=0.6)
    assert first.speed == pytest.approx(1.0, abs=0.1)


def test_pages_join_behind_a_place(searcher, tmp_path):
    excerpt = write_clip(tmp_path / "excerpt.mp4", shown([4, 5, 6, 7], 5.0, 3.0), size=SIZE)
    query = parse_query("", like=[str(excerpt)])
    whole = searcher.search(query, k=50).hits
    paged = [searcher.search(query, k=2, options=SearchOptions(offset=offset)).hits for offset in range(0, 50, 2)]
    assert tuple(hit for page in paged for hit in page) == whole
    assert [hit.rank for hit in whole] == list(range(1, len(whole) + 1))


def test_a_clip_of_something_else_has_no_place(searcher, tmp_path):
    other = write_clip(tmp_path / "other.mp4", [(pan(draw_picture(77), SIZE, 4.0), 4.0)], size=SIZE)
    assert all(hit.speed is None for hit in searcher.search(parse_query("", like=[str(other)]), k=20).hits)


def test_an_indexed_clip_finds_where_it_was_taken_from(tmp_path, films, embedder):
    excerpt = write_clip(tmp_path / "more" / "excerpt.mp4", shown([4, 5, 6, 7], 6.0, 5.0), size=SIZE, fps=12)
    with Collection.create(tmp_path / "collection", embedder.spec) as opened:
        put_files(opened, embedder, [*sorted(films.glob("*.mp4")), excerpt], tmp_path)
        hits = Searcher(opened, embedder).search(parse_query("", like=[str(excerpt)]), k=10)
    assert names(hits)[0] == "1.mp4"
    assert hits.hits[0].start_s == pytest.approx(6.0, abs=1.0)
    assert "excerpt.mp4" not in names(hits)


def test_with_words_or_taken_away_a_clip_is_no_excerpt(searcher, films):
    for query in (
        parse_query("a car", like=[str(films / "1.mp4")]),
        parse_query("a car", minus=[str(films / "1.mp4")]),
    ):
        assert all(hit.speed is None for hit in searcher.search(query, k=20).hits)


def test_filters_hold_for_places(searcher, films, tmp_path):
    excerpt = write_clip(tmp_path / "excerpt.mp4", shown([4, 5, 6, 7], 5.0, 3.0), size=SIZE)
    hits = searcher.search(parse_query("", like=[str(excerpt)], where="not name:1.mp4"), k=20)
    assert "1.mp4" not in names(hits)
    assert all(hit.speed is None for hit in hits.hits)
