"""Putting files in, finding them again, and taking them out."""

import os
import stat
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import CollectionError, CollectionNotFound, ModelMismatch
from retrieval.media import SEEN
from retrieval.store import Collection
from retrieval.types import Item, Term


def paths(collection: Collection) -> list[str]:
    return [str(record.path) for record in collection.records()]


def test_a_file_comes_back_as_it_was_put(collection, make):
    source = collection.add_source(Path("/media"))
    info = make.video._replace(taken_at="2024-05-01T12:30:00", width=320, height=200)
    vectors = make.unit(3)
    with collection.transaction() as writer:
        keys = writer.put(source.id, make.entry("/media/x.MP4", 77, 123456789), info, b"d", make.frames(3), vectors)
    record = collection.find_file(Path("/media/x.MP4"))
    said = source.id, b"/media/x.MP4", "video", 77, 123456789, b"d", "ok", "", False, True, SEEN, ""
    assert record[1:] == said
    row = collection.items(keys)[1]
    assert row == (
        keys[1],
        record.id,
        record.raw,
        "video",
        1.0,
        1.0,
        2.0,
        320,
        200,
        "2024-05-01T12:30:00",
        123456789,
        False,
        False,
    )
    np.testing.assert_array_equal(collection.vectors(keys[::-1]), vectors[::-1])
    frames = collection.frames(record.id)
    np.testing.assert_array_equal(frames.at_s, [0, 1, 2])
    np.testing.assert_array_equal(frames.vectors, vectors)
    assert collection.find_item(record.path, 1.4).key == keys[1]
    assert collection.find_item(record.path, None).key == keys[0]
    assert collection.find_item(Path("/media/none.mp4"), None) is None


def test_a_picture_has_no_times(filled):
    record = next(filled.records())
    assert np.isnan(filled.frames(record.id).at_s).all()
    assert filled.find_item(record.path, 3.0).at_s is None


def test_what_is_not_there_is_said(filled):
    assert filled.find_file(Path("/media/none")) is None
    assert filled.files_with_digest(b"none") == []
    assert len(filled.frames(999).keys) == 0
    with pytest.raises(KeyError):
        filled.items([999])
    with pytest.raises(KeyError):
        filled.vectors([1, 999])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows * 1.05,
        lambda rows: rows * np.nan,
        lambda rows: rows * np.inf,
        lambda rows: rows * 0,
        lambda rows: rows[:, :-1],
        lambda rows: rows[:1],
    ],
)
def test_vectors_that_cannot_be_right_are_refused(filled, make, spoil):
    with pytest.raises(ValueError, match=r"vectors"), np.errstate(invalid="ignore"), filled.transaction() as writer:
        writer.put(1, make.entry("/media/bad.jpg"), make.picture, None, [Item(), Item()], spoil(make.unit(2)))
    assert filled.find_file(Path("/media/bad.jpg")) is None


def test_a_file_without_items_is_refused(filled, make):
    with pytest.raises(ValueError, match="items"), filled.transaction() as writer:
        writer.put(1, make.entry("/media/bad.jpg"), make.picture, None, [], make.unit(0))


def test_a_relative_path_is_refused(filled, make):
    with pytest.raises(ValueError, match="absolute"), filled.transaction() as writer:
        writer.put(1, make.entry("bad.jpg"), make.picture, None, [Item()], make.unit(1))


def test_putting_again_replaces_and_keys_are_not_used_twice(filled, make):
    path = Path("/media/film.mp4")
    before = filled.frames(filled.find_file(path).id).keys
    with filled.transaction() as writer:
        keys = writer.put(1, make.entry(path, 9, 9), make.picture, b"new", [Item()], make.unit(1))
    assert keys.min() > before.max()
    assert filled.find_file(path).kind == "image"
    with filled.transaction() as writer:
        writer.put_failed(1, make.entry(path), "broken")
    with filled.transaction() as writer:
        again = writer.put(1, make.entry(path), make.picture, b"new", [Item()], make.unit(1))
    assert again.min() > keys.max()
    assert filled.count() == 31
    assert filled.verify() == []


