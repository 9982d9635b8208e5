"""Word lists: the built-in one, and what users write."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import OptionError
from retrieval.labels.words import builtin_words, read_words


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "words.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_built_in_list_is_long_lower_case_and_without_repetition() -> None:
    found = builtin_words()
    assert 400 <= len(found.words) <= 700
    assert found.notes == ()
    assert all(word == word.lower().strip() for word in found.words)
    assert {"dog", "beach", "running", "pizza", "bus", "tennis", "snow", "wedding"} <= set(found.words)


def test_comments_and_blank_lines_are_no_words(tmp_path: Path) -> None:
    text = "# colours\nred\n\n  dark   blue  # of the sea\nc#\r\n#none\n"
    assert read_words(written(tmp_path, text)).words == ("red", "dark blue", "c#")


def test_a_mark_at_the_start_and_other_scripts_are_read(tmp_path: Path) -> None:
    assert read_words(written(tmp_path, b"\xef\xbb\xbf" + "狗\nécole\n".encode())).words == ("狗", "école")


def test_repeated_words_count_once_and_are_said(tmp_path: Path) -> None:
    found = read_words(written(tmp_path, "Dog\ncat\ndog\nDOG\ncat\n"))
    assert found.words == ("Dog", "cat")
    assert len(found.notes) == 1
    assert "Dog, cat" in found.notes[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no word"),
        (b"# only a comment\n", "no word"),
        (b"red\ncaf\xe9\n", "line 2"),
        (b"red\nbl\0ue\n", "line 2"),
        (b"a" * 201, "line 1"),
        (b"\n".join(b"w%d" % n for n in range(10_001)), "10,000"),
        (b"red\n" * 400_000, "larger than 1 MB"),
    ],
)
def test_files_that_are_no_word_lists_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(OptionError, match=said) as caught:
        read_words(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(OptionError, match="cannot be read"):
            read_words(path)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12), min_size=1, max_size=20))
def test_every_different_word_comes_back_in_order(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    path = written(tmp_path_factory.mktemp("words"), "\n".join(words))
    wanted: dict[str, str] = {}
    for word in words:
        wanted.setdefault(word.casefold(), word)
    assert read_words(path).words == tuple(wanted.values())
