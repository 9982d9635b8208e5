"""What a collection tells of itself to judge queries by: samples of its vectors, how many hits it has, how it grew."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.config import ModelSpec, Preprocessing
from retrieval.query import parse_query
from retrieval.store import Collection
from tests.store.test_kinds import DIM, add, clustered

COUNT = 300
VIDEOS = parse_query("x", where="kind:video").where


@pytest.fixture
def collection(tmp_path):
    spec = ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))
    with Collection.create(tmp_path / "c", spec) as made:
        add(made, 0, clustered(np.random.default_rng(1), COUNT))
        yield made


def rows_of(vectors: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in vectors}


@pytest.mark.parametrize("where", [None, VIDEOS])
@pytest.mark.parametrize("count", [1, 7, 30, 1000])
def test_a_sample_is_of_what_is_chosen_from_and_always_the_same(collection, where, count):
    keys = collection.keys(where)
    found = collection.sample(count, where)
    assert len(found) == min(count, len(keys))
    assert len(rows_of(found)) == len(found)
    assert rows_of(found) <= rows_of(collection.vectors(keys))
    assert np.array_equal(found, collection.sample(count, where))


def test_a_sample_is_spread_evenly(collection):
    place = {row.tobytes(): number for number, row in enumerate(collection.vectors(np.sort(collection.keys())))}
    places = [place[row.tobytes()] for row in collection.sample(30)]
    assert np.diff(places).min() >= 5
    assert np.diff(places).max() <= 20


def test_a_sample_holds_nothing_that_was_forgotten(collection):
    for number in range(0, COUNT, 3):
        collection.forget(Path(f"/media/{number:06d}"))
    left = collection.keys()
    assert len(left) == 200
    for count in (10, 150, 500):
        found = collection.sample(count)
        assert len(found) == min(count, 200)
        assert rows_of(found) <= rows_of(collection.vectors(left))


def test_a_video_counts_so_often_at_most(collection):
    assert collection.hits(3) == COUNT
    assert collection.hits(3, VIDEOS) == COUNT // 10


def test_growth_tells_collections_apart_and_rises(collection, tmp_path):
    lineage, newest = collection.growth()
    add(collection, COUNT, clustered(np.random.default_rng(2), 10))
    assert collection.growth()[0] == lineage
    assert collection.growth()[1] == newest + 10
    with Collection.create(tmp_path / "other", collection.manifest.spec) as other:
        assert other.growth()[0] != lineage
        assert other.growth()[1] == 0
