"""Text on a terminal's grid: widths, line breaks, columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.columns import cells, padded, paragraphs, wrapped

_TEXT = st.text("ab  片段，。（）“”、`-", max_size=60)


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("片段", 4), ("a片", 3), ("e\u0301", 1), ("ｱＡ", 3)])
def test_wide_characters_take_two_cells(text: str, width: int) -> None:
    assert cells(text) == width
    assert cells(padded(text, 9)) == 9
    assert padded(text, 0) == padded(text, 0, right=True) == text
    assert padded(text, 9, right=True).endswith(text)
    assert cells(padded(text, 9, right=True)) == 9


@given(_TEXT, st.integers(8, 40))
def test_lines_are_short_enough_and_hold_the_text(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:
        assert line == line.strip()
        assert line
        # Only what may not be broken is longer: a word, or a character with its marks.
        assert cells(line) <= width or len(wrapped(line, 1)) == 1


@given(_TEXT, st.integers(8, 40))
def test_no_line_begins_with_a_mark_that_closes(text: str, width: int) -> None:
    for line in wrapped(text, width)[1:]:
        if text.replace(" ", "")[:1] not in "，。）”、":
            assert line[0] not in "，。、）”" or f" {line[0]}" in text


def test_lines_are_filled() -> None:
    assert wrapped("one two three", 8) == ["one two", "three"]
    assert wrapped("查找图片和视频片段。", 8) == ["查找图片", "和视频片", "段。"]
    assert wrapped("用 --model 指定", 11) == ["用 --model", "指定"]
    assert wrapped("", 8) == []


def test_paragraphs_are_joined_to_lines() -> None:
    assert list(paragraphs("one\ntwo\n\n  three\n")) == ["one two", "three"]
    assert list(paragraphs("查找\n图片\n\nand\n图片")) == ["查找图片", "and 图片"]
