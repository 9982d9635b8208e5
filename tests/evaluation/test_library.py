"""Labelled queries of a library made here: drawn pictures, clips whose shots are known, a model that knows colours."""

import hashlib
import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.embedding import open_embedder
from retrieval.errors import DatasetError, ModelMismatch
from retrieval.evaluation.library import evaluate_library, ranks_of, summary_of
from retrieval.evaluation.measures import rank_all
from retrieval.evaluation.moments import Place, Span
from retrieval.evaluation.notation import parse
from retrieval.evaluation.queries import Labelled, Named, read_queries
from retrieval.evaluation.targets import Target
from tests.evaluation.library_makers import make_collection
from tests.media_makers import draw_picture, write_clip, write_picture
from tests.model_makers import COLOURS, plain, write_tiny_model

NAMES = ("red", "green", "blue", "yellow", "white", "black")
ACCENTED = unicodedata.normalize("NFD", "café.png")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")), "cpu", 1)


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    """Pictures of one colour, drawn ones, a copy, a broken one, and clips: red 0-3, blue 3-6, green 6-9 s."""
    folder = tmp_path_factory.mktemp("media")
    for colour in NAMES:
        write_picture(folder / "plain" / f"{colour}.png", Image.fromarray(plain(colour)))
    shutil.copy(folder / "plain" / "yellow.png", folder / "plain" / "yellow again.png")
    write_picture(folder / "drawn" / "1.png", draw_picture(1))
    write_picture(folder / "drawn" / ACCENTED, draw_picture(2))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    shots = [(COLOURS["red"], 3.0), (COLOURS["blue"], 3.0), (COLOURS["green"], 3.0)]
    write_clip(folder / "clips" / "three.mp4", shots, fps=10)
    write_clip(folder / "clips" / "orange.mp4", [(COLOURS["orange"], 2.0)], fps=10)
    return folder


@pytest.fixture(scope="module")
def collection(tmp_path_factory, media, embedder):
    with make_collection(tmp_path_factory.mktemp("collections") / "made", embedder, [media]) as made:
        yield made


@pytest.fixture
def ask(tmp_path, collection, embedder):
    """Return what evaluates lines, objects or texts, written to a file of a folder of its own."""

    def ask(*lines, **options):
        path = tmp_path / "queries"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
        return evaluate_library(path, collection, embedder, **options)

    return ask


# ------------------------------------------------------------------------------------------------ the file's forms


def written(tmp_path, text: str | bytes) -> Path:
    path = tmp_path / "q"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_json_lines_are_read(tmp_path):
    line = {
        "query": 'a dog + "snow"',
        "like": ["pic.jpg"],
        "minus": "people",
        "where": "kind:video",
        "relevant": ["photos/a.jpg", "clips/b.mp4#t=3-7.5", {"path": "c.jpg", "grade": 2}],
    }
    path = written(tmp_path, "\ufeff\n" + json.dumps(line) + "\n\n" + '{"like": ["x"], "relevant": ["y"]}')
    relevant = (Named("photos/a.jpg"), Named("clips/b.mp4#t=3-7.5"), Named("c.jpg", 2))
    path.write_text(path.read_text(encoding="utf-8").replace("\ufeff\n", "\n"), encoding="utf-8")
    assert read_queries(path) == [
        Labelled(2, 'a dog + "snow"', ("pic.jpg",), ("people",), "kind:video", relevant),
        Labelled(4, "", ("x",), (), "", (Named("y"),)),
    ]


