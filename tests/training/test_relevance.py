"""Fitting the relevance cut: the material, what is looked at, and judges made of queries with known answers."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.config import Cut, ModelSpec, Preprocessing, SearchOptions
from retrieval.query import parse_query
from retrieval.ranking.cut import DEPTH, Look, crowding
from retrieval.reading import read_query
from retrieval.search.ranked import Ranked
from retrieval.search.relevance import Relevance
from retrieval.search.statistics import Statistics, stepped, write_statistics
from retrieval.search.verdicts import Judged
from retrieval.store import Collection
from retrieval.training.relevance.__main__ import main
from retrieval.training.relevance.draws import Asked, unsaid
from retrieval.training.relevance.fitting import QUANTILES, fit_judge, measure, null_of
from retrieval.training.relevance.material import KEPT_AWAY, KINDS, THINGS, names_thing, nonsense
from retrieval.training.relevance.pool import Coverage, Looking
from retrieval.types import Item
from tests.model_makers import write_tiny_model
from tests.store.test_kinds import PICTURE, Entry

DIM = 24
HEAT = 0.1


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


# ------------------------------------------------------------------------------------------------------ the material


def test_the_halves_of_things_share_no_word() -> None:
    first, second = ({word for words in half.values() for word in words.split()} for half in THINGS)
    assert not first & second
    assert abs(len(THINGS[0]) - len(THINGS[1])) <= 1


def test_a_thing_is_found_by_whole_words() -> None:
    finder = names_thing("car cars")
    assert finder.search("Two CARS in a row")
    assert not finder.search("a carton and a scar")


def test_nonsense_is_the_same_each_time_and_the_halves_differ() -> None:
    first, again, other = nonsense(120, 3, 0), nonsense(120, 3, 0), nonsense(120, 3, 1)
    assert first == again
    assert len(set(first)) > 110
    rare = KINDS.index("rare words")
    words = [set(" ".join(some[rare :: len(KINDS)]).split()) for some in (first, other)]
    assert not words[0] & words[1]


def test_names_are_kept_when_no_form_of_any_of_their_words_is_said() -> None:
    told = [["Two dogs run.", "A man on a horse"], ["A fire engine"]]
    assert unsaid(["sea horse", "dog", "panda", "engines", "yin yang"], told) == ["panda", "yin yang"]
    assert unsaid(["grand piano", "leopard", "violin"], [[" ".join(KEPT_AWAY)]]) == ["violin"]


def test_coverage_is_the_share_of_what_is_said_in_any_form() -> None:
    told = [["a dog runs on the beach"], ["two dogs running"], ["a cat"]]
    cover = Coverage(told, ["Dogs run.", "the of"])
    assert cover.of("Dogs run.", np.array([0, 1, 2, -1])).tolist() == [1.0, 1.0, 0.0, 0.0]
    assert cover.of("the of", np.array([0, 1])).tolist() == [0.0, 0.0]


# ------------------------------------------------------------------------------------- looking, offline and in a search


class Given:
    """A model whose texts have vectors that are given."""

    def __init__(self, folder: Path, vectors: dict[str, np.ndarray]) -> None:
        self.spec, self.dim, self.batch_size = ModelSpec("given", DIM, "7" * 64, Preprocessing(8, 8)), DIM, 4
        self.folder = type("Folder", (), {"path": folder})
        self._vectors = vectors

    def embed_texts(self, texts):
        return np.stack([self._vectors[text] for text in texts])

    def text_notes(self, text):
        return []


def asked_at_random(rng: np.random.Generator, count: int = 400, hits: int = 8) -> Asked:
    """Queries whose best score says whether they have an answer, and hits that are right near the best one."""
    true = rng.random(count) < 0.5
    looks = rng.normal(size=(count, len(Look._fields)))
    looks[:, 0] = true + 0.4 * rng.normal(size=count)
    looks[:, 3] = 0.2
    scores = looks[:, :1] - np.sort(rng.exponential(0.3, (count, hits)), axis=1)
    right = (looks[:, :1] - scores < 0.3) & true[:, None]
    sorts = [
        "caption" if one else ("missing caption", "name", "missing word", "nonsense")[i % 4]
        for i, one in enumerate(true)
    ]
    return Asked(looks, true, sorts, scores, right, np.ones(count, bool))


def test_a_search_sees_what_the_fitting_saw(tmp_path) -> None:
    rng = np.random.default_rng(5)
    pictures = unit(rng.normal(size=(300, DIM))).astype(np.float16).astype(np.float32)
    bank = stepped(unit(rng.normal(size=(120, DIM))))
    among = bank @ bank.T
    np.fill_diagonal(among, -np.inf)
    crowd = crowding(-np.sort(-among, axis=1)[:, :DEPTH].astype(np.float64), HEAT)
    judge = fit_judge([asked_at_random(rng) for _ in range(3)])
    queries = dict(zip("abcdefgh", unit(rng.normal(size=(8, DIM))), strict=True))
    model = Given(tmp_path, queries)
    write_statistics(tmp_path, Statistics("given", model.spec.digest, HEAT, bank, crowd, {"text": judge}, {}))
    seen = Looking(pictures, bank, HEAT).look(np.stack(list(queries.values())), np.ones(300, bool))
    with Collection.create(tmp_path / "c", model.spec) as made:
        source = made.add_source(Path("/media"))
        with made.transaction() as writer:
            for number, row in enumerate(pictures):
                entry = Entry(Path(f"/media/{number:06d}"), 1, 1)
                writer.put(source.id, entry, PICTURE, None, [Item()], row[None])
        relevance, options = Relevance(made, model), SearchOptions(cut=Cut("auto", 0.05))
        for name, row in zip(queries, seen.looks, strict=True):
            read = read_query(parse_query(name), model, made)
            ranked = Ranked(made, read.mixed.probes, None, frozenset(), 3)
            verdict = relevance.verdict(options, read, ranked, None)
            assert isinstance(verdict, Judged)
            assert verdict.look == pytest.approx(row, abs=2e-3)
            assert verdict.odds == pytest.approx(float(row @ judge.weights + judge.bias), abs=0.2)


# --------------------------------------------------------------------------------------------------------- the judges


def test_a_judge_answers_what_has_an_answer_and_keeps_the_rate() -> None:
    rng = np.random.default_rng(0)
    judge = fit_judge([asked_at_random(rng) for _ in range(4)])
    found = measure(judge, asked_at_random(rng, 4000))
    assert found.auc > 0.9
    assert found.false_alarms == pytest.approx(0.05, abs=0.025)
    assert found.detected == pytest.approx(found.detected_there, abs=0.1)
    assert found.detected > 0.6
    assert found.ece < 0.05
    assert found.precision > 0.8
    assert len(judge.null) == QUANTILES
    assert (np.diff(judge.null) >= 0).all()


@given(st.integers(0, 1000))
def test_each_sort_of_vain_query_weighs_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sorts = ["missing caption"] * 300 + ["name"] * 30 + ["nonsense"] * 50
    odds = np.concatenate([rng.normal(0, 1, 300), rng.normal(50, 1, 30), np.full(50, 900.0)])
    empty = np.zeros((len(odds), 1))
    asked = Asked(empty, np.zeros(len(odds), bool), sorts, empty, empty.astype(bool), np.ones(len(odds), bool))
    null = null_of(asked, odds)
    assert null[QUANTILES // 4] < 10
    assert 40 < null[3 * QUANTILES // 4] < 60
    assert null.max() < 100


def test_queries_of_one_kind_alone_cannot_be_fitted() -> None:
    asked = asked_at_random(np.random.default_rng(0))
    only = asked._replace(true=np.ones(len(asked.true), bool))
    with pytest.raises(ValueError, match="fitting needs"):
        fit_judge([only, only])


def test_captions_that_tell_of_too_little_are_refused_in_one_line(tmp_path, capsys) -> None:
    assert main(["--data", str(tmp_path), "--model", str(write_tiny_model(tmp_path / "tiny"))]) == 1
    said = capsys.readouterr().err
    assert "captions.tsv" in said
    assert not (tmp_path / "tiny" / "relevance.json").exists()
