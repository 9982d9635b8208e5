"""Embedding a collection anew: searches go on with the old vectors until one switch, whatever happens on the way."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from retrieval.config import Sampling
from retrieval.errors import CollectionError, ModelMismatch
from retrieval.store import Collection
from retrieval.types import Item


def embed_anew(collection: Collection, make, stop_after: int = 10**6) -> int:
    """Do what an indexer does: embed what has no vectors of the new model yet."""
    building = collection.building
    done = 0
    for record in list(collection.records()):
        if record.embedded or record.status == "failed" or done == stop_after:
            continue
        with collection.transaction() as writer:
            n = 10 if record.kind == "video" else 1
            info = make.video if record.kind == "video" else make.picture
            items = make.frames(n) if n > 1 else [Item()]
            entry = make.entry(record.path, record.size_bytes, record.mtime_ns)
            writer.put(record.source_id, entry, info, record.digest, items, make.unit(n, building.dim))
        done += 1
    return done


def test_the_old_model_answers_until_the_switch(filled, make):
    query = make.unit(1)
    before = filled.search(query, 5)
    filled.begin_reembed(make.other, Sampling("keyframes"))
    assert filled.building == make.other
    assert filled.building_sampling == Sampling("keyframes")
    assert not any(record.embedded for record in filled.records())
    generation = filled.stats().index["generation"]
    assert embed_anew(filled, make) == 31
    assert filled.stats().index["generation"] == generation
    np.testing.assert_array_equal(filled.search(query, 5).keys, before.keys)
    assert filled.manifest.spec == make.spec
    assert filled.count() == filled.stats().items == 40
    assert filled.verify() == []

    filled.finish_reembed()
    assert filled.building is None
    assert filled.manifest.spec == make.other
    assert filled.manifest.sampling == Sampling("keyframes")
    assert filled.stats().index == {
        "kind": "flat",
        "vectors": 40,
        "recall": 1.0,
        "generation": generation + 1,
        "state": "current",
    }
    found = filled.search(make.unit(1, make.other.dim), 40).keys[0]
    assert found.min() > before.keys.max()
    assert all(record.embedded for record in filled.records())
    assert filled.verify() == []
    with Collection.open(filled.folder) as reader:
        assert reader.manifest == filled.manifest
        np.testing.assert_array_equal(np.sort(reader.search(make.unit(1, 24), 40).keys[0]), np.sort(found))
        assert reader.notes == []


def test_interrupted_it_is_resumed(filled, make):
    filled.begin_reembed(make.other)
    assert embed_anew(filled, make, stop_after=12) == 12
    filled.close()
    with Collection.open(filled.folder, write=True) as again:
        assert again.building == make.other
        again.begin_reembed(make.other)
        assert again.notes == []
        assert sum(record.embedded for record in again.records()) == 12
        assert embed_anew(again, make) == 19
        again.finish_reembed()
        assert again.count() == 40


def test_another_model_takes_its_place_with_a_note(filled, make):
    filled.begin_reembed(make.other)
    embed_anew(filled, make, stop_after=3)
    filled.begin_reembed(make.spec)
    assert "other" in filled.notes[0]
    assert embed_anew(filled, make) == 31
    filled.finish_reembed()
    assert filled.verify() == []


def test_cancelled_nothing_of_it_stays(filled, make):
    before = [record._replace(embedded=True) for record in filled.records()]
    filled.begin_reembed(make.other)
    embed_anew(filled, make, stop_after=5)
    with filled.transaction() as writer:
        film = filled.find_file(Path("/media/film.mp4"))
        entry = make.entry(film.path, film.size_bytes, film.mtime_ns)
        writer.put_failed(1, entry, "too long for the new model", film.digest)
        writer.put(1, make.entry("/media/new.jpg", 3, 3), make.picture, b"new", [Item()], make.unit(1, 24))
    assert list(filled.failed()) == [(film.path, "too long for the new model")]
    assert filled.count() == 40
    filled.cancel_reembed()
    filled.cancel_reembed()
    new = filled.find_file(Path("/media/new.jpg"))
    assert (new.status, new.embedded, new.digest, new.mtime_ns) == ("ok", False, None, 0)
    filled.forget(new.path)
    assert list(filled.records()) == before
    assert filled.verify() == []


def test_a_file_that_fails_under_the_new_model_keeps_its_row(filled, make):
    filled.begin_reembed(make.other)
    film = filled.find_file(Path("/media/film.mp4"))
    with filled.transaction() as writer:
        writer.put_failed(1, make.entry(film.path, film.size_bytes, film.mtime_ns), "no", film.digest)
    assert filled.frames(film.id).keys.size == 10
    assert (filled.stats().files, filled.stats().failed) == (30, 1)
    embed_anew(filled, make)
    filled.finish_reembed()
    record = filled.find_file(film.path)
    assert (record.status, record.reason, record.embedded) == ("failed", "no", False)
    assert filled.count() == 30
    assert filled.verify() == []


def test_a_file_that_was_not_reached_waits(filled, make):
    filled.begin_reembed(make.other)
    embed_anew(filled, make, stop_after=30)
    filled.finish_reembed()
    waiting = [record for record in filled.records() if not record.embedded]
    assert [(record.path.name, record.status, record.digest) for record in waiting] == [("film.mp4", "ok", None)]
    assert filled.verify() == []


@pytest.mark.parametrize("digest", [b"changed", None])
def test_changed_content_loses_its_old_items_at_once(filled, make, digest):
    filled.begin_reembed(make.other)
    film = Path("/media/film.mp4")
    with filled.transaction() as writer:
        writer.put(1, make.entry(film, 99, 99), make.video, digest, make.frames(2), make.unit(2, 24))
    assert filled.count() == 30
    assert filled.find_file(film).embedded
    assert filled.find_item(film, 0.0) is None
    embed_anew(filled, make)
    filled.finish_reembed()
    assert filled.count() == 32


def test_moves_and_copies_go_on_meanwhile(filled, make):
    filled.begin_reembed(make.other)
    embed_anew(filled, make)
    film = filled.find_file(Path("/media/film.mp4"))
    with filled.transaction() as writer:
        keys = writer.copy(film.id, 1, make.entry("/media/copy.mp4"))
        writer.move(film.id, 1, make.entry("/media/moved.mp4"))
    assert filled.count() == 50
    with pytest.raises(KeyError):
        filled.items(keys)
    filled.finish_reembed()
    assert filled.count() == 50
    np.testing.assert_array_equal(filled.vectors(keys), filled.frames(film.id).vectors)
    assert filled.verify() == []


def test_there_is_nothing_to_finish(filled):
    with pytest.raises(CollectionError, match="--reembed"):
        filled.finish_reembed()


def test_killed_before_index_and_manifest_were_written(filled, make):
    """The switch is the catalog's transaction; what comes after it is made good by whoever opens next."""
    filled.begin_reembed(make.other)
    embed_anew(filled, make)
    old = {name: (filled.folder / name).read_bytes() for name in ("manifest.json", "vectors.faiss")}
    filled.finish_reembed()
    expected = filled.search(make.unit(1, 24)[:1] * 0 + 1, 9).keys
    filled.close()
    for name, data in old.items():
        (filled.folder / name).write_bytes(data)
    with Collection.open(filled.folder) as reader:
        assert reader.manifest.spec == make.other
        np.testing.assert_array_equal(reader.search(np.ones((1, 24)), 9).keys, expected)
        assert "manifest.json" in reader.verify()[0].what
    with Collection.open(filled.folder, write=True) as writer:
        np.testing.assert_array_equal(writer.search(np.ones((1, 24)), 9).keys, expected)
        assert writer.verify() == []
        assert writer.stats().index["state"] == "current"