def test_tabs_are_read(tmp_path):
    path = written(tmp_path, '\ufeffa dog \ta.jpg\t\t b.mp4#t=3-4 \t\r\n\r\nlike:"x y.jpg" - "snow"\tb.jpg\n')
    assert read_queries(path) == [
        Labelled(1, "a dog", (), (), "", (Named("a.jpg"), Named("b.mp4#t=3-4"))),
        Labelled(3, 'like:"x y.jpg" - "snow"', (), (), "", (Named("b.jpg"),)),
    ]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "not JSON at column 2"),
        ("[" * 50_000, "not JSON"),
        ("a dog\ta.jpg", "not JSON"),
        ("[1]", "expected an object"),
        ('{"query": "a", "relevnt": ["b"]}', "'relevnt' is not known; a query has query, like"),
        ('{"query": 3, "relevant": ["b"]}', "'query' must be text"),
        ('{"query": "a", "where": [], "relevant": ["b"]}', "'where' must be text"),
        ('{"query": "a"}', "'relevant' must be a list of at least one path"),
        ('{"query": "a", "relevant": []}', "'relevant' must be a list of at least one path"),
        ('{"query": "a", "relevant": "b"}', "'relevant' must be a list"),
        ('{"query": "a", "relevant": [3]}', "each of 'relevant' is a path, or an object"),
        ('{"query": "a", "relevant": [{"grade": 3}]}', "each of 'relevant' is a path, or an object"),
        ('{"query": "a", "relevant": [{"path": "b", "at": 1}]}', "each of 'relevant' is a path, or an object"),
        ('{"query": "a", "relevant": [" "]}', "a path in 'relevant' is empty"),
        ('{"query": "a", "relevant": [{"path": "b", "grade": 0}]}', "a grade is a whole number from 1 to 10"),
        ('{"query": "a", "relevant": [{"path": "b", "grade": 1e9}]}', "a grade is a whole number from 1 to 10"),
        ('{"query": "a", "relevant": [{"path": "b", "grade": true}]}', "a grade is a whole number from 1 to 10"),
        ('{"query": "a", "like": [1], "relevant": ["b"]}', "'like' must be a list of texts"),
    ],
)
def test_a_malformed_json_line_is_named(tmp_path, bad, said):
    with pytest.raises(DatasetError) as caught:
        read_queries(written(tmp_path, f'{{"query": "fine", "relevant": ["a"]}}\n\n{bad}\n'))
    assert str(caught.value).startswith(f"{tmp_path / 'q'}, line 3: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"a dog", "nothing is named as right"),
        (b"a dog\t \t", "nothing is named as right"),
        (b"\ta.jpg", "the query is empty"),
        (b"caf\xe9\ta.jpg", "not UTF-8"),
        (b"a" * 200_000, "longer than 100,000 bytes"),
    ],
)
def test_a_malformed_line_of_tabs_is_named(tmp_path, bad, said):
    with pytest.raises(DatasetError, match=f"line 2: {said}"):
        read_queries(written(tmp_path, b"fine\ta.jpg\n" + bad + b"\n"))


def test_what_is_no_file_of_queries(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read \\(No such file or directory\\)"):
        read_queries(tmp_path / "none")
    with pytest.raises(DatasetError, match="cannot be read \\(Is a directory\\)"):
        read_queries(tmp_path)
    with pytest.raises(DatasetError, match="holds no query"):
        read_queries(written(tmp_path, "\n \n"))
    with pytest.raises(DatasetError, match="line 100001: more than 100,000 lines"):
        read_queries(written(tmp_path, "a\tb\n" * 100_001))


# ------------------------------------------------------------------------------------------------ names of files


def test_names_are_below_the_file_or_a_source_or_absolute(ask, media, tmp_path, collection, embedder):
    names = ["plain/red.png", str(media / "plain" / "red.png"), "clips/../plain/red.png"]
    for name in names:
        (asked,) = ask(f"red\t{name}").asked
        assert asked.relevant == (str(media / "plain" / "red.png"),)
    beside = media / "clips" / "queries.tsv"
    try:
        beside.write_text("orange\torange.mp4\n")
        (asked,) = evaluate_library(beside, collection, embedder).asked
    finally:
        beside.unlink()
    assert asked.relevant == (str(media / "clips" / "orange.mp4"),)


def test_a_name_typed_in_another_normal_form_is_the_same_file(ask, media):
    (asked,) = ask(f"red\tdrawn/{unicodedata.normalize('NFC', ACCENTED)}").asked
    assert asked.relevant == (str(media / "drawn" / ACCENTED),)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("red\tplain/violet.png", "'plain/violet.png' is not in the collection; index it"),
        ("red\tplain", "'plain' is not in the collection"),
        ("red\tplain/red\0.png", "is not in the collection"),
        ("red\tclips/none.mp4#t=3-4", "'clips/none.mp4#t=3-4' is not in the collection"),
        ("red\tclips/three.mp4#t=4-3", "a moment ends after it starts"),
        ("red\tclips/three.mp4#t=3-3", "a moment ends after it starts"),
        ("red\tclips/three.mp4#t=3", "write a moment as its start and end"),
        ("red\tclips/three.mp4#t=3-x", "write a moment as its start and end"),
        ("red\tplain/red.png#t=3-4", "a picture has no moments"),
        ("red\tplain/red.png\tplain/red.png", "is named twice"),
        ("red\tclips/three.mp4#t=0-3\tclips/three.mp4#t=00:00-0:03", "is named twice"),
        ('like:"plain/red.png"\tplain/red.png', "is part of the query, so it cannot be a hit"),
        ('like:"plain/violet.png"\tplain/red.png', "there is no file 'plain/violet.png' beside the queries"),
        ('like:"broken.png"\tplain/red.png', "cannot be used to search with: damaged picture"),
        ('"red\tplain/red.png', "a quote is not closed"),
        ("red where:(kind:sound)\tplain/red.png", "expected image or video"),
        ('- "red"\tplain/red.png', "a query needs something to look for"),
        ('"red" - 1:"red"\tplain/red.png', "the parts of the query cancel one another out"),
    ],
)
def test_a_line_that_cannot_be_asked_is_named(ask, bad, said):
    with pytest.raises(DatasetError) as caught:
        ask("red\tplain/red.png", bad)
    assert ", line 2: " in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ what is measured