def test_a_failure_takes_the_items_and_is_listed(filled, make):
    with filled.transaction() as writer:
        writer.put_failed(1, make.entry("/media/film.mp4", 5, 5), "cut short", b"d")
        writer.put_failed(1, make.entry("/media/new.jpg"), "empty")
    assert list(filled.failed()) == [(Path("/media/film.mp4"), "cut short"), (Path("/media/new.jpg"), "empty")]
    record = filled.find_file(Path("/media/film.mp4"))
    assert (record.status, record.reason, record.embedded, record.digest) == ("failed", "cut short", False, b"d")
    assert filled.count() == 30
    assert filled.stats().failed == 2
    assert filled.verify() == []


def test_a_failing_block_leaves_nothing(filled, make):
    generation = filled.stats().index["generation"]

    def stopped() -> None:
        with filled.transaction() as writer:
            writer.put(1, make.entry("/media/z.jpg"), make.picture, None, [Item()], make.unit(1))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert filled.find_file(Path("/media/z.jpg")) is None
    assert filled.stats().index["generation"] == generation
    with filled.transaction() as writer:
        writer.put(1, make.entry("/media/z.jpg"), make.picture, None, [Item()], make.unit(1))
    assert filled.count() == 41


def test_the_generation_rises_with_items_alone(filled, make):
    def generation() -> object:
        return filled.stats().index["generation"]

    first = generation()
    record = next(filled.records())
    with filled.transaction() as writer:
        writer.move(record.id, 1, make.entry("/media/moved.jpg"))
        writer.touch(record.id, make.entry("/media/moved.jpg", 1, 99))
        writer.set_gone([record.id])
    assert generation() == first
    assert filled.forget(Path("/media/moved.jpg")) == 1
    assert generation() == first + 1


def test_a_transaction_reads_what_it_wrote(filled, make):
    with filled.transaction() as writer:
        writer.put(1, make.entry("/media/y.jpg"), make.picture, b"twin", [Item()], make.unit(1))
        assert [record.path.name for record in filled.files_with_digest(b"twin")] == ["y.jpg"]
        assert filled.add_source(Path("/more")).id == 2
        with pytest.raises(RuntimeError, match="under way"), filled.transaction():
            pass
        with Collection.open(filled.folder) as reader:
            assert reader.files_with_digest(b"twin") == []
    assert [source.path for source in filled.sources()] == [Path("/media"), Path("/more")]


def test_a_moved_file_keeps_its_keys(filled, make):
    record = filled.find_file(Path("/media/film.mp4"))
    keys = filled.frames(record.id).keys
    with filled.transaction() as writer:
        writer.set_gone([record.id])
        writer.move(record.id, 1, make.entry("/media/b/01.jpg", 7, 8))
    moved = filled.find_file(Path("/media/b/01.jpg"))
    assert (moved.id, moved.size_bytes, moved.mtime_ns, moved.gone) == (record.id, 7, 8, False)
    np.testing.assert_array_equal(filled.frames(moved.id).keys, keys)
    assert filled.find_file(Path("/media/film.mp4")) is None
    assert filled.count() == 39
    assert filled.verify() == []


def test_files_may_swap_their_names(filled, make):
    first, second = (filled.find_file(Path(f"/media/{name}")) for name in ("a/00.jpg", "b/01.jpg"))
    with filled.transaction() as writer:
        writer.move(first.id, 1, make.entry(second.path))
        assert filled.files_with_digest(second.digest) == []
        writer.move(second.id, 1, make.entry(first.path))
    assert filled.find_file(first.path).digest == second.digest
    assert filled.find_file(second.path).digest == first.digest
    assert filled.count() == 40


