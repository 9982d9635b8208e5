"""From vectors to words, sentences and moments."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.labels.calibration import Calibration, Quality
from retrieval.labels.labelling import Words, best_of, describe_file, tag_file
from retrieval.labels.looking import FileVectors
from retrieval.labels.showing import sentences_json, sentences_rows, tags_json, tags_row
from retrieval.types import Item

AXES = np.eye(4, dtype=np.float32)
WORDS = Words(("north", "east", "south", "west"), AXES)


def picture(*values: float, path: str = "/p.jpg") -> FileVectors:
    row = np.array([values], dtype=np.float32)
    return FileVectors(path, "image", (Item(),), row / np.linalg.norm(row))


def film(*rows: tuple[float, ...]) -> FileVectors:
    vectors = np.array(rows, dtype=np.float32)
    items = tuple(Item(2.0 * at + 0.5, 2.0 * at, 2.0 * at + 2) for at in range(len(rows)))
    return FileVectors("/f.mp4", "video", items, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_the_best_words_come_first() -> None:
    (found,) = tag_file(picture(0.1, 3, 2, 1), WORDS, k=3)
    assert [tag.word for tag in found.labels] == ["east", "south", "west"]
    assert found.labels[0].cosine == pytest.approx(3 / np.sqrt(14.01))
    assert found.labels[0].probability is None
    assert found.labels[0].score == found.labels[0].cosine
    assert (found.start_s, found.at_s, found.item) == (None, None, "/p.jpg")


def test_equal_scores_are_in_the_order_of_the_words() -> None:
    (found,) = tag_file(picture(1, 1, 1, 1), WORDS, k=4)
    assert [tag.word for tag in found.labels] == list(WORDS.words)


def test_what_is_below_the_least_score_is_left_out() -> None:
    (found,) = tag_file(picture(0.1, 3, 2, 1), WORDS, k=4, least=0.5)
    assert [tag.word for tag in found.labels] == ["east", "south"]
    (none,) = tag_file(picture(1, 1, 1, 1), WORDS, least=0.9)
    assert none.labels == ()


def test_with_a_calibration_scores_are_probabilities_and_the_order_stays() -> None:
    how = Calibration("m", "", "", 8.0, -2.0, np.zeros(4, np.float32), 1, Quality(1, 1, 0, 0, 0, 0, 0))
    (plain,) = tag_file(picture(0.1, 3, 2, 1), WORDS, k=4)
    (found,) = tag_file(picture(0.1, 3, 2, 1), WORDS._replace(calibration=how), k=4)
    assert [tag.word for tag in found.labels] == [tag.word for tag in plain.labels]
    for tag in found.labels:
        assert tag.score == tag.probability == pytest.approx(1 / (1 + np.exp(-(8 * tag.cosine - 2))), rel=1e-5)
    assert [t.word for t in tag_file(picture(0.1, 3, 2, 1), WORDS._replace(calibration=how), 4, 0.9)[0].labels] == [
        "east",
        "south",
    ]


def test_frames_of_one_best_word_are_one_moment() -> None:
    found = tag_file(film((1, 0.1, 0, 0), (3, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0.5)), WORDS, k=1)
    assert [(one.start_s, one.end_s, one.labels[0].word) for one in found] == [
        (0.0, 4.0, "north"),
        (4.0, 6.0, "east"),
        (6.0, 8.0, "north"),
    ]
    assert found[0].at_s == 2.5  # the frame that is north throughout
    assert found[0].item == "/f.mp4#t=2.5"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_moments_follow_one_another_and_cover_the_film(directions: list[int]) -> None:
    rows = AXES[directions] + 0.01
    found = tag_file(film(*map(tuple, rows.tolist())), WORDS, k=1)
    assert found[0].start_s == 0
    assert found[-1].end_s == 2 * len(directions)
    for before, after in itertools.pairwise(found):
        assert before.end_s == after.start_s
        assert before.labels[0].word != after.labels[0].word
    assert sum(round((one.end_s - one.start_s) / 2) for one in found) == len(directions)


def test_nearest_texts_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    from retrieval.labels import labelling

    rng = np.random.default_rng(2)
    pictures, texts = rng.normal(size=(50, 8)).astype(np.float32), rng.normal(size=(9, 8)).astype(np.float32)
    whole = best_of(pictures, texts)
    monkeypatch.setattr(labelling, "_BLOCK_BYTES", 4 * 9 * 7)
    np.testing.assert_array_equal(best_of(pictures, texts), whole)
    assert len(best_of(pictures[:0], texts)) == 0


def test_descriptions_are_the_nearest_sentences() -> None:
    sentences = ("It is north.", "It is east.", "It is south.", "It is west.")
    (found,) = describe_file(picture(0.1, 3, 2, 1), sentences, AXES, k=2)
    assert [one.text for one in found.labels] == ["It is east.", "It is south."]
    assert len(describe_file(film((1, 0, 0, 0), (0, 1, 0, 0)), sentences, AXES)) == 2
    assert len(describe_file(picture(1, 0, 0, 0), sentences, AXES, k=99)[0].labels) == 4


def test_json_lines_hold_place_and_labels() -> None:
    (found,) = tag_file(picture(0, 1, 0, 0, path="/p\udcff\n.jpg"), WORDS, k=1)
    line = tags_json(found)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {
        "path": "/p\udcff\n.jpg",
        "kind": "image",
        "start_s": None,
        "end_s": None,
        "at_s": None,
        "item": "/p\udcff\n.jpg",
        "tags": [{"word": "east", "score": 1.0, "probability": None, "cosine": 1.0}],
    }
    (described,) = describe_file(film((1, 0, 0, 0)), ("It is north.",), AXES[:1])
    data = json.loads(sentences_json(described))
    assert data["sentences"] == [{"text": "It is north.", "score": 1.0}]
    assert (data["start_s"], data["end_s"], data["at_s"], data["item"]) == (0.0, 2.0, 0.5, "/f.mp4#t=0.5")


def test_table_cells_show_what_cannot_be_printed() -> None:
    (found,) = tag_file(picture(0, 2, 1, 0, path="/a\x1b[31m.jpg"), Words(("a", "b\u202e", "c", "d"), AXES), k=2)
    assert tags_row(found) == ("/a\\x1b[31m.jpg", "", "b\\u202e 0.89, c 0.45")
    (described,) = describe_file(film((1, 0, 0, 0)), ("It is north.",), AXES[:1])
    assert sentences_rows(described) == [("/f.mp4", "00:00:00.000-00:00:02.000", "1.000", "It is north.")]
