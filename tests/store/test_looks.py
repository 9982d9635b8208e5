"""What files say of themselves and what videos look like: stored, copied, told anew, and gone with their files."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.media import SEEN
from retrieval.types import Details, Item, Track

DETAILS = Details("Nikon Z 6", -33.9, 151.2, 4, ("harbour", "évening"), "Ferry at dusk")
TRACK = Track(np.array([0.0, 0.5, 4.25]), np.arange(3 * 96, dtype=np.uint8).reshape(3, 96), np.array([4.25]))
FRAMES = [Item(0.0, 0.0, 4.25, 0, b"\1" * 384), Item(4.25, 4.25, 8.0, 1, b"\2" * 384)]


def tables(collection, file_id):
    rows = collection._reader.rows
    columns = rows("SELECT camera, latitude, longitude, rating, told, seen FROM files WHERE id = ?", file_id)[0]
    words = rows("SELECT keyword FROM keywords WHERE file_id = ? ORDER BY keyword", file_id)
    return columns, [word for (word,) in words]


@pytest.fixture
def held(collection, make):
    source = collection.add_source(Path("/media"))
    video = make.video._replace(details=DETAILS, track=TRACK)
    with collection.transaction() as writer:
        vectors = make.unit(2)
        keys = writer.put(source.id, make.entry("/media/a.mp4"), video, b"d" * 20, FRAMES, vectors)
    return collection.find_file(make.entry("/media/a.mp4").path), keys


def test_what_was_told_is_kept(collection, held):
    record, keys = held
    assert record.seen == SEEN
    assert tables(collection, record.id) == (
        ("Nikon Z 6", -33.9, 151.2, 4, "Ferry at dusk", SEEN),
        ["harbour", "évening"],
    )
    assert collection.signatures(keys[::-1]) == [b"\2" * 384, b"\1" * 384]
    assert collection.frames(record.id).shots.tolist() == [0, 1]
    track = collection.track(record.id)
    np.testing.assert_array_equal(track.at_s, TRACK.at_s)
    np.testing.assert_array_equal(track.signatures, TRACK.signatures)
    np.testing.assert_array_equal(track.cuts_s, TRACK.cuts_s)
    assert collection.track(record.id + 1) is None
    with pytest.raises(KeyError):
        collection.signatures([99])


def test_a_copy_takes_all_of_it_along(collection, make, held):
    record, _ = held
    with collection.transaction() as writer:
        keys = writer.copy(record.id, record.source_id, make.entry("/media/b.mp4"))
    copy = collection.find_file(make.entry("/media/b.mp4").path)
    assert tables(collection, copy.id) == tables(collection, record.id)
    assert collection.signatures(keys) == [b"\1" * 384, b"\2" * 384]
    np.testing.assert_array_equal(collection.track(copy.id).signatures, TRACK.signatures)


def test_a_file_is_described_anew_and_keeps_its_vectors(collection, make, held):
    record, keys = held
    info = make.video._replace(details=Details(told="new"), taken_at="2024-05-01T12:00:00")
    with collection.transaction() as writer:
        writer.describe(record.id, info, [Item(0.1, 0, 1, 7, b"\3" * 384), Item(5.0, 1, 9, 8, b"\4" * 384)])
    assert tables(collection, record.id) == (("", None, None, None, "new", SEEN), [])
    assert collection.frames(record.id).shots.tolist() == [7, 8]
    assert collection.signatures(keys) == [b"\3" * 384, b"\4" * 384]
    assert collection.track(record.id) is None
    assert collection.items(keys)[0].taken_at == "2024-05-01T12:00:00"
    with pytest.raises(KeyError), collection.transaction() as writer:
        writer.describe(99, info, [])


def test_all_of_it_goes_with_its_file(collection, held):
    record, _ = held
    assert collection._reader.rows("SELECT rowid FROM words WHERE words MATCH 'ferry'") == [(record.id,)]
    collection.forget(record.path)
    for table in ("keywords", "tracks", "words"):
        assert collection._reader.rows(f"SELECT count(*) FROM {table}") == [(0,)]
    assert collection.verify() == []
