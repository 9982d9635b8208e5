"""Chinese characters and pairs of a text, and their places among those that are known."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.embedding.characters import MOST, Characters, pieces

CHINESE = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=40)
MIXED = st.text(st.one_of(st.characters(min_codepoint=0x4E00, max_codepoint=0x4E08), st.sampled_from("ab ,。")))


def test_characters_and_neighbours_come_once_in_order() -> None:
    assert pieces("红狗, 红狗跑") == ["红", "红狗", "狗", "狗跑", "跑"]
    assert pieces("a dog") == []
    assert pieces("") == []


def test_characters_of_other_languages_are_none() -> None:
    assert pieces("赤い車") == []
    assert pieces("빨간 車") == []
    assert pieces("红车") != []


@given(MIXED)
def test_pieces_stand_in_the_text(text: str) -> None:
    found = pieces(text)
    assert len(set(found)) == len(found)
    assert all(piece in text and 1 <= len(piece) <= 2 for piece in found)
    assert {piece for piece in found if len(piece) == 1} == {sign for sign in text if "\u4e00" <= sign <= "\u9fff"}


@given(st.lists(CHINESE, max_size=5), st.sets(CHINESE.map(lambda text: text[:2]).filter(bool), max_size=20))
def test_rows_hold_places_of_what_is_known(texts: list[str], known: set[str]) -> None:
    characters = Characters(sorted(known))
    rows = characters.rows(texts)
    assert rows.shape == (len(texts), MOST)
    assert rows.dtype == np.int64
    for text, row in zip(texts, rows.tolist(), strict=True):
        found = [characters.known[place] for place in row if place < len(known)]
        assert found == [piece for piece in pieces(text) if piece in known][:MOST]
        assert set(row[len(found) :]) <= {len(known)}


def test_a_row_does_not_depend_on_the_others() -> None:
    characters = Characters(["红", "狗", "红狗"])
    together = characters.rows(["红狗", "狗", "红"])
    np.testing.assert_array_equal(together[1:2], characters.rows(["狗"]))
