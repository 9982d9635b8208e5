"""Runs that were written down are read back and compared query by query."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import DatasetError
from retrieval.evaluation import results
from retrieval.evaluation.comparing import compare_with, rankings_of
from retrieval.evaluation.measures import rank_all
from retrieval.evaluation.notation import parse, values
from retrieval.evaluation.results import Asked, read_dump, write_dump

MEASURES = tuple(parse(name) for name in ("R@1", "R@5", "median_rank", "RR"))


def asked(query: str, rank: int, *, picture: str = "a.jpg", relevant: tuple[str, ...] = (), **more: object) -> Asked:
    found = (("b.jpg", 0.25), (picture, 0.125))
    return Asked("text_to_image", query, False, relevant or (picture,), found, rank, **{"ranks": (rank,), **more})


def run(ranks) -> list[Asked]:
    """Two captions of each picture."""
    return [asked(f"caption {at}", int(rank), picture=f"{at // 2}.jpg") for at, rank in enumerate(ranks)]


texts = st.text(max_size=8)
records = st.builds(
    Asked,
    st.sampled_from(["text_to_image", "image_to_text", "library"]),
    texts,
    st.booleans(),
    st.lists(texts, max_size=3).map(tuple),
    st.lists(st.tuples(texts, st.integers(-1000, 1000).map(lambda n: n / 1000)), max_size=3).map(tuple),
    st.integers(1, 10**6),
    st.one_of(st.none(), st.lists(st.integers(1, 10**6), max_size=3).map(lambda ranks: tuple(sorted(ranks)))),
    st.none(),
).flatmap(
    lambda one: st.one_of(st.none(), st.tuples(*[st.integers(1, 10)] * len(one.relevant))).map(
        lambda grades: one._replace(grades=grades)
    )
)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(records, min_size=1, max_size=5))
def test_what_is_written_is_read_back(rows, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "dump.jsonl"
    write_dump(path, rows)
    assert read_dump(path) == rows
    assert path.read_bytes().isascii()


def test_a_query_with_very_many_right_answers_is_read_back(tmp_path):
    names = tuple(f"{'folder/' * 8}{place}.jpg" for place in range(30_000))
    rows = [asked("names", 7, relevant=names, ranks=tuple(range(7, 30_007)))]
    write_dump(tmp_path / "dump", rows)
    assert (tmp_path / "dump").stat().st_size > 1 << 20
    assert read_dump(tmp_path / "dump") == rows


def test_what_could_not_be_read_back_is_not_written(tmp_path, monkeypatch):
    rows = [asked("few", 1), asked("many", 1, relevant=("a.jpg", "b.jpg"))]
    write_dump(tmp_path / "dump", rows)
    longest = max(map(len, (tmp_path / "dump").read_bytes().splitlines(keepends=True)))
    monkeypatch.setattr(results, "MAX_DUMP_LINE", longest)
    write_dump(tmp_path / "dump", rows)
    assert read_dump(tmp_path / "dump") == rows
    monkeypatch.setattr(results, "MAX_DUMP_LINE", longest - 1)
    with pytest.raises(DatasetError, match=r"query 'many' has 2 right answers, too many for a dump; leave --dump out"):
        write_dump(tmp_path / "other", rows)
    assert not (tmp_path / "other").exists()
    with pytest.raises(DatasetError, match=r"line 2: longer than .* is this a file that --dump wrote\?"):
        read_dump(tmp_path / "dump")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "holds no query"),
        ("{", "line 1: no record of a query"),
        ("[1, 2]", "line 1: no record"),
        ('{"direction": "up"}', "line 1: no record"),
        ('{"direction": "library", "query": 7}', "line 1: no record"),
        ("[" * 100_000, "line 1: no record"),
    ],
)
def test_what_is_no_dump_is_refused_with_its_line(tmp_path, line, said):
    path = tmp_path / "dump.jsonl"
    path.write_text(line)
    with pytest.raises(DatasetError, match=said) as caught:
        read_dump(path)
    assert len(str(caught.value)) < 300


def test_a_dump_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_dump(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"cannot be written .* name another file"):
        write_dump(tmp_path / "no folder" / "x", [])


def test_differences_are_ours_less_theirs(tmp_path):
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(1, 8, 200), rng.integers(1, 40, 200)
    write_dump(tmp_path / "dump", run(theirs))
    compared = compare_with(tmp_path / "dump", run(ours), MEASURES)
    found = compared.differences["text_to_image"]
    assert list(found) == [parse("R@1"), parse("R@5"), parse("RR")]
    at_five = found[parse("R@5")]
    assert at_five.difference == pytest.approx(100 * (np.mean(ours <= 5) - np.mean(theirs <= 5)))
    assert 0 < at_five.interval_95[0] < at_five.difference < at_five.interval_95[1]
    assert at_five.p < 0.001
    assert found[parse("RR")].theirs == pytest.approx(100 * np.mean(1 / theirs))
    said = json.loads(json.dumps(compared.to_json()))["text_to_image"]["R@5"]
    assert list(said) == ["this", "other", "difference", "interval_95", "p"]


def test_a_run_does_not_differ_from_itself_in_another_order(tmp_path):
    """Equal captions of one picture are paired in their order."""
    rows = [*run([1, 2, 3, 4]), asked("caption 0", 9, picture="0.jpg")]
    write_dump(tmp_path / "dump", [*rows[1:4], rows[0], rows[4]])
    found = compare_with(tmp_path / "dump", rows, MEASURES).differences["text_to_image"]
    assert all((one.difference, one.p) == (0, 1) for one in found.values())


def test_runs_of_other_queries_are_refused(tmp_path):
    write_dump(tmp_path / "dump", run([1, 2, 3]))
    for other in (run([1, 2]), run([1, 2, 3, 4]), [*run([1, 2]), asked("caption 2", 3, picture="7.jpg")]):
        with pytest.raises(DatasetError, match=r"is a run of other queries: \d of \d records .* measure both on"):
            compare_with(tmp_path / "dump", other, MEASURES)


def test_more_than_the_best_rank_must_be_known_for_some_measures(tmp_path):
    rows = [asked("x", 2, relevant=("a.jpg", "b.jpg"), ranks=None)]
    write_dump(tmp_path / "dump", rows)
    assert compare_with(tmp_path / "dump", rows, (parse("RR"),)).differences["text_to_image"][parse("RR")].ours == 50
    with pytest.raises(DatasetError, match="too little for AP"):
        compare_with(tmp_path / "dump", rows, (parse("RR"), parse("AP")))


def test_measures_of_records_are_those_of_the_ranking_they_came_from():
    rng = np.random.default_rng(2)
    scores_of = rng.standard_normal((30, 4)).astype(np.float32), rng.standard_normal((25, 4)).astype(np.float32)
    pairs = np.unique(rng.integers(0, 25, (60, 2)), axis=0)
    pairs[::9, 1] = -1
    rankings, _ = rank_all(*scores_of, pairs)
    rows = []
    for query in range(30):
        ranks = rankings.ranks[rankings.starts[query] : rankings.starts[query + 1]]
        kept = tuple(ranks[ranks <= 25].tolist())
        rows.append(asked(str(query), int(rankings.best[query]), relevant=("x",) * len(ranks), ranks=kept))
        if not len(ranks):
            rows[-1] = rows[-1]._replace(relevant=())
    again = rankings_of(rows)
    for name in ("R@1", "R@10", "Recall@5", "P@5", "RR", "AP", "AP@3", "nDCG", "nDCG@5", "Rprec", "mean_rank"):
        assert values(parse(name), again) == pytest.approx(values(parse(name), rankings)), name


@pytest.mark.parametrize("change", [{"rank": float("inf")}, {"rank": 0}, {"rank": 2**70}, {"ranks": [0]}])
def test_ranks_that_cannot_be_are_refused(tmp_path, change):
    write_dump(tmp_path / "dump", run([1]))
    line = {**json.loads((tmp_path / "dump").read_text()), **change}
    (tmp_path / "dump").write_text(json.dumps(line))
    with pytest.raises(DatasetError, match="line 1: no record of a query"):
        read_dump(tmp_path / "dump")


def test_grades_count_in_a_comparison_and_come_back_from_a_dump(tmp_path):
    """The better answer of two stands second: nDCG is (1 + 3 / log2 3) / (3 + 1 / log2 3)."""
    rows = [asked("x", 1, relevant=("a.jpg", "b.jpg"), ranks=(1, 2))._replace(grades=(1, 3))]
    write_dump(tmp_path / "dump", rows)
    assert read_dump(tmp_path / "dump") == rows
    found = compare_with(tmp_path / "dump", rows, (parse("nDCG"),)).differences["text_to_image"][parse("nDCG")]
    discount = 1 / np.log2(3)
    assert found.ours == found.theirs == pytest.approx(100 * (1 + 3 * discount) / (3 + discount))
    for grades in ([1], [0, 1], [11, 1]):
        line = {**json.loads((tmp_path / "dump").read_text()), "grades": grades}
        (tmp_path / "wrong").write_text(json.dumps(line))
        with pytest.raises(DatasetError, match="no record of a query"):
            read_dump(tmp_path / "wrong")
