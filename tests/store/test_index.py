"""The vector index: right answers, and a file that may lag, break or vanish without harm."""

import random
from pathlib import Path

import faiss
import numpy as np
import pytest

from retrieval.errors import CollectionError, ModelMismatch
from retrieval.store import Collection, committed, live
from retrieval.store.flat import Flat
from retrieval.store.nearest import nearest
from retrieval.types import Item, Term


def brute_force(collection: Collection, queries: np.ndarray, k: int) -> np.ndarray:
    keys = np.array([int(key) for record in collection.records() for key in collection.frames(record.id).keys])
    scores = queries @ collection.vectors(keys).T
    order = np.lexsort((np.broadcast_to(keys, scores.shape), -scores), axis=1)[:, :k]
    return keys[order]


def answers(collection: Collection, make) -> list[np.ndarray]:
    found = collection.search(np.random.default_rng(1).standard_normal((5, make.dim)).astype(np.float32), 50)
    return [found.keys, found.scores]


def test_it_finds_the_nearest(filled, make):
    queries = make.unit(25)
    found = filled.search(queries, 7)
    np.testing.assert_array_equal(found.keys, brute_force(filled, queries, 7))
    assert found.keys.dtype == np.int64
    assert found.scores.dtype == np.float32
    own = filled.search(filled.vectors([5, 9]), 1)
    np.testing.assert_array_equal(own.keys[:, 0], [5, 9])
    np.testing.assert_allclose(own.scores[:, 0], 1, atol=2e-3)


def test_fewer_than_k(filled, make):
    found = filled.search(make.unit(2), 45)
    assert (found.keys[:, 40:] == -1).all()
    assert np.isneginf(found.scores[:, 40:]).all()
    assert sorted(found.keys[0, :40]) == list(range(1, 41))
    film = filled.search(make.unit(1), 12, Term("kind", "=", "video"))
    assert (film.keys[0, 10:] == -1).all()
    assert set(filled.items(film.keys[0, :10])) == set(filled.items(range(31, 41)))


def test_an_empty_collection(collection, make):
    found = collection.search(make.unit(2), 3)
    assert found.keys.tolist() == [[-1] * 3] * 2
    assert collection.count() == 0
    collection.save_index()
    assert collection.search(make.unit(0), 3).keys.shape == (0, 3)
    assert collection.search(make.unit(1), 3, Term("kind", "=", "video")).keys.tolist() == [[-1] * 3]
    assert collection.verify() == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_queries_that_are_no_numbers_are_refused(filled, make, value):
    query = make.unit(1)
    query[0, 3] = value
    with pytest.raises(ValueError, match="finite"):
        filled.search(query, 3)


def test_queries_of_another_shape_are_refused(filled, make):
    for query in (make.unit(1)[0], make.unit(1)[:, 1:]):
        with pytest.raises(ValueError, match="shape"):
            filled.search(query, 3)
    with pytest.raises(ValueError, match="k must"):
        filled.search(make.unit(1), 0)


def test_ties_go_to_the_older_and_neighbours_change_nothing(make):
    index = Flat(make.dim)
    rows = np.repeat(make.unit(40), 30, axis=0)
    keys = make.rng.permutation(np.arange(1, 3 * len(rows), 2))[: len(rows)]
    index.add(keys, rows)
    queries = make.unit(40)
    together = nearest(index, queries, 45, None)
    everything = np.ones(4 * len(rows), bool)
    for number, query in enumerate(queries):
        for allowed in (None, everything):
            alone = nearest(index, query[None], 45, allowed)
            np.testing.assert_array_equal(alone.keys[0], together.keys[number])
            np.testing.assert_array_equal(alone.scores[0], together.scores[number])
        for first in (0, 30):
            group = together.keys[number, first : first + 30]
            assert (np.diff(group) > 0).all()


@pytest.mark.parametrize("few", [0, 10**6])
def test_narrowed_search_is_over_keys_and_not_places(make, monkeypatch, few):
    monkeypatch.setattr("retrieval.store.flat.FEW", few)
    index = Flat(make.dim)
    keys, rows = np.arange(100, 1100, 5), make.unit(200)
    index.add(keys, rows)
    index.remove(np.array([100, 110, 555, 7]))
    allowed = np.zeros(600, bool)
    allowed[[105, 115, 550, 555, 7]] = True
    found = nearest(index, make.unit(3), 5, allowed)
    assert {frozenset(row.tolist()) for row in found.keys} == {frozenset({105, 115, 550, -1})}
    np.testing.assert_array_equal(index.rows(np.array([550, 105])), rows[[90, 1]])
    with pytest.raises(KeyError):
        index.rows(np.array([555]))


