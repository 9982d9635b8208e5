"""What searches on GPUs do without one: the copy is made on the processor, and asked as a GPU's would be."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.config import ModelSpec, Preprocessing
from retrieval.store import Collection, Entry, building, gpu, live
from retrieval.store.nearest import nearest
from retrieval.types import Item, MediaInfo

DIM = 32
SPEC = ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))


def drawn(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.random.default_rng(0).standard_normal((12, DIM))[rng.integers(0, 12, n)]
    rows = rows + 0.4 * rng.standard_normal((n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def add(collection: Collection, name: str, vectors: np.ndarray) -> np.ndarray:
    """Add a video whose frames are these vectors; returns their keys."""
    source = collection.add_source(Path("/media"))
    frames = [Item(float(second), float(second), second + 1.0) for second in range(len(vectors))]
    info = MediaInfo("video", 4, 3, float(len(vectors)), None, "")
    with collection.transaction() as writer:
        return writer.put(source.id, Entry(Path("/media") / name, 1, 1), info, None, frames, vectors)


@pytest.fixture(scope="module", params=["flat", "ivfpq", "rabitq"])
def filled(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "c"
    with Collection.create(folder, SPEC) as collection:
        add(collection, "first", drawn(1, 900))
        collection.fit_index(request.param)
        collection.refresh()
        yield collection


def test_a_copy_of_a_kind_that_gpus_know_finds_what_the_index_finds(filled):
    index = filled._index._index
    copied = gpu.OnGpu(index, gpu.filled(gpu.empty(index), index))
    queries = drawn(2, 60)
    right = queries @ index.rows(index.keys).T
    right = index.keys[np.argsort(-right, axis=1, kind="stable")[:, :10]]
    found = nearest(copied, queries, 10, None)
    same = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found.keys, right, strict=True)])
    assert same == 1.0 if index.spec.kind == "flat" else same >= 0.95
    held = index.rows(found.keys[0])
    np.testing.assert_allclose(found.scores[0], held @ queries[0], atol=2e-6)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    # More than GPUs give, and what a filter narrows, is asked of the index itself.
    assert len(np.unique(nearest(copied, queries[:1], 900, None).keys)) == 900
    allowed = np.zeros(901, bool)
    allowed[[5, 7]] = True
    assert set(nearest(copied, queries[:1], 10, allowed).keys[0].tolist()) == {5, 7, -1}


def test_what_was_added_and_removed_since_the_copy_counts(filled):
    index = filled._index._index
    copied = gpu.OnGpu(index, gpu.filled(gpu.empty(index), index))
    fresh = drawn(3, 40)
    keys = np.arange(5001, 5041)
    before = nearest(copied, fresh, 1, None).keys[:, 0]
    copied.add(keys, fresh)
    try:
        assert not copied.behind
        np.testing.assert_array_equal(nearest(copied, fresh, 1, None).keys[:, 0], keys)
        copied.remove(np.concatenate([keys[:20], before[:5]]))
        found = nearest(copied, fresh, 10, None).keys
        assert (found >= 0).all()
        assert not np.isin(found, np.concatenate([keys[:20], before[:5]])).any()
    finally:
        copied.remove(keys)


@pytest.mark.skipif(gpu.gpus() > 0, reason="there is a GPU")
def test_without_a_gpu_one_line_is_said_and_the_processor_compares(filled, monkeypatch):
    monkeypatch.setattr(building, "LARGE", 500)
    monkeypatch.setattr(live, "LARGE", 500)
    assert gpu.on_gpu(filled._index._index) is None
    queries = drawn(4, 5)
    expected = filled.search(queries, 10)
    for device, lines in (("cpu", 0), ("auto", 0), ("cuda", 1)):
        with Collection.open(filled.folder) as reader:
            reader.use(device)
            for _again in range(2):
                np.testing.assert_array_equal(reader.search(queries, 10).keys, expected.keys)
            assert len(reader.notes) == lines
            assert all("doctor" in note for note in reader.notes)
