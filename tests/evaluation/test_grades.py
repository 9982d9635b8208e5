"""Judgements of people: how they are read, and how a model's order agrees with them."""

import hashlib

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from retrieval.errors import DatasetError
from retrieval.evaluation import grades
from retrieval.evaluation.datasets import Captions
from retrieval.evaluation.grades import Judgement, grade, kendall, read_grades, spearman
from retrieval.evaluation.sides import Vectors


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made(pictures: int = 12, seed: int = 0, failed: tuple[int, ...] = ()) -> tuple[Captions, Vectors]:
    """Two captions of each picture, all as random vectors."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(pictures), 2)
    texts = tuple(f"caption {at}" for at in range(len(owner)))
    images = unit(rng.standard_normal((pictures, 6)))
    images[list(failed)] = np.nan
    vectors = Vectors(
        images,
        texts,
        unit(rng.standard_normal((len(owner), 6))),
        np.stack([np.arange(len(owner)), owner], axis=1),
        np.zeros(pictures, np.int64),
        dict.fromkeys(failed, "broken"),
    )
    return Captions("dev", tuple(f"{at}.jpg" for at in range(pictures)), texts, owner, 0, 0), vectors


def judged(folder, rows):
    path = folder / "judgements.txt"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def random_rows(seed: int = 0, pictures: int = 12):
    rng = np.random.default_rng(seed)
    for picture in range(pictures):
        for other in rng.choice(pictures, 5, replace=False):
            yield f"{other}.jpg", f"{picture}.jpg#{rng.integers(2)}", *rng.integers(1, 5, 3).tolist()


def test_a_line_is_a_pair_with_the_mean_of_its_scores(tmp_path):
    path = judged(tmp_path, [("a.jpg", "b#1.jpg#2", 1, 2, 4), ("a.jpg", "a.jpg#0", 4, 4, 4)])
    assert read_grades(path) == [
        Judgement("a.jpg", "b#1.jpg", 2, pytest.approx(7 / 3)),
        Judgement("a.jpg", "a.jpg", 0, 4.0),
    ]


def test_gains_of_judged_pictures_alone_are_compared_and_agree_with_ir_measures(tmp_path):
    """Gains are whole numbers here, since trec_eval knows no others."""
    captions, vectors = made()
    rows = [(image, caption, score, score, score) for image, caption, score, *_ in random_rows()]
    report = grade(judged(tmp_path, rows), captions, vectors)
    qrels, run = [], []
    for image, caption, score, *_ in rows:
        owner, nth = caption.split("#")
        text = 2 * int(owner.removesuffix(".jpg")) + int(nth)
        similar = float(vectors.words[text] @ vectors.pictures[int(image.removesuffix(".jpg"))])
        qrels.append(ir_measures.Qrel(caption, image, score - 1))
        run.append(ir_measures.ScoredDoc(caption, image, similar))
    names = {"nDCG@5": ir_measures.nDCG @ 5, "nDCG@10": ir_measures.nDCG @ 10, "nDCG": ir_measures.nDCG}
    some_gain = {one.query_id for one in qrels if one.relevance > 0}
    for name, theirs in names.items():
        found = [one.value for one in ir_measures.iter_calc([theirs], qrels, run) if one.query_id in some_gain]
        assert report.figures[name] == pytest.approx(100 * np.mean(found), abs=1e-4)
        assert report.interval_95[name][0] <= report.figures[name] <= report.interval_95[name][1]
    assert (report.pairs, report.skipped, report.queries) == (60, 0, len(some_gain))
    assert report.data == hashlib.sha256((tmp_path / "judgements.txt").read_bytes()).hexdigest()
    assert list(report.to_json())[:4] == ["pairs", "skipped", "queries", "nDCG@5"]


def test_a_model_that_orders_as_people_do_agrees_wholly(tmp_path):
    captions, vectors = made(4)
    vectors = vectors._replace(
        words=np.repeat(np.eye(2, dtype=np.float32)[:1], 8, axis=0),
        pictures=unit(np.array([[3.0, 1], [1, 1], [1, 3], [0, 1]])),
    )
    rows = [(f"{at}.jpg", "0.jpg#0", 4 - at, 4 - at, 4 - at) for at in range(4)]
    report = grade(judged(tmp_path, rows), captions, vectors)
    assert set(report.figures.values()) == {100.0}
    assert (report.spearman, report.kendall) == (pytest.approx(1), pytest.approx(1))
    turned = grade(judged(tmp_path, [(*row[:2], 5 - row[2]) for row in rows]), captions, vectors)
    assert (turned.spearman, turned.kendall) == (pytest.approx(-1), pytest.approx(-1))
    assert turned.figures["nDCG"] < 80


def test_a_model_that_cannot_tell_pictures_apart_has_the_worst_order(tmp_path):
    captions, vectors = made(3)
    vectors = vectors._replace(pictures=np.repeat(vectors.pictures[:1], 3, axis=0))
    rows = [(f"{at}.jpg", "0.jpg#0", score) for at, score in enumerate((4, 1, 2))]
    report = grade(judged(tmp_path, rows), captions, vectors)
    worst = (1 / np.log2(3) + 3 / np.log2(4)) / (3 + 1 / np.log2(3))
    assert report.figures["nDCG"] == pytest.approx(100 * worst)
    assert report.kendall == 0


def test_what_the_split_lacks_is_left_out_and_counted(tmp_path):
    captions, vectors = made(failed=(5,))
    rows = [
        ("0.jpg", "1.jpg#0", 4),
        ("1.jpg", "1.jpg#0", 1),
        ("2.jpg", "1.jpg#1", 1),  # nothing to gain: no query of nDCG
        ("0.jpg", "1.jpg#2", 4),
        ("5.jpg", "1.jpg#0", 4),
        ("0.jpg", "x.jpg#0", 4),
        ("x.jpg", "1.jpg#0", 4),
    ]
    report = grade(judged(tmp_path, rows), captions, vectors)
    assert (report.pairs, report.skipped, report.queries) == (3, 4, 1)
    with pytest.raises(DatasetError, match="0 of 1 judgements are of captions and pictures of split 'dev'"):
        grade(judged(tmp_path, rows[-1:]), captions, vectors)


def test_captions_of_equal_text_are_found_where_they_are_one_query(tmp_path):
    captions, vectors = made(3)
    captions = captions._replace(captions=("x", "y", "y", "x", "z", "x"))
    vectors = vectors._replace(texts=("x", "y", "z"), words=vectors.words[:3])
    rows = [("0.jpg", "1.jpg#0", 4), ("1.jpg", "0.jpg#1", 2)]
    report = grade(judged(tmp_path, rows), captions, vectors)
    assert report.queries == 1  # both are "y"


@pytest.mark.parametrize(
    "line", ["a.jpg\tb.jpg#0", "a.jpg\tb.jpg\t1\t2", "a.jpg\tb.jpg#x\t1", "a.jpg\tb.jpg#0\t0", "\tb.jpg#0\t1", "x"]
)
def test_a_line_that_is_no_judgement_is_named(tmp_path, line):
    path = tmp_path / "judgements.txt"
    path.write_text(f"a.jpg\tb.jpg#0\t1\n{line}\n")
    with pytest.raises(DatasetError, match="line 2: expected image, image#number and scores from 1 to 4"):
        read_grades(path)


def test_files_without_judgements_or_with_too_many(tmp_path, monkeypatch):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_grades(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="holds no judgement"):
        read_grades(judged(tmp_path, []))
    monkeypatch.setattr(grades, "MAX_JUDGEMENTS", 1)
    with pytest.raises(DatasetError, match="more than 1 judgements"):
        read_grades(judged(tmp_path, [("a", "b#0", 1)] * 2))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), size=st.integers(2, 60), levels=st.integers(2, 30), block=st.integers(1, 4000))
def test_correlations_are_those_of_scipy(seed, size, levels, block):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, levels, size), rng.integers(0, levels, size)
    if len(set(one.tolist())) == 1 or len(set(other.tolist())) == 1:
        assert (spearman(one, other), kendall(one, other)) == (0, 0)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grades, "_BLOCK_CELLS", block)
        assert kendall(one, other) == pytest.approx(stats.kendalltau(one, other).statistic)
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