def test_a_model_that_knows_finds_everything(ask):
    report = ask(*(f"{colour}\tplain/{colour}.png" for colour in ("white", "black")), "orange\tclips/orange.mp4")
    assert report.found.figures == {
        "R@1": 100,
        "R@5": 100,
        "R@10": 100,
        "median_rank": 1,
        "RR@100": 100,
        "AP@100": 100,
        "nDCG@10": 100,
    }
    assert [one.rank for one in report.asked] == [1, 1, 1]
    assert all(one.direction == "library" and not one.is_picture for one in report.asked)
    assert (report.found.queries, report.moments.queries, report.unreadable) == (3, 0, ())


def test_hits_are_those_of_a_search(ask, collection, embedder, media):
    from retrieval.query import parse_query
    from retrieval.search import Searcher

    (asked,) = ask("blue\tplain/red.png").asked
    hits = Searcher(collection, embedder).search(parse_query("blue"), 10).hits
    assert [Path(name.partition("#")[0]) for name, _ in asked.found] == [Path(hit.path) for hit in hits]
    assert [score for _, score in asked.found] == pytest.approx([hit.score for hit in hits])
    assert f"{media}/clips/three.mp4#t=3-6" in [name for name, _ in asked.found]


def test_a_copy_that_scores_as_high_stands_before_the_right_one(ask):
    report = ask("yellow\tplain/yellow.png", "yellow\tplain/yellow again.png")
    assert [one.rank for one in report.asked] == [2, 2]
    assert report.found.figures["R@1"] == 0
    both = ask("yellow\tplain/yellow.png\tplain/yellow again.png")
    assert both.asked[0].ranks == (1, 2)
    assert both.found.figures["AP@100"] == 100


def test_a_moment_is_found_where_it_is_and_not_elsewhere(ask, media):
    where = "where:(kind:video)"
    report = ask(
        f"blue {where}\tclips/three.mp4#t=3-6",
        f"blue {where}\tclips/three.mp4#t=00:00:04-00:00:06",
        f"blue {where}\tclips/three.mp4#t=6-9",
        f"red {where}\tclips/three.mp4",
    )
    first, part, other, whole = report.asked
    assert (first.rank, part.rank, whole.rank) == (1, 1, 1)
    assert other.rank > 1
    assert first.relevant == (f"{media}/clips/three.mp4#t=3-6",)
    assert report.moments.queries == 3  # the whole video has no moment
    assert report.moments.figures["mIoU"] == pytest.approx(100 * (1 + 2 / 3 + 0) / 3, abs=4)
    assert report.moments.figures["R@1,IoU=0.5"] == pytest.approx(200 / 3)
    assert report.moments.figures["R@1,IoU=0.7"] == pytest.approx(100 / 3)
    assert report.moments.interval_95.keys() == report.moments.figures.keys()


