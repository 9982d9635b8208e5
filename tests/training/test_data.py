"""Reading captions, views of pictures, variations of captions."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import DatasetError
from retrieval.training.data import random_box, read_captions, read_view


def test_captions_keep_file_order_and_their_pictures(drawn) -> None:
    found = read_captions(drawn.folder, ["train"])
    assert found.names == drawn.names
    assert len(found.captions) == 24
    assert found.owner.tolist() == [i // 2 for i in range(24)]
    assert found.captions[0] == "A red disc ."


@pytest.mark.parametrize(
    ("content", "message"),
    [("a.jpg\ttrain\n", "line 1"), ("a.jpg\ttest\twords\n", "no row of split train or extra")],
)
def test_a_bad_table_is_named_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "captions.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        read_captions(tmp_path, ["train", "extra"])


def test_a_missing_table_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="give a folder with images/"):
        read_captions(tmp_path, ["train"])


def test_the_whole_view_is_the_picture_and_other_views_are_parts_of_it(drawn) -> None:
    path = drawn.folder / "images" / drawn.names[0]
    whole = read_view(path, 64)
    assert whole.shape == (64, 64, 3)
    assert whole[32, 32].tolist() == [200, 30, 30]
    parts = [read_view(path, 64, np.random.default_rng(seed)) for seed in range(4)]
    assert all(part.shape == whole.shape for part in parts)
    assert not any(np.array_equal(part, whole) for part in parts)
    again = read_view(path, 64, np.random.default_rng(0))
    assert np.array_equal(parts[0], again)


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 2**32 - 1))
def test_a_random_part_lies_inside_and_is_at_least_a_third(width: int, height: int, seed: int) -> None:
    left, top, right, bottom = random_box(width, height, np.random.default_rng(seed))
    assert 0 <= left < right <= width * (1 + 1e-9)
    assert 0 <= top < bottom <= height * (1 + 1e-9)
    assert (right - left) * (bottom - top) >= width * height / 3