def test_a_copy_has_keys_of_its_own(filled, make):
    film = filled.find_file(Path("/media/film.mp4"))
    with filled.transaction() as writer:
        keys = writer.copy(film.id, 1, make.entry("/media/a/00.jpg", film.size_bytes, 5))
    copy = filled.find_file(Path("/media/a/00.jpg"))
    frames = filled.frames(copy.id)
    np.testing.assert_array_equal(frames.keys, keys)
    assert not set(keys) & set(filled.frames(film.id).keys)
    np.testing.assert_array_equal(frames.vectors, filled.frames(film.id).vectors)
    assert (copy.kind, copy.digest, copy.embedded) == ("video", b"film", True)
    assert [record.path.name for record in filled.files_with_digest(b"film")] == ["00.jpg", "film.mp4"]
    with filled.transaction() as writer:
        np.testing.assert_array_equal(writer.copy(copy.id, 1, make.entry(copy.path)), keys)
    assert filled.verify() == []


@pytest.mark.parametrize("change", ["move", "copy", "touch"])
def test_no_such_file(filled, make, change):
    arguments = (make.entry("/media/q.jpg"),) if change == "touch" else (1, make.entry("/media/q.jpg"))
    with pytest.raises(KeyError), filled.transaction() as writer:
        getattr(writer, change)(999, *arguments)


def test_a_gone_file_is_kept_and_not_found(filled, make):
    record = filled.find_file(Path("/media/film.mp4"))
    query = filled.vectors(filled.frames(record.id).keys[:1])
    with filled.transaction() as writer:
        writer.set_gone([record.id])
    assert filled.count() == 30
    keys = filled.search(query, 40).keys[0]
    assert (keys >= 0).sum() == 30
    assert not set(filled.frames(record.id).keys) & set(keys)
    assert (filled.stats().gone, filled.stats().files) == (1, 30)
    with filled.transaction() as writer:
        writer.touch(record.id, make.entry(record.path))
    assert filled.search(query, 1).keys[0, 0] == filled.frames(record.id).keys[0]


def test_an_offline_source_is_marked_and_found(filled):
    filled.set_offline(1, True)
    stats = filled.stats()
    assert (stats.files, stats.offline, stats.items, stats.sources[0].offline) == (31, 31, 40, True)
    key = int(filled.search(filled.vectors([1]), 1).keys[0, 0])
    assert filled.items([key])[0].offline


def test_forget_takes_a_folder_and_not_its_neighbours(collection, make):
    source = collection.add_source(Path("/m"))
    inner = collection.add_source(Path("/m/a_b/deep"))
    names = ["/m/a_b/1.jpg", "/m/a_b/deep/2.jpg", "/m/a_bc/3.jpg", "/m/axb/4.jpg", "/m/a_b", "/m/a_b.jpg", "/m/a_b0"]
    with collection.transaction() as writer:
        for name in names:
            owner = inner if "deep" in name else source
            writer.put(owner.id, make.entry(name), make.picture, None, [Item()], make.unit(1))
    assert collection.forget(Path("/m/a_b")) == 3
    assert sorted(paths(collection)) == ["/m/a_b.jpg", "/m/a_b0", "/m/a_bc/3.jpg", "/m/axb/4.jpg"]
    assert [known.path for known in collection.sources()] == [Path("/m")]
    assert collection.forget(Path("/m/100%")) == 0
    assert collection.forget(Path("/")) == 4
    assert collection.sources() == []
    assert collection.verify() == []


def test_purge_takes_what_is_gone_or_offline(filled, make):
    drive = filled.add_source(Path("/drive"))
    with filled.transaction() as writer:
        writer.put(drive.id, make.entry("/drive/1.jpg"), make.picture, None, [Item()], make.unit(1))
        writer.set_gone([filled.find_file(Path("/media/film.mp4")).id])
    filled.set_offline(drive.id, True)
    assert filled.purge() == 2
    assert filled.count() == 30
    assert len(filled.sources()) == 2
    assert filled.purge() == 0


ODD = [
    b"/media/caf\xe9.jpg",
    "/media/cafe\u0301.jpg".encode(),
    "/media/caf\u00e9.jpg".encode(),
    b"/media/new\nline\t.jpg",
    b"/media/100%_of 'it'.jpg",
    b"/media/\x01\xff\xfe",
    b"/media/ .jpg",
    "/media/日本/写真.jpg".encode(),
    b"/media/" + b"n" * 240,
]


