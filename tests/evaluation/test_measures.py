"""Ranks and figures against the long way round, and against ir-measures where ties are resolved."""

import tracemalloc

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import R, Success

from retrieval.evaluation import measures
from retrieval.evaluation.measures import TIE, best_ranks, figures, intervals, never, rank_all


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def spoken(pictures: int, captions: int, noise: float, seed: int = 0, dim: int = 12):
    """Pictures and noisy captions of them: vectors of both, and the pairs (caption, picture)."""
    rng = np.random.default_rng(seed)
    images = unit(rng.standard_normal((pictures, dim)))
    owner = np.repeat(np.arange(pictures), captions)
    words = unit(images[owner] + noise * rng.standard_normal((len(owner), dim)))
    return words, images, np.stack([np.arange(len(owner)), owner], axis=1)


def the_long_way(queries, gallery, pairs) -> list[int]:
    found = []
    for query, vector in enumerate(queries):
        right = {row for asked, row in pairs.tolist() if asked == query}
        scores = [float(np.float32(score)) for score in gallery @ vector]
        if not right:
            found.append(max(len(gallery), 10) + 1)
            continue
        best = max(scores[row] for row in right)
        wrong = (row for row in range(len(gallery)) if row not in right)
        found.append(1 + sum(not scores[row] < best - TIE for row in wrong))
    return found


