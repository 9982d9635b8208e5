"""What files and items are compared by, when copies are looked for."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.query import parse_where
from retrieval.store import Collection
from retrieval.types import Details, Item, MediaInfo


def test_files_with_items_are_told_by_path(filled, make):
    facts = filled.facts()
    assert [file.path for file in facts] == sorted(record.path for record in filled.records())
    first = facts[0]
    assert (first.path, first.kind, first.size_bytes, first.mtime_ns) == (Path("/media/a/00.jpg"), "image", 0, 0)
    assert (first.digest, first.width, first.height, first.offline) == (b"digest0", 640, 480, False)
    assert facts[-1].duration_s == 60.0


def test_gone_and_failed_files_are_not_told(filled, make):
    source = filled.sources()[0]
    gone = filled.find_file(Path("/media/a/00.jpg"))
    with filled.transaction() as writer:
        writer.set_gone([gone.id])
        writer.put_failed(source.id, make.entry("/media/bad.jpg"), "damaged", b"bad")
    told = {file.path.name for file in filled.facts()}
    assert len(told) == 30
    assert not told & {"00.jpg", "bad.jpg"}
    assert len(filled.item_looks().keys) == 39


def test_a_filter_and_an_offline_source(filled):
    filled.set_offline(filled.sources()[0].id, True)
    videos = filled.facts(parse_where("kind:video"))
    assert [(file.path.name, file.offline) for file in videos] == [("film.mp4", True)]
    looks = filled.item_looks(parse_where("kind:video"))
    assert looks.at_s.tolist() == [float(second) for second in range(10)]
    assert set(looks.file_ids.tolist()) == {videos[0].id}


def test_metadata_is_counted(collection, make):
    source = collection.add_source(Path("/m"))
    plain = MediaInfo("image", 1, 1, None, None, "JPEG")
    told = plain._replace(taken_at="2024-05-01T12:00:00", details=Details("Camera", 1.0, 2.0, 3, ("a", "b"), "words"))
    with collection.transaction() as writer:
        for name, info in (("plain", plain), ("told", told)):
            writer.put(source.id, make.entry(f"/m/{name}.jpg"), info, None, [Item()], make.unit(1))
    assert [(file.path.stem, file.told) for file in collection.facts()] == [("plain", 0), ("told", 6)]


def test_looks_come_with_their_keys(collection, make):
    source = collection.add_source(Path("/m"))
    signatures = [bytes([number] * 384) for number in (7, 9)]
    with collection.transaction() as writer:
        keys = [
            writer.put(
                source.id, make.entry(f"/m/{place}.jpg"), make.picture, None, [Item(signature=look)], make.unit(1)
            )
            for place, look in enumerate([signatures[0], b"", signatures[1]])
        ]
    looks = collection.item_looks()
    assert (np.diff(looks.keys) > 0).all()
    assert looks.known.tolist() == [True, False, True]
    assert looks.signatures[:, 0].tolist() == [7, 0, 9]
    assert len(keys) == 3


def test_more_files_than_a_page(collection, make, monkeypatch):
    from retrieval.store import facts

    monkeypatch.setattr(facts, "PAGE", 7)
    source = collection.add_source(Path("/m"))
    with collection.transaction() as writer:
        for number in range(30):
            writer.put(source.id, make.entry(f"/m/{number:02}.jpg"), make.picture, None, [Item()], make.unit(1))
    assert [file.path.stem for file in collection.facts()] == [f"{number:02}" for number in range(30)]


def test_digests_of_files(filled):
    records = [filled.find_file(Path(name)) for name in ("/media/film.mp4", "/media/a/02.jpg")]
    assert filled.digests([record.id for record in records]) == [b"film", b"digest2"]
    with pytest.raises(KeyError):
        filled.digests([10**6])


def test_an_empty_collection(folder, make):
    with Collection.create(folder, make.spec) as empty:
        assert empty.facts() == []
        assert empty.item_looks().signatures.shape == (0, 384)