def test_removal_shifts_places_and_not_keys(filled, make):
    filled.search(make.unit(1), 1)
    filled.forget(Path("/media/a"))
    for key in [*range(2, 31, 2), *range(31, 41)]:
        found = filled.search(filled.vectors([key]), 1)
        assert found.keys.tolist() == [[key]]


def test_a_reader_follows_a_writer(filled, make):
    with Collection.open(filled.folder) as reader:
        query = make.unit(1)
        assert reader.count() == 40
        assert (reader.search(query, 60).keys >= 0).sum() == 40
        with filled.transaction() as writer:
            keys = writer.put(1, make.entry("/media/new.jpg"), make.picture, None, [Item()], query)
            assert (reader.search(query, 60).keys >= 0).sum() == 40
        assert reader.search(query, 1).keys[0, 0] == keys[0]
        filled.forget(Path("/media/new.jpg"))
        filled.save_index()
        assert keys[0] not in reader.search(query, 60).keys
        assert reader.notes == []


def test_a_reader_that_missed_pruned_removals_starts_afresh(filled, make):
    with Collection.open(filled.folder) as reader:
        reader.search(make.unit(1), 1)
        for name in ("a", "b"):
            filled.forget(Path("/media") / name)
            filled.save_index()
        assert sorted(key for key in reader.search(make.unit(1), 40).keys[0] if key >= 0) == list(range(31, 41))


def test_built_anew_it_is_the_same_file(filled, make):
    for number in range(6):
        with filled.transaction() as writer:
            film = make.frames(number + 1)
            writer.put(1, make.entry(f"/media/{number % 3}.mp4"), make.video, None, film, make.unit(number + 1))
        if number % 2:
            filled.forget(Path(f"/media/a/{4 * number:02}.jpg"))
            filled.search(make.unit(1), 1)
        if number == 3:
            filled.save_index()
    filled.save_index()
    path = filled.folder / "vectors.faiss"
    grown = path.read_bytes()
    path.unlink()
    with Collection.open(filled.folder) as reader:
        np.testing.assert_array_equal(answers(reader, make), answers(filled, make))
    assert not path.exists()
    filled.close()
    with Collection.open(filled.folder, write=True) as writer:
        answers(writer, make)
        assert path.read_bytes() == grown
        assert writer.verify() == []


def test_faiss_itself_reads_the_file(filled, make):
    index = faiss.read_index(str(filled.folder / "vectors.faiss"))
    assert index.ntotal == 40
    assert index.d == make.dim
    np.testing.assert_array_equal(index.reconstruct(33), filled.vectors([33])[0])


@pytest.mark.parametrize("lag", [True, False])
def test_a_lagging_file_is_caught_up(filled, make, lag):
    filled.forget(Path("/media/b"))
    with filled.transaction() as writer:
        writer.put(1, make.entry("/media/new.jpg"), make.picture, None, [Item()], make.unit(1))
    expected = answers(filled, make)
    if not lag:
        filled.save_index()
    with Collection.open(filled.folder) as reader:
        np.testing.assert_array_equal(answers(reader, make), expected)
        assert reader.notes == []
        assert reader.verify() == []
        assert reader.stats().index["state"] == ("behind" if lag else "current")


DAMAGE = {
    "empty": lambda data, rng: b"",
    "cut": lambda data, rng: data[: rng.randrange(1, len(data))],
    "flipped": lambda data, rng: _flipped(data, rng.randrange(8 * len(data))),
    "seal flipped": lambda data, rng: _flipped(data, 8 * len(data) - 1 - rng.randrange(8 * 50)),
    "garbage": lambda data, rng: rng.randbytes(len(data)),
    "longer": lambda data, rng: data + b"more",
    "zeroed": lambda data, rng: bytes(len(data)),
}


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_is_kept_aside_and_built_anew(filled, make, damage, seed):
    path = filled.folder / "vectors.faiss"
    expected = answers(filled, make)
    sound = path.read_bytes()
    filled.close()
    broken = DAMAGE[damage](sound, random.Random(seed))
    path.write_bytes(broken)
    with Collection.open(filled.folder) as reader:
        np.testing.assert_array_equal(answers(reader, make), expected)
        assert len(reader.notes) == 1
        assert [problem.repaired for problem in reader.verify()] in ([False], [])
        assert path.read_bytes() == broken
    with Collection.open(filled.folder, write=True) as writer:
        np.testing.assert_array_equal(answers(writer, make), expected)
        assert path.read_bytes() == sound
        assert writer.verify() == []
        kept = list(writer.folder.glob("vectors.faiss.corrupt-*"))
        assert not kept or (kept[0].read_bytes() == broken and kept[0].name in writer.notes[0])


