"""Searching an index's lists without FAISS: it finds what FAISS finds or better, and notices what FAISS would."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.config import ModelSpec, Preprocessing
from retrieval.store import Collection, exact, seal
from retrieval.store.exact import Exact
from retrieval.store.listed import SINGLE, Listed, beginning_of, read_lists
from retrieval.store.live import FILE
from retrieval.store.nearest import best_of
from retrieval.types import Matches, Term
from tests.store.conftest import ROOT
from tests.store.test_kinds import DIM, add, clustered

COUNT = 2500
FILMS = Term("kind", "=", "video")


def made(folder: Path, kind: str) -> Path:
    """Make a collection that has lost some files since its index was trained, one of them after it was written."""
    with Collection.create(folder, ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))) as collection:
        add(collection, 0, clustered(np.random.default_rng(1), COUNT))
        assert collection.fit_index(kind, lambda: clustered(np.random.default_rng(2), 100), recall=0.9)
        for number in range(0, 300, 3):
            collection.forget(Path(f"/media/{number:06d}"))
        collection.save_index()
        collection.forget(Path("/media/000001"))
        collection.close()
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("ivfpq") / "collection", "ivfpq")


@pytest.fixture(scope="module")
def both(folder):
    """The collection as one who asks little opens it, which is put back at each test, and as others do."""
    with Collection.open(folder) as brief, Collection.open(folder) as usual:
        brief.use("cpu", briefly=True)
        brief.refresh()
        assert isinstance(brief._index._index, Listed)
        yield brief, usual


def asked(brief: Collection, query: np.ndarray, k: int, where=None) -> Matches:
    """Return what is found without FAISS, whatever was asked before."""
    brief._index._asked = 0
    found = brief.search(query[None], k, where)
    assert isinstance(brief._index._index, Listed)
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    k=st.sampled_from([1, 10, 100, 3000]),
    where=st.sampled_from([None, FILMS]),
    few=st.sampled_from([0, 16_384]),
)
def test_it_finds_what_faiss_finds_or_better(both, seed, k, where, few):
    query = clustered(np.random.default_rng(seed), 1)[0]
    brief, usual = both
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrieval.store.listed.FEW_OF_MANY", few)
        patch.setattr("retrieval.store.approximate.FEW", few)
        ours, theirs = asked(brief, query, k, where), usual.search(query[None], k, where)
    assert (ours.scores >= theirs.scores).all()
    np.testing.assert_array_equal(ours.keys < 0, theirs.keys < 0)
    held = ours.keys[ours.keys >= 0]
    assert len(set(held.tolist())) == len(held)
    np.testing.assert_allclose(ours.scores[0, : len(held)], brief.vectors(held) @ query, atol=2e-6)
    assert {row.path.name for row in brief.items(held)}.isdisjoint({"000000", "000001", "000297"})
    if where is not None:
        assert {row.kind for row in brief.items(held)} == {"video"}


def test_with_all_lists_it_finds_what_exact_search_finds(both):
    brief, usual = both
    index = brief._index._index
    keys = index.keys
    for query in clustered(np.random.default_rng(8), 20):
        found = index.candidates(query[None], len(keys) + 3, None)
        assert (found.keys[0, -3:] == -1).all()
        order = np.argsort(-(usual.vectors(keys) @ query), kind="stable")
        np.testing.assert_array_equal(found.keys[0, :50], keys[order[:50]])


def test_what_is_committed_meanwhile_is_found(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    fresh = clustered(np.random.default_rng(7), 30)
    with Collection.open(copy) as brief, Collection.open(copy, write=True) as writer:
        brief.use("cpu", briefly=True)
        asked(brief, fresh[0], 10)
        add(writer, 50_000, fresh)
        assert [row.path.name for row in brief.items(asked(brief, fresh[0], 1).keys[0])] == ["050000"]
        writer.forget(Path("/media/050000"))
        ours = asked(brief, fresh[0], 10)
        assert "050000" not in {row.path.name for row in brief.items(ours.keys[0])}
        writer.save_index()
    with Collection.open(copy) as other:
        other.use("cpu", briefly=True)
        np.testing.assert_array_equal(asked(other, fresh[0], 10).keys, ours.keys)
        assert other.notes == []


@pytest.mark.parametrize("many", [1, SINGLE, SINGLE + 1])
def test_faiss_is_imported_when_much_is_asked(folder, many):
    program = (
        "import sys; import numpy as np; from pathlib import Path; from retrieval.store import Collection\n"
        f"queries = np.eye({many}, {DIM}, dtype=np.float32)\n"
        "with Collection.open(Path(sys.argv[1])) as collection:\n"
        "    collection.use('auto', briefly=True)\n"
        "    for query in queries: collection.search(query[None], 10)\n"
        "    print('faiss' in sys.modules, *collection.notes)"
    )
    ran = subprocess.run([sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(many > SINGLE)


@pytest.mark.parametrize("kind", ["rabitq", "hnsw"])
def test_another_kind_is_left_to_faiss(tmp_path, kind):
    where = made(tmp_path / "collection", kind)
    query = clustered(np.random.default_rng(4), 1)
    with Collection.open(where) as brief, Collection.open(where) as usual:
        brief.use("cpu", briefly=True)
        np.testing.assert_array_equal(brief.search(query, 10).keys, usual.search(query, 10).keys)
        assert not isinstance(brief._index._index, Listed)
        assert brief.notes == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40_000])


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


def noted(folder: Path) -> list[str]:
    """Return what a search without FAISS notes; what it finds is right all the same."""
    query = clustered(np.random.default_rng(4), 1)
    with Collection.open(folder) as brief:
        brief.use("cpu", briefly=True)
        found = brief.search(query, 10)
        np.testing.assert_allclose(found.scores[0], brief.vectors(found.keys[0]) @ query[0], atol=2e-6)
        return brief.notes


@pytest.mark.parametrize(("name", "harm", "said"), [(FILE, cut, 1), (FILE, Path.unlink, 0), (exact.FILE, cut, 1)])
def test_what_was_cut_short_or_lost_is_noticed(folder, tmp_path, name, harm, said):
    copy = shutil.copytree(folder, tmp_path / "copy")
    harm(copy / name)
    assert len(noted(copy)) == said


def test_a_change_of_what_is_read_is_noticed_and_of_the_rest_by_verify(folder, lists, tmp_path):
    content = (folder / FILE).read_bytes()
    begun = beginning_of(DIM, lists)
    # Where the centres are, at their end, in a key of the last list's, in the record of the beginning and in the seal.
    key = content.rindex((COUNT - 1).to_bytes(8, "little"))
    for number, at in enumerate((10, 1000, begun - 1, key, len(content) - 60, len(content) - 40, len(content) - 20)):
        copy = shutil.copytree(folder, tmp_path / str(number))
        flipped(copy / FILE, at)
        assert len(noted(copy)) == 1, at
        with Collection.open(copy) as collection:
            assert collection.verify()
    code = key - 5000
    copy = shutil.copytree(folder, tmp_path / "code")
    flipped(copy / FILE, code)
    assert noted(copy) == []
    with Collection.open(copy) as collection:
        assert collection.verify()
        collection.search(np.eye(SINGLE + 1, DIM, dtype=np.float32), 10)
        assert len(collection.notes) == 1


def test_a_file_without_a_checksum_of_its_beginning_is_summed_up(folder, lists, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = (copy / FILE).read_bytes()
    sealed = seal.read(copy / FILE)

    def write(beginning: int) -> None:
        with (copy / FILE).open("wb") as file:
            sealing = seal.Sealing(file, beginning)
            sealing.write(content[: -len(sealed.fields) - 4])
            sealing.end(sealed)

    for beginning in (0, 5, beginning_of(DIM, lists)):
        write(beginning)
        assert noted(copy) == []
        flipped(copy / FILE, 1000)
        assert len(noted(copy)) == 1


def test_other_vectors_beside_it_are_noticed(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    with (copy / exact.FILE).open("r+b") as file:
        file.seek(4096)
        file.write(np.arange(2, COUNT + 2, dtype="<i8").tobytes())
    with Collection.open(copy) as brief:
        brief.use("cpu", briefly=True)
        brief.search(clustered(np.random.default_rng(4), 1), 10)
        assert len(brief.notes) == 1


@pytest.fixture(scope="module")
def lists(folder):
    """How many lists the index has."""
    with Collection.open(folder) as collection:
        return collection.manifest.index.lists


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "file"


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_what_is_no_such_file_is_not_read(folder, lists, scratch, data):
    content = bytearray((folder / FILE).read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 100)) :]
    else:
        at = data.draw(st.integers(0, 80))
        content[at] ^= data.draw(st.integers(1, 255))
    scratch.write_bytes(content)
    with scratch.open("rb") as file:
        found = read_lists(file, DIM, lists)
    assert found is None or len(found.keys) == COUNT  # a byte that says nothing


def test_all_of_the_lists_are_read(folder, lists):
    with (folder / FILE).open("rb") as file:
        found = read_lists(file, DIM, lists)
        assert found is not None
        assert read_lists(file, DIM, lists + 1) is None
        assert read_lists(file, DIM + 1, lists) is None
    assert sorted(found.keys.tolist()) == list(range(1, COUNT + 1))
    assert len(found.starts) == len(found.centres) + 1 == lists + 1
    vectors = Exact(DIM)
    vectors.append(np.arange(1, COUNT + 1), clustered(np.random.default_rng(1), COUNT))
    for number in range(lists):  # a vector lies in the list whose centre is nearest
        keys = found.keys[found.starts[number] : found.starts[number + 1]]
        assert ((vectors.rows(keys) @ found.centres.T).argmax(axis=1) == number).all()


@given(
    st.lists(st.floats(-1, 1, width=16), min_size=8, max_size=8),
    st.lists(st.floats(-1, 1, width=32), min_size=8, max_size=8),
)
def test_half_precision_is_compared_as_it_is(numbers, query):
    vectors = Exact(8)
    vectors.append(np.array([5]), np.array([numbers], np.float32))
    asked = np.array(query, np.float32)
    (product,) = vectors.products(np.array([0]), asked)
    assert product == pytest.approx(float(np.dot(np.array(numbers, np.float64), asked)), rel=1e-5, abs=1e-6)


@given(st.lists(st.integers(-5, 5), max_size=30), st.integers(1, 40))
def test_the_best_are_told_in_order(numbers, k):
    scores = np.array(numbers, np.float32)
    best = best_of(scores, k)
    assert sorted(numbers, reverse=True)[:k] == scores[best].tolist()
    assert len(set(best.tolist())) == len(best)