@settings(deadline=None, max_examples=60)
@given(
    queries=st.integers(1, 12),
    rows=st.integers(1, 12),
    levels=st.integers(1, 4),
    block=st.integers(1, 200),
    data=st.data(),
)
def test_ranks_are_those_of_the_long_way(queries, rows, levels, block, data):
    """Vectors of few values, so that ties abound; any pairs; blocks of any size."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    asked = rng.integers(0, levels, (queries, 3)).astype(np.float32)
    gallery = rng.integers(0, levels, (rows, 3)).astype(np.float32)
    pair = st.tuples(st.integers(0, queries - 1), st.integers(0, rows - 1))
    pairs = np.array(data.draw(st.lists(pair, max_size=20)), dtype=np.int64).reshape(-1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "_BLOCK_BYTES", block)
        assert best_ranks(asked, gallery, pairs).tolist() == the_long_way(asked, gallery, pairs)


def test_scores_are_held_block_by_block(monkeypatch):
    """All scores would take 36 MB."""
    rows = unit(np.random.default_rng(0).standard_normal((3000, 4)))
    pairs = np.stack([np.arange(3000), np.arange(3000)], axis=1)
    monkeypatch.setattr(measures, "_BLOCK_BYTES", 2**20)
    tracemalloc.start()
    try:
        ranks, first = rank_all(rows, rows, pairs, shown=10)
        assert tracemalloc.get_traced_memory()[1] < 6 * 2**20
    finally:
        tracemalloc.stop()
    assert (ranks.best <= 10).all()
    assert (first.rows[:, :10] == np.arange(3000)[:, None]).any(axis=1).all()


def run_of(queries, gallery):
    """All scores for ir-measures, with no two of one query alike."""
    scores = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    return [
        ir_measures.ScoredDoc(f"q{query}", f"d{row}", float(scores[query, row]))
        for query in range(len(queries))
        for row in range(len(gallery))
    ]


def test_words_to_pictures_agree_with_recall_of_ir_measures():
    words, images, pairs = spoken(40, 3, 1.2)
    ours = figures(best_ranks(words, images, pairs))
    qrels = [ir_measures.Qrel(f"q{caption}", f"d{picture}", 1) for caption, picture in pairs.tolist()]
    theirs = ir_measures.calc_aggregate([R @ 1, R @ 5, R @ 10], qrels, run_of(words, images))
    assert 5 < ours["R@1"] < ours["R@5"] < ours["R@10"] < 100
    for k in (1, 5, 10):
        assert ours[f"R@{k}"] == pytest.approx(100 * theirs[R @ k])


def test_pictures_to_words_agree_with_success_of_ir_measures():
    words, images, pairs = spoken(40, 3, 1.2)
    ours = figures(best_ranks(images, words, pairs[:, ::-1]))
    qrels = [ir_measures.Qrel(f"q{picture}", f"d{caption}", 1) for caption, picture in pairs.tolist()]
    theirs = ir_measures.calc_aggregate([Success @ 1, Success @ 5, Success @ 10], qrels, run_of(images, words))
    assert 5 < ours["R@1"] < ours["R@5"] < ours["R@10"] < 100
    for k in (1, 5, 10):
        assert ours[f"R@{k}"] == pytest.approx(100 * theirs[Success @ k])


def test_vectors_that_are_all_alike_find_nothing():
    for dim in (3, 384, 512):
        same = np.repeat(unit(np.random.default_rng(dim).standard_normal((1, dim))), 1000, axis=0)
        pairs = np.stack([np.arange(1000), np.arange(1000)], axis=1)
        ranks = best_ranks(same, same, pairs)
        assert (ranks == 1000).all()
        assert figures(ranks)["R@10"] == 0


def test_a_tie_is_resolved_against_the_model():
    gallery = np.eye(3, dtype=np.float32)
    query = unit(np.array([[1.0, 1.0, 0.0]]))
    assert best_ranks(query, gallery, np.array([[0, 0]])).tolist() == [2]
    assert best_ranks(query, gallery, np.array([[0, 0], [0, 1]])).tolist() == [1]
    assert best_ranks(query, gallery, np.array([[0, 2]])).tolist() == [3]


def test_directions_are_told_apart():
    """One picture is near to every caption, so words find little and pictures find all of theirs."""
    words = unit(np.array([[1, 0.2, 0], [1, -0.2, 0], [1, 0, 0.2]]))
    images = unit(np.array([[1, 0, 0], [0.3, 1, 0], [0.3, 0, -1]]))
    pairs = np.array([[0, 1], [1, 0], [2, 2]])
    assert best_ranks(words, images, pairs).tolist() == [2, 1, 3]
    assert best_ranks(images, words, pairs[:, ::-1]).tolist() == [3, 1, 3]


def test_what_is_no_number_counts_against_the_model():
    gallery = np.eye(3, dtype=np.float32)
    gallery[1] = np.nan
    assert best_ranks(np.eye(3, dtype=np.float32), gallery, np.array([[0, 0], [1, 1], [2, 2]])).tolist() == [2, 11, 2]


def test_a_query_without_a_right_row_is_never_found():
    assert best_ranks(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), np.array([[1, 1]])).tolist() == [11, 1]
    none = np.empty((0, 2), dtype=np.int64)
    assert best_ranks(np.eye(2, dtype=np.float32), np.empty((0, 2), dtype=np.float32), none).tolist() == [11, 11]
    assert (never(0), never(9), never(500)) == (11, 11, 501)


def test_figures():
    assert figures(np.array([1, 2, 6, 11])) == {"R@1": 25.0, "R@5": 50.0, "R@10": 75.0, "median_rank": 4.0}
    assert figures(np.array([], dtype=np.int64)) == {"R@1": 0, "R@5": 0, "R@10": 0, "median_rank": 0}


def test_intervals_hold_the_figure_and_are_repeatable():
    words, images, pairs = spoken(200, 5, 1.0)
    ranks = best_ranks(words, images, pairs)
    found, ours = intervals(ranks, pairs[:, 1]), figures(ranks)
    assert found == intervals(ranks, pairs[:, 1])
    for name, (low, high) in found.items():
        assert low <= ours[name] <= high
    assert found["R@1"][0] < found["R@1"][1]


def test_intervals_draw_whole_pictures():
    """Five captions that always succeed or fail together tell no more than one does."""
    hits = np.where(np.arange(100) % 2, 1, 50)
    alone = intervals(hits, np.arange(100))["R@1"]
    together = intervals(np.repeat(hits, 5), np.repeat(np.arange(100), 5))["R@1"]
    as_if_free = intervals(np.repeat(hits, 5), np.arange(500))["R@1"]
    assert together == pytest.approx(alone)
    assert as_if_free[1] - as_if_free[0] < 0.6 * (alone[1] - alone[0])


def test_intervals_are_those_of_the_binomial():
    hits = np.where(np.arange(400) % 4 == 0, 1, 99)
    low, high = intervals(hits, np.arange(400), draws=4000)["R@1"]
    half = 100 * 1.96 * (0.25 * 0.75 / 400) ** 0.5
    assert (low, high) == (pytest.approx(25 - half, abs=0.6), pytest.approx(25 + half, abs=0.6))


def test_intervals_of_the_median_are_those_of_medians():
    ranks = np.array([1, 3, 3, 8, 20, 21, 40])
    low, high = intervals(ranks, np.arange(7), draws=500)["median_rank"]
    rng = np.random.default_rng(0)
    medians = [np.median(ranks[rng.integers(7, size=7)]) for _ in range(500)]
    assert (low, high) == pytest.approx(np.percentile(medians, [2.5, 97.5]))


def test_no_queries_have_no_interval():
    assert intervals(np.array([], dtype=np.int64), np.array([], dtype=np.int64))["R@5"] == (0.0, 0.0)
