"""Heat by cells and by masks: both find what is drawn, the same each time."""

import numpy as np
import pytest

from retrieval.embedding import open_embedder
from retrieval.errors import MediaError, OptionError
from retrieval.explain.heat import cell_heat, find_heat, look_masked, mask_heat
from tests.model_makers import COLOURS, POISON, SIZE, write_tiny_model


def drawn(row: int, column: int) -> np.ndarray:
    """A grey square picture of the tower's size with a red quarter."""
    pixels = np.full((SIZE, SIZE, 3), COLOURS["grey"], dtype=np.uint8)
    half = SIZE // 2
    pixels[row * half : (row + 1) * half, column * half : (column + 1) * half] = COLOURS["red"]
    return pixels


def hottest(heat: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return int(row >= heat.shape[0] / 2), int(column >= heat.shape[1] / 2)


@pytest.mark.parametrize("method", ["cells", "masks"])
@pytest.mark.parametrize("quarter", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_quarter_of_the_colour_is_the_hottest(tiny, method, quarter):
    embedder = tiny("squash")
    (probe,) = embedder.embed_texts(["red"])
    found = find_heat(embedder, drawn(*quarter), probe, method)
    assert found.method == method
    assert hottest(found.heat) == quarter


def test_auto_takes_cells_where_there_are_some(tiny, tmp_path):
    plain = open_embedder(str(write_tiny_model(tmp_path / "plain")), "cpu", 1)
    for embedder, method in ((tiny("squash"), "cells"), (plain, "masks")):
        (probe,) = embedder.embed_texts(["red"])
        assert find_heat(embedder, drawn(0, 0), probe).method == method
    with pytest.raises(OptionError, match="no cells"):
        find_heat(plain, drawn(0, 0), plain.embed_texts(["red"])[0], "cells")


def test_masks_are_the_same_each_time_and_are_counted(tiny):
    embedder = tiny("squash")
    (probe,) = embedder.embed_texts(["red"])
    told = []
    first = look_masked(embedder, drawn(1, 0), 40, lambda done, total: told.append((done, total)))
    again = look_masked(embedder, drawn(1, 0), 40)
    assert np.array_equal(mask_heat(first, probe), mask_heat(again, probe))
    assert first.masks.shape == (40, 28, 28)
    assert first.masks.mean() == pytest.approx(0.5)  # each mask comes with its opposite
    assert told[-1] == (40, 40)
    assert told == sorted(told)


def test_cells_of_one_colour_score_alike(tiny):
    embedder = tiny("squash")
    (probe,) = embedder.embed_texts(["red"])
    heat = cell_heat(embedder, np.full((SIZE, SIZE, 3), COLOURS["red"], dtype=np.uint8), probe)
    assert heat.shape == (8, 8)
    assert np.ptp(heat) < 1e-5


def test_a_picture_without_a_vector_is_refused(tmp_path):
    embedder = open_embedder(str(write_tiny_model(tmp_path / "model", poison=True)), "cpu", 1)
    poisoned = np.full((SIZE, SIZE, 3), POISON, dtype=np.uint8)
    with pytest.raises(MediaError, match="no vector"):
        look_masked(embedder, poisoned, 8)
