"""What an index learns from vectors, beside the plain formulas, and the memory that a training takes."""

import sys

import numpy as np
import pytest

from retrieval.store import learned
from retrieval.store.exact import Exact

_TRAINING = """
import sys, threading, time
from pathlib import Path
import numpy as np
from retrieval.config import IndexSpec
from retrieval.store import building, exact, freed
from retrieval.store.records import Mark

def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) * 1024

def follow():
    while not done.wait(0.001):
        seen.append(anonymous())

count, rng = int(sys.argv[2]), np.random.default_rng(0)
vectors = exact.create(Path(sys.argv[1]) / exact.FILE, Mark(1, 1, 128, 1, 0))
for first in range(0, count, 2000):
    rows = rng.standard_normal((2000, 128)).astype(np.float32)
    vectors.append(np.arange(first + 1, first + 2001), rows / np.linalg.norm(rows, axis=1, keepdims=True))
    vectors.flush()
asked = vectors.at(np.arange(300))
freed.keep_large_apart()
seen, done = [before := anonymous()], threading.Event()
follower = threading.Thread(target=follow)
follower.start()
index = building.encoded(IndexSpec("ivfpq"), vectors)
building.tune(index, asked)
done.set()
follower.join()
print(max(seen) - before)
"""


def held(rows: np.ndarray) -> Exact:
    vectors = Exact(rows.shape[1])
    vectors.append(np.arange(1, len(rows) + 1), rows)
    return vectors


def unit(seed: int, n: int, dim: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def test_centres_are_those_of_the_clusters() -> None:
    means = unit(0, 12, 24)
    rows = np.repeat(means, 100, axis=0) + 0.02 * unit(1, 1200, 24)
    found = learned.centres(held(rows), np.random.default_rng(2).permutation(1200), 40)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found @ means.T).max(axis=0).min() > 0.999  # each cluster has one


def test_centres_lie_nearer_than_vectors_drawn_at_random() -> None:
    rows, places = unit(3, 3000, 16), np.arange(3000)
    found = learned.centres(held(rows), places, 32)
    drawn = rows[np.random.default_rng(4).choice(3000, 32, replace=False)]
    assert (rows @ found.T).max(axis=1).mean() > 1.1 * (rows @ drawn.T).max(axis=1).mean()


def test_of_equal_vectors_there_are_centres_all_the_same() -> None:
    found = learned.centres(held(np.repeat(unit(5, 1, 8), 100, axis=0)), np.arange(100), 7)
    np.testing.assert_allclose(found, np.repeat(found[:1], 7, axis=0), atol=1e-6)


def test_lists_come_whole_and_every_place_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "BLOCK", 50)
    rows, centres = unit(6, 900, 8), unit(7, 30, 8)
    nearest = (rows @ centres.T).argmax(axis=1)
    found = list(learned.list_by_list(held(rows), centres))
    assert sorted(np.concatenate(found).tolist()) == list(range(900))
    assert (np.diff(nearest[np.concatenate(found)]) >= 0).all()
    for block in found:
        lists = np.unique(nearest[block])
        assert len(lists) == 1 or len(block) == np.isin(nearest, lists).sum()


def test_levels_are_the_best_there_are() -> None:
    rng = np.random.default_rng(8)
    rows = np.stack([rng.standard_normal(4000), rng.uniform(-1, 1, 4000), rng.integers(0, 3, 4000)], 1).astype("f4")
    found = learned.levels(rows, 16)
    assert found.shape == (3, 16)
    errors = (np.abs(rows[:, :, None] - found[None]).min(axis=2) ** 2).mean(axis=0)
    assert errors[0] < 0.0108  # the least for a normal distribution is 0.01154 (Max, 1960), for a sample a little less
    assert errors[1] < 1.02 * (2 / 16) ** 2 / 12  # equal steps
    assert errors[2] == 0


def test_extremes_are_those_of_the_places() -> None:
    rows = unit(9, 1000, 6)
    places = np.arange(100, 900)
    np.testing.assert_array_equal(
        learned.extremes(held(rows), places), [rows[places].min(axis=0), rows[places].max(axis=0)]
    )


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_training_takes_the_codes_and_little_more(tmp_path, child) -> None:
    taken = {}
    for count in (20_000, 60_000):
        (tmp_path / str(count)).mkdir()
        ran = child(_TRAINING, tmp_path / str(count), count)
        out, errors = ran.communicate(timeout=600)
        assert ran.returncode == 0, errors
        taken[count] = (int(out) - count * (128 // 2 + 8)) / 1e6
    assert max(taken.values()) < 40  # all vectors of the larger as FAISS takes them are 31 MB, and were copied
    assert taken[60_000] - taken[20_000] < 12