def test_any_name_a_file_may_have(collection, make):
    source = collection.add_source(Path(os.fsdecode(b"/media\xff")))
    with collection.transaction() as writer:
        for raw in ODD:
            writer.put(source.id, make.entry(os.fsdecode(raw)), make.picture, raw, [Item()], make.unit(1))
    assert [os.fsencode(record.path) for record in collection.records()] == sorted(ODD)
    for raw in ODD:
        assert collection.find_file(Path(os.fsdecode(raw))).digest == raw
    assert os.fsencode(collection.sources()[0].path) == b"/media\xff"
    twins = Term("path", ":", unicodedata.normalize("NFD", "caf\u00e9.jpg"))
    assert collection.count(twins) == 2
    assert collection.forget(Path(os.fsdecode(ODD[0]))) == 1


def test_records_of_one_source(filled, make):
    other = filled.add_source(Path("/other"))
    with filled.transaction() as writer:
        writer.put(other.id, make.entry("/other/1.jpg"), make.picture, None, [Item()], make.unit(1))
    assert [record.path.name for record in filled.records(other.id)] == ["1.jpg"]
    assert len(list(filled.records())) == 32


def test_many_records_come_in_order(collection, make):
    source = collection.add_source(Path("/m"))
    with collection.transaction() as writer:
        for number in range(2050):
            writer.put_failed(source.id, make.entry(f"/m/{number * 7919 % 2050}"), "no")
    found = [os.fsencode(record.path) for record in collection.records()]
    assert len(found) == 2050
    assert found == sorted(found)
    assert len(list(collection.failed())) == 2050


def test_the_folder_is_private(filled):
    filled.save_index()
    assert stat.S_IMODE(filled.folder.stat().st_mode) == 0o700
    for path in filled.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name


def test_stats(filled):
    filled.save_index()
    stats = filled.stats()
    assert stats[:5] == (31, 40, 0, 0, 0)
    assert stats.model == "small"
    assert stats.index == {"kind": "flat", "vectors": 40, "recall": 1.0, "generation": 1, "state": "current"}
    assert stats.bytes == sum(path.stat().st_size for path in filled.folder.iterdir())
    filled.forget(Path("/media/film.mp4"))
    assert filled.stats().index["state"] == "behind"
    (filled.folder / "vectors.faiss").unlink()
    assert filled.stats().index["state"] == "missing"


def test_opened_for_reading_it_is_not_changed(filled):
    with Collection.open(filled.folder) as reader:
        for change in (
            lambda: reader.add_source(Path("/x")),
            lambda: reader.forget(Path("/x")),
            lambda: reader.purge(),
            lambda: reader.save_index(),
            lambda: reader.verify(repair=True),
        ):
            with pytest.raises(CollectionError, match="reading only"):
                change()


def test_there_is_no_collection(tmp_path):
    with pytest.raises(CollectionNotFound, match="sightseek index"):
        Collection.open(tmp_path)
    with pytest.raises(CollectionNotFound):
        Collection.open(tmp_path / "none", write=True)
    assert list(tmp_path.iterdir()) == []


def test_a_collection_is_not_made_twice(folder, make):
    Collection.create(folder, make.spec).close()
    with pytest.raises(CollectionError, match="already"):
        Collection.create(folder, make.spec)
    with Collection.open(folder, write=True) as reopened:
        assert reopened.manifest.spec == make.spec


def test_a_file_is_in_the_way(folder, make):
    folder.write_text("a letter")
    with pytest.raises(CollectionError, match="another"):
        Collection.create(folder, make.spec)


def test_the_model_is_checked(filled, make):
    filled.check_model(make.spec)
    with pytest.raises(ModelMismatch, match="--model small"):
        filled.check_model(make.other)
    changed = type(make.spec)(**{**make.spec.to_json(), "digest": "2", "preprocessing": make.spec.preprocessing})
    with pytest.raises(ModelMismatch, match="has changed"):
        filled.check_model(changed)
