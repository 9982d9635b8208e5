"""Banks of sentences: the built-in one, and what users write."""

from pathlib import Path

import pytest

from retrieval.errors import OptionError
from retrieval.labels.banks import builtin_sentences, read_bank


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "bank.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_built_in_sentences_are_sentences() -> None:
    found = builtin_sentences().sentences
    assert len(found) > 300
    assert len(set(found)) == len(found)
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in found)


def test_sentences_a_line(tmp_path: Path) -> None:
    found = read_bank(written(tmp_path, "# mine\nA dog runs.\n\nA cat sleeps. \nA dog runs.\n"))
    assert found.sentences == ("A dog runs.", "A cat sleeps.")


def test_sentences_of_captions(tmp_path: Path) -> None:
    found = read_bank(written(tmp_path, "a.jpg\ttrain\tA dog runs .\nb.jpg#0\tA cat sleeps .\n"))
    assert found.sentences == ("A dog runs .", "A cat sleeps .")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no sentence"),
        (b"one\ntwo\xff\n", "line 2"),
        (b"a\tb\tc\td\n", "line 1"),
        (b"x" * 2001, "line 1"),
        (b"\x89PNG\r\n\x1a\n\0\0", "line 1"),
    ],
)
def test_files_that_are_no_banks_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(OptionError, match=said) as caught:
        read_bank(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_bank_beyond_the_cap_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: takes no room
    with pytest.raises(OptionError, match="64 MB"):
        read_bank(path)