def test_damaged_twice_both_are_kept(filled, make):
    filled.close()
    for number in (1, 2):
        (filled.folder / "vectors.faiss").write_bytes(b"%d" % number)
        with Collection.open(filled.folder, write=True) as writer:
            answers(writer, make)
    assert [(filled.folder / f"vectors.faiss.corrupt-{number}").read_bytes() for number in (1, 2)] == [b"1", b"2"]


def test_the_file_of_another_collection_is_not_believed(filled, make, tmp_path):
    with Collection.create(tmp_path / "second", make.spec) as second:
        source = second.add_source(Path("/media"))
        for number in range(3):
            with second.transaction() as writer:
                entry = make.entry(f"/media/{number}.jpg")
                writer.put(source.id, entry, make.picture, None, [Item()], make.unit(1))
        expected = answers(second, make)
        (second.folder / "vectors.faiss").write_bytes((filled.folder / "vectors.faiss").read_bytes())
    with Collection.open(tmp_path / "second", write=True) as second:
        assert "another collection" in second.verify()[0].what
        np.testing.assert_array_equal(answers(second, make), expected)
        assert second.verify() == []


def test_an_older_catalog_put_back_beside_a_newer_file(filled, make, tmp_path):
    with filled.transaction() as writer:
        writer.put(1, make.entry("/media/new.jpg"), make.picture, None, [Item()], make.unit(1))
    filled.save_index()
    newer = (filled.folder / "vectors.faiss").read_bytes()
    filled.forget(Path("/media/new.jpg"))
    filled.save_index()
    (filled.folder / "vectors.faiss").write_bytes(newer)
    with Collection.open(filled.folder) as reader:
        assert (reader.search(make.unit(1), 60).keys >= 0).sum() == 40


def test_what_an_interrupted_save_left_is_cleared(filled, make):
    left = filled.folder / "vectors.faiss.tmp"
    filled.close()
    left.write_bytes(b"half")
    Collection.open(filled.folder).close()
    assert left.exists()
    with Collection.open(filled.folder, write=True) as writer:
        assert not left.exists()
        left.write_bytes(b"half")
        assert [problem.repaired for problem in writer.verify(repair=True)] == [True]
        assert not left.exists()


def test_a_reader_of_the_old_model_is_told(filled, make):
    with Collection.open(filled.folder) as reader:
        reader.search(make.unit(1), 1)
        filled.begin_reembed(make.other)
        reader.search(make.unit(1), 1)
        filled.finish_reembed()
        with pytest.raises(ModelMismatch, match="open it again"):
            reader.search(make.unit(1), 1)


class Stopped(BaseException):
    """What Ctrl-C is."""


def test_a_catch_up_that_was_interrupted_is_begun_anew(filled, make, monkeypatch):
    add = Flat.add

    def stopped(self, keys, rows):
        add(self, keys, rows)
        raise Stopped

    with Collection.open(filled.folder) as reading:
        reading.search(make.unit(1), 1)
        with filled.transaction() as writer:
            writer.put(1, make.entry("/media/new.jpg"), make.picture, None, [Item()], make.unit(1))
        with monkeypatch.context() as patched:
            patched.setattr(Flat, "add", stopped)
            with pytest.raises(Stopped):
                reading.search(make.unit(1), 1)
        keys = reading.search(make.unit(1), 60).keys[0]
        assert sorted(keys[keys >= 0]) == list(range(1, 42))


def test_a_rebuild_that_was_interrupted_is_begun_anew(filled, make, monkeypatch):
    expected = answers(filled, make)

    def stopped(dim, count, blocks, chosen=False):
        next(blocks)
        raise Stopped

    (filled.folder / "vectors.faiss").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Flat, "filled", stopped)
        with pytest.raises(Stopped):
            filled.verify(repair=True)
    np.testing.assert_array_equal(answers(filled, make), expected)


def test_a_file_that_cannot_be_read_just_now_is_not_damaged(filled, make):
    path = filled.folder / "vectors.faiss"
    expected = answers(filled, make)
    filled.close()
    sound = path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.name)  # ELOOP, for everyone
    for write in (False, True):
        with Collection.open(filled.folder, write=write) as opened:
            np.testing.assert_array_equal(answers(opened, make), expected)
            (note,) = opened.notes
            assert "cannot be read" in note
            assert path.is_symlink()
            assert not list(filled.folder.glob("vectors.faiss.corrupt-*"))
    sound.replace(path)
    with Collection.open(filled.folder, write=True) as opened:
        np.testing.assert_array_equal(answers(opened, make), expected)
        assert opened.notes == []


