"""Measures by name: what is read and printed, and agreement with ir-measures."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import OptionError
from retrieval.evaluation.measures import best_ranks, never, rank_all, rank_blocks
from retrieval.evaluation.notation import MAX_DEPTH, Measure, parse, parse_all, summary, values

RUNS = 1000
THEIRS = {
    "R@1": "Success@1",
    "R@3": "Success@3",
    "Success@5": "Success@5",
    "Recall@3": "R@3",
    "P@4": "P@4",
    "RR": "RR",
    "RR@4": "RR@4",
    "AP": "AP",
    "AP@5": "AP@5",
    "nDCG": "nDCG",
    "nDCG@3": "nDCG@3",
    "nDCG@10": "nDCG@10",
    "Rprec": "Rprec",
}
"""Our names, and those of the same measures in ir-measures."""


def measures_with_depth():
    deep = st.builds(Measure, st.sampled_from(["R", "Success", "Recall", "P"]), st.integers(1, MAX_DEPTH))
    either = st.builds(Measure, st.sampled_from(["RR", "AP", "nDCG"]), st.one_of(st.none(), st.integers(1, MAX_DEPTH)))
    return st.one_of(deep, either, st.sampled_from([Measure("Rprec"), Measure("median_rank"), Measure("mean_rank")]))


@given(measures_with_depth())
def test_what_is_printed_is_read(measure):
    assert parse(str(measure)) == measure


@settings(derandomize=True)
@given(st.text(max_size=12))
def test_anything_is_read_or_refused_in_one_line(text):
    try:
        assert parse(text)
    except OptionError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ndcg@10", "is not known; use R@k"),
        ("nDCG@", "is not known"),
        ("R", "needs a depth, as in R@10"),
        ("R@0", "a depth from 1 to 1,000,000"),
        ("AP@2000000", "a depth from 1 to"),
        ("Rprec@5", "Rprec takes no depth"),
    ],
)
def test_what_is_wrong_is_said(text, said):
    with pytest.raises(OptionError, match=said):
        parse(text)


def test_several_are_read_once_each_under_their_own_name():
    assert parse_all("R@1, MRR RR  nDCG@10,R@1") == (Measure("R", 1), Measure("RR"), Measure("nDCG", 10))
    with pytest.raises(OptionError, match="names none"):
        parse_all(" , ")


def drawn_run(seed: int, graded: bool):
    """Scores ``(q, g)`` of few levels, so that ties abound, and grades ``(q, g)`` with at least one right row each."""
    rng = np.random.default_rng(seed)
    queries, rows = rng.integers(1, 4), rng.integers(1, 16)
    scores = rng.integers(0, rng.integers(1, 20), (queries, rows)).astype(np.float32) / np.float32(20)
    grades = rng.integers(1, 4 if graded else 2, (queries, rows)) * (rng.random((queries, rows)) < 0.3)
    grades[np.arange(queries), rng.integers(rows, size=queries)] = 1
    return scores, grades


def theirs(scores, grades) -> dict[str, list[float]]:
    """What ir-measures says of each query, ties resolved against the model before it sees them."""
    run, qrels = [], []
    for query, (row, of_row) in enumerate(zip(scores.tolist(), grades.tolist(), strict=True)):
        worst_first = sorted(range(len(row)), key=lambda place: (-row[place], of_row[place], place))
        run += [ir_measures.ScoredDoc(str(query), str(p), float(-at)) for at, p in enumerate(worst_first)]
        qrels += [ir_measures.Qrel(str(query), str(p), grade) for p, grade in enumerate(of_row) if grade]
    found: dict[str, list[float]] = {name: [np.nan] * len(scores) for name in set(THEIRS.values())}
    for one in ir_measures.iter_calc([ir_measures.parse_measure(name) for name in found], qrels, run):
        found[str(one.measure)][int(one.query_id)] = one.value
    return found


def test_a_thousand_runs_agree_with_ir_measures(capsys):
    """Binary and graded relevance, ties in most runs."""
    told = {"runs": 0, "graded": 0, "ties": 0}

    @settings(max_examples=RUNS, deadline=None, derandomize=True, database=None)
    @given(seed=st.integers(0, 2**40), graded=st.booleans())
    def agree(seed: int, graded: bool) -> None:
        scores, grades = drawn_run(seed, graded)
        pairs = np.argwhere(grades > 0)
        rankings, _ = rank_blocks([scores], scores.shape, pairs, grades[grades > 0])
        expected = theirs(scores, grades)
        for ours, name in THEIRS.items():
            found = values(parse(ours), rankings) / 100
            assert found == pytest.approx(expected[name], abs=1e-6), (ours, seed)
        told["runs"] += 1
        told["graded"] += bool(grades.max() > 1)
        told["ties"] += any(len(set(row)) < len(row) for row in scores.tolist())

    agree()
    assert told["runs"] >= RUNS
    assert told["graded"] > RUNS / 10
    assert told["ties"] > RUNS / 2
    with capsys.disabled():
        print(f"\n{told['runs']:,} random runs agree with ir-measures to 1e-6 ({told['graded']:,} graded)")  # noqa: T201


def test_vectors_that_are_all_alike_are_at_chance_or_below():
    """Chance is the mean of each measure over random orders."""
    rng = np.random.default_rng(0)
    same = np.repeat(np.array([[0.6, 0.8]], np.float32), 60, axis=0)
    pairs = np.stack([np.arange(60), np.arange(60)], axis=1)
    pairs = np.concatenate([pairs, np.stack([np.arange(60), (np.arange(60) + 7) % 60], axis=1)])
    grades = np.repeat([1.0, 3.0], 60)
    constant, _ = rank_all(same, same, pairs, grades)
    by_chance, _ = rank_blocks([rng.random((60, 60)).astype(np.float32)], (60, 60), pairs, grades)
    for name in [*THEIRS, "R@10", "Recall@20"]:
        found, chance = (summary(parse(name), values(parse(name), one)) for one in (constant, by_chance))
        assert found <= chance, name
    assert summary(parse("R@58"), values(parse("R@58"), constant)) == 0
    for name in ("median_rank", "mean_rank"):
        assert summary(parse(name), values(parse(name), constant)) == 59


def test_of_right_rows_that_tie_the_less_relevant_comes_first():
    scores = np.array([[0.5, 0.5, 0.5, 0.1]], np.float32)
    pairs, grades = np.array([[0, 0], [0, 2]]), np.array([3.0, 1.0])
    rankings, first = rank_blocks([scores], (1, 4), pairs, grades, shown=4)
    assert (rankings.ranks.tolist(), rankings.grades.tolist()) == ([2, 3], [1.0, 3.0])
    assert first.rows[0].tolist() == [1, 0, 2, 3]


def test_a_query_without_a_right_row_has_nothing():
    rankings, _ = rank_blocks([np.eye(2, dtype=np.float32)], (2, 2), np.array([[0, 0]]))
    for name in THEIRS:
        assert values(parse(name), rankings)[1] == 0, name
    assert values(parse("mean_rank"), rankings).tolist() == [1, 11]
    assert summary(parse("RR"), np.empty(0)) == 0


def test_a_right_row_that_is_in_no_gallery_is_never_found():
    """It still counts among the right ones, so not all of them can be found."""
    rankings, _ = rank_blocks([np.eye(2, dtype=np.float32)], (2, 2), np.array([[0, 0], [0, -1], [1, -1]]))
    assert rankings.ranks.tolist() == [1, never(2), never(2)]
    assert values(parse("Recall@2"), rankings).tolist() == [50, 0]
    assert values(parse("AP"), rankings).tolist() == [50, 0]
    assert values(parse("R@10"), rankings).tolist() == [100, 0]


@pytest.mark.parametrize("shown", [1, 3, 50])
def test_the_first_rows_are_in_the_order_that_ranks_count_in(shown):
    """The rank of the best right row is its place among them, ties and all."""
    rng = np.random.default_rng(shown)
    asked, gallery = (rng.integers(0, 3, (size, 3)).astype(np.float32) for size in (30, 20))
    pairs = np.stack([np.arange(30), rng.integers(20, size=30)], axis=1)
    rankings, first = rank_all(asked, gallery, pairs, shown=shown)
    assert rankings.best.tolist() == best_ranks(asked, gallery, pairs).tolist()
    assert first.rows.shape == (30, min(shown, 20))
    for query, right in pairs.tolist():
        rows = first.rows[query].tolist()
        assert (rows.index(right) + 1 if right in rows else None) == (
            rankings.best[query] if rankings.best[query] <= shown else None
        )
        assert first.scores[query] == pytest.approx(asked[query] @ gallery[rows].T)


def test_many_right_rows_are_counted_as_few_are():
    """Beyond a number of right rows the count is made from sorted scores."""
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 30, (1, 200)).astype(np.float32) / np.float32(30)
    right = rng.choice(200, 90, replace=False)
    rankings, _ = rank_blocks([scores], (1, 200), np.stack([np.zeros(90, np.int64), right], axis=1))
    order = sorted(range(200), key=lambda place: (-scores[0, place], place in set(right.tolist())))
    assert rankings.ranks.tolist() == [at for at, place in enumerate(order, 1) if place in set(right.tolist())]