@pytest.mark.parametrize("more", [0, 8])
def test_a_reader_never_mixes_models(filled, make, more):
    other = dataclasses.replace(make.other, dim=make.dim + more)
    film = Path("/media/film.mp4")
    with Collection.open(filled.folder) as reader:
        file_id = reader.find_file(film).id
        before = reader.frames(file_id)
        filled.begin_reembed(other)
        embed_anew(filled, make)
        np.testing.assert_array_equal(reader.frames(file_id).vectors, before.vectors)
        filled.finish_reembed()
        new = filled.frames(file_id)
        assert new.vectors.shape == (10, other.dim)
        for look in (
            lambda: reader.frames(file_id),
            lambda: reader.find_item(film, 2.0),
            lambda: reader.items(before.keys),
            lambda: reader.items(new.keys),
            lambda: reader.vectors(before.keys),
            lambda: reader.vectors(new.keys),
        ):
            with pytest.raises(ModelMismatch, match="open it again"):
                look()
        assert reader.find_file(film).embedded


def test_what_is_not_there_is_no_other_model(filled):
    assert filled.find_item(Path("/media/none.jpg")) is None
    assert len(filled.frames(999).keys) == 0
    for look in (filled.items, filled.vectors):
        with pytest.raises(KeyError):
            look([1, 999])


def test_a_model_that_moved_gets_its_new_name(filled, make):
    moved = dataclasses.replace(make.spec, name="/new/place\udcff/small")
    query = make.unit(1)
    before = filled.search(query, 5)
    generation = filled.stats().index["generation"]
    with Collection.open(filled.folder) as reader:
        filled.begin_reembed(make.other)
        filled.rename_model(moved.name)
        assert filled.manifest.spec == moved
        assert filled.building == make.other
        assert json.loads((filled.folder / "manifest.json").read_bytes())["model"]["name"] == moved.name
        assert filled.stats().index["generation"] == generation
        assert filled.verify() == []
        for one in (filled, reader):
            np.testing.assert_array_equal(one.search(query, 5).keys, before.keys)
        with pytest.raises(CollectionError, match="reading only"):
            reader.rename_model("small")
    with Collection.open(filled.folder) as reader:
        assert reader.manifest.spec == moved
        reader.check_model(make.spec)