def test_it_is_filled_block_by_block(filled, make, monkeypatch):
    """No second copy of all vectors is held while the index is built."""
    expected = answers(filled, make)
    filled.close()
    (filled.folder / "vectors.faiss").unlink()
    sizes = []
    fill = Flat.filled

    def watched(dim, count, blocks, chosen=False):
        return fill(dim, count, ((sizes.append(len(keys)) or keys, rows) for keys, rows in blocks), chosen)

    monkeypatch.setattr(committed, "READ_BLOCK", 16)
    monkeypatch.setattr(Flat, "filled", watched)
    with Collection.open(filled.folder) as opened:
        np.testing.assert_array_equal(answers(opened, make), expected)
    assert sizes == [16, 16, 8]


def test_between_times_it_is_written_without_being_held(filled, make):
    """What a long run saves now and then; the file is the one that is written of an index in memory."""
    filled.save_index()
    filled.close()
    with Collection.open(filled.folder, write=True) as opened:
        opened.forget(Path("/media/a/00.jpg"))
        with opened.transaction() as writer:
            for number in range(700):  # more than a block
                entry = make.entry(f"/media/new/{number}.jpg")
                writer.put(1, entry, make.picture, None, [Item()], make.unit(1))
        opened.save_index(meanwhile=True)
        assert opened._index._index is None
        written = (opened.folder / live.FILE).read_bytes()
        stood = (opened.folder / live.FILE).stat().st_ino
        opened.save_index(meanwhile=True)
        assert (opened.folder / live.FILE).stat().st_ino == stood  # it is as the catalog is
        expected = answers(opened, make)
        assert opened.verify() == []
        (opened.folder / live.FILE).unlink()
        opened.save_index()
        assert (opened.folder / live.FILE).read_bytes() == written
    with Collection.open(filled.folder) as reader:
        np.testing.assert_array_equal(answers(reader, make), expected)
        assert reader.notes == []


def test_one_that_is_searched_is_followed_and_written_as_ever(filled, make):
    held = answers(filled, make)
    filled.forget(Path("/media/a/00.jpg"))
    filled.save_index(meanwhile=True)
    assert filled.is_settled()
    assert (answers(filled, make)[0] != held[0]).any()
    assert filled.verify() == []


def test_damaged_vectors_are_told_between_times_as_well(filled, make):
    with filled._catalog.begin() as connection:
        connection.exec_driver_sql("UPDATE items SET vector = x'00' WHERE key = 3")
    filled.close()
    (filled.folder / live.FILE).unlink()
    with Collection.open(filled.folder, write=True) as opened:
        opened.save_index(meanwhile=True)
        assert 3 not in answers(opened, make)[0]
        assert any("damaged" in note for note in opened.notes)


def test_the_count_follows_every_writer(filled, make):
    with Collection.open(filled.folder) as reader:
        for opened in (filled, reader):
            assert [opened.count(), opened.count()] == [40, 40]
        with filled.transaction() as writer:
            writer.put(1, make.entry("/media/new.jpg"), make.picture, None, [Item()], make.unit(1))
            assert [filled.count(), filled.count(), reader.count()] == [41, 41, 40]
        assert [filled.count(), reader.count()] == [41, 41]
        with filled.transaction() as writer:
            writer.set_gone([reader.find_file(Path("/media/new.jpg")).id])
            assert [filled.count(), reader.count()] == [40, 41]
        assert [filled.count(), reader.count(), reader.count()] == [40, 40, 40]


def test_it_is_known_without_reading_the_index_whether_anything_is_to_be_done(filled, make, folder, monkeypatch):
    assert filled.is_settled()
    with filled.transaction() as writer:
        writer.put(1, make.entry("/media/new.jpg"), make.picture, b"new", [Item()], make.unit(1))
    assert not filled.is_settled()
    filled.save_index()
    assert filled.is_settled()
    monkeypatch.setattr(live, "LARGE", 20)  # another kind is due
    assert not filled.is_settled()
    monkeypatch.undo()
    (folder / live.FILE).write_bytes((folder / live.FILE).read_bytes()[:-10])
    assert not filled.is_settled()
    (folder / live.FILE).unlink()
    assert not filled.is_settled()


def test_a_collection_that_was_closed_is_written_no_more(filled):
    filled.close()
    with pytest.raises(CollectionError, match="reading only"):
        filled.add_source(Path("/more"))