def test_queries_whose_right_things_are_no_moments_are_left_out_of_the_moments(ask):
    report = ask("red\tplain/red.png", "red\tclips/three.mp4#t=0-3\tplain/red.png", "red\tclips/three.mp4#t=0-3")
    assert (report.found.queries, report.moments.queries) == (3, 1)
    none = ask("red\tplain/red.png")
    assert (none.moments.figures, none.to_json()["moments"]) == ({}, {"queries": 0, "left_out": 1})


def test_pictures_ask_too(ask, media, tmp_path):
    write_picture(tmp_path / "mine.png", draw_picture(1))
    report = ask(
        {"like": ["mine.png"], "relevant": ["drawn/1.png"]},
        {"query": 'like:"mine.png"', "relevant": ["drawn/1.png"]},
        {"query": "red", "like": ["0.5:mine.png"], "minus": ["blue", "plain/white.png"], "relevant": ["drawn/1.png"]},
        {"like": ["clips/three.mp4#t=4"], "where": "kind:image", "relevant": ["plain/blue.png"]},
        {"like": ["plain/red.png"], "relevant": ["clips/three.mp4#t=0-3"]},
    )
    assert [(one.is_picture, one.query) for one in report.asked] == [
        (True, str(tmp_path / "mine.png")),
        (True, str(tmp_path / "mine.png")),
        (
            False,
            f'"red" + 0.5:like:"{tmp_path}/mine.png" - "blue" - like:"{media}/plain/white.png"',
        ),
        (False, f'item:"{media}/clips/three.mp4#t=4" where:(kind:image)'),
        (True, str(media / "plain" / "red.png")),
    ]
    ranks = [one.rank for one in report.asked]
    assert ranks == [1, 1, ranks[2], 1, 1]


def test_a_filter_that_keeps_the_right_one_out_is_the_query_s_fault(ask):
    report = ask("red where:(kind:video)\tplain/red.png", "red where:(ext:gif)\tplain/red.png")
    assert [one.rank for one in report.asked] == [report.gallery + 1] * 2
    assert report.asked[1].found == ()
    assert report.found.figures["AP@100"] == 0


def test_a_file_that_could_not_be_read_counts_as_never_found(ask, media):
    report = ask("white\tbroken.png", "white\tbroken.png\tplain/white.png")
    assert [one.rank for one in report.asked] == [report.gallery + 1, 1]
    ((path, reason),) = report.unreadable
    assert path == media / "broken.png"
    assert reason.startswith("damaged picture")
    assert report.found.figures["AP@100"] == pytest.approx(25)
    assert report.to_json()["failed"] == [{"path": str(path), "reason": reason}]


def test_grades_weigh_what_is_found(ask):
    right = [{"path": "plain/red.png", "grade": 1}, {"path": "plain/black.png", "grade": 3}]
    low = ask({"query": "red", "relevant": right}).found.figures["nDCG@10"]
    right = [{"path": "plain/red.png", "grade": 3}, {"path": "plain/black.png", "grade": 1}]
    high = ask({"query": "red", "relevant": right}).found.figures["nDCG@10"]
    assert 0 < low < high


def test_other_measures_and_depths(ask):
    report = ask("yellow\tplain/red.png", measures=(parse("R@3"), parse("P@2"), parse("mean_rank")), depth=2)
    assert list(report.found.figures) == ["R@3", "P@2", "mean_rank"]
    assert report.depth == 3
    shallow = ask("yellow\tplain/black.png", depth=1, measures=(parse("R@1"), parse("median_rank")))
    assert shallow.asked[0].rank == shallow.gallery + 1
    assert len(shallow.asked[0].found) == 1
    assert summary_of(shallow, Path("q")).tables[0].rows[1] == ("median rank", "over 1", "[over 1, over 1]")
    assert list(ask("yellow\tplain/black.png", depth=1).found.figures)[-2:] == ["AP@10", "nDCG@10"]  # R@10 needs ten


def test_the_record_is_json_with_the_fingerprints(ask, tmp_path, embedder):
    seen = []
    report = ask(
        "red\tplain/red.png", "blue\tclips/three.mp4#t=3-6", progress=lambda done, total: seen.append((done, total))
    )
    data = report.to_json()
    assert seen == [(1, 2), (2, 2)]
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert list(data)[:4] == ["queries", "items", "library", "moments"]
    assert (data["queries"], data["moments"]["queries"]) == (2, 1)
    assert data["model"]["digest"] == embedder.spec.digest
    assert data["data"] == hashlib.sha256((tmp_path / "queries").read_bytes()).hexdigest()
    for part in ("library", "moments"):
        for name, (low, high) in data["interval_95"][part].items():
            assert low <= data[part][name] <= high
    assert ask("red\tplain/red.png", "blue\tclips/three.mp4#t=3-6") == report  # the same again


def test_what_the_searches_had_to_say_is_kept_once(ask):
    long = " ".join(["red"] * 60)
    report = ask(f"{long}\tplain/red.png", f"{long}\tplain/red.png", "red\tplain/red.png")
    assert len(report.notes) == 1


def test_another_model_is_refused(ask, tmp_path, collection):
    other = open_embedder(str(write_tiny_model(tmp_path / "other", seed=1)), "cpu", 1)
    with pytest.raises(ModelMismatch):
        evaluate_library(written(tmp_path, "red\tplain/red.png\n"), collection, other)


def test_the_built_in_model_finds_a_smaller_copy(tmp_path):
    for seed in range(4):
        write_picture(tmp_path / "media" / f"{seed}.jpg", draw_picture(seed), quality=95)
        write_picture(tmp_path / f"small {seed}.jpg", draw_picture(seed).resize((200, 150)), quality=80)
    lines = [json.dumps({"like": [f"small {seed}.jpg"], "relevant": [f"media/{seed}.jpg"]}) for seed in range(4)]
    starter = open_embedder("starter", "cpu", 1)
    with make_collection(tmp_path / "collection", starter, [tmp_path / "media"]) as made:
        report = evaluate_library(written(tmp_path, "\n".join(lines)), made, starter)
    assert report.found.figures["R@1"] == 100
    assert report.model["name"] == "starter"


# ------------------------------------------------------------------------------------------------ ranks, in general

steps = st.integers(0, 4).map(lambda n: n / 4)  # few different scores, so that many tie


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(steps, st.integers(0, 3)), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_ranks_are_those_of_a_gallery_of_whole_files(rows, random):
    """Rows are scores with grades, 0 for wrong ones; ``rank_all`` ranks the same by vectors."""
    graded = [(place, grade) for place, (_, grade) in enumerate(rows) if grade]
    pairs = np.array([[0, place] for place, _ in graded], dtype=np.int64).reshape(-1, 2)
    gallery = np.array([[score] for score, _ in rows], dtype=np.float32)
    grades = np.array([grade for _, grade in graded], dtype=np.float64)
    expected, _ = rank_all(np.ones((1, 1), np.float32), gallery, pairs, grades)
    hits = [(Place(str(place)), score) for place, (score, _) in enumerate(rows)]
    random.shuffle(hits)
    hits.sort(key=lambda hit: -hit[1])
    targets = [Target(Place(str(place)), grade) for place, grade in graded]
    ranks, found_grades = ranks_of(hits, targets, len(rows) + 1)
    assert list(ranks) == expected.ranks.tolist()
    assert list(found_grades) == expected.grades.tolist()


def test_each_right_thing_is_found_once():
    moment = Target(Place("a", Span(0, 10)), 1)
    hits = [(Place("a", Span(0, 2)), 0.9), (Place("a", Span(8, 9)), 0.8), (Place("b"), 0.7)]
    assert ranks_of(hits, [moment, Target(Place("b"), 1)], 99) == ((1, 3), (1, 1))
    assert ranks_of(hits, [moment, Target(Place("a"), 2)], 99) == ((1, 2), (2, 1))
    assert ranks_of([], [moment], 99) == ((99,), (1,))
