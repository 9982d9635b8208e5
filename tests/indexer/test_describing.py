"""Files are described again, without being embedded, when less was known of them or what stands beside them changed."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer import IndexOptions, Progress, index
from indexer.describing import Reading, read_again
from indexer.plan import plan
from indexer.scan import scan
from retrieval.config import Sampling
from retrieval.media import SEEN
from retrieval.store import Collection, Entry, FileRecord
from tests.indexer.conftest import Desk, did
from tests.media_makers import truncate
from tests.tag_makers import write_takeout, xmp_packet


def known(desk: Desk, name: str) -> tuple[str, int | None, list[str], str | None]:
    """Return told, rating, keywords and the date of a file as the catalog has them."""
    with closing(sqlite3.connect(desk.home / "catalog.sqlite")) as catalog:
        path = os.fsencode(desk.media / name)
        row = catalog.execute("SELECT id, told, rating, taken_at FROM files WHERE path = ?", (path,)).fetchone()
        words = catalog.execute("SELECT keyword FROM keywords WHERE file_id = ? ORDER BY keyword", row[:1])
        return row[1], row[2], [word for (word,) in words], row[3]


def looks(desk: Desk, name: str) -> list[bytes]:
    with desk.open(write=False) as collection:
        return collection.signatures(desk.keys(name))


def forget_what_was_seen(desk: Desk) -> None:
    """Bring the catalog to the state in which an earlier version left it."""
    with closing(sqlite3.connect(desk.home / "catalog.sqlite")) as catalog, catalog:
        catalog.execute("UPDATE files SET seen = 0, told = '', rating = NULL")
        catalog.execute("UPDATE items SET signature = x'', shot = NULL")
        catalog.execute("DELETE FROM keywords")
        catalog.execute("DELETE FROM tracks")


def caption(desk: Desk, name: str, text: str) -> Path:
    path = desk.media / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_sidecar_that_comes_changes_and_goes(filled: Desk):
    before = {name: filled.keys(name) for name in ("a.png", "album/clip.mp4")}
    caption(filled, "a.txt", "a boat")
    caption(filled, "album/clip.mp4.txt", "three colours")
    summary = filled.run()
    assert did(summary) == {"same": 6, "described": 2}
    assert summary.embedded == 0
    assert known(filled, "a.png")[0] == "a boat"
    assert known(filled, "album/clip.mp4")[0] == "three colours"
    assert filled.did() == {"same": 6}

    caption(filled, "a.txt", "a ship")
    (filled.media / "a.xmp").write_bytes(xmp_packet({"xmp:Rating": "4"}, {"dc:subject": ["sea"]}))
    assert filled.did() == {"same": 6, "described": 1}
    assert known(filled, "a.png")[:3] == ("a ship", 4, ["sea"])

    (filled.media / "a.txt").unlink()
    (filled.media / "a.xmp").unlink()
    assert filled.did() == {"same": 6, "described": 1}
    assert known(filled, "a.png")[:3] == ("", None, [])
    assert {name: filled.keys(name) for name in before} == before


def test_a_new_file_is_embedded_with_what_stands_beside_it(desk: Desk):
    desk.picture("a.png", 1)
    write_takeout(desk.media / "a.png.json", description="from the web", photoTakenTime={"timestamp": "1714566600"})
    assert desk.did() == {"added": 1}
    told, _, _, taken_at = known(desk, "a.png")
    assert told == "from the web"
    assert taken_at is not None
    assert taken_at.startswith("2024-05-01")
    assert desk.did() == {"same": 1}


def test_files_indexed_by_an_earlier_version_are_described(filled: Desk):
    caption(filled, "album/c.txt", "a cat")
    filled.run()
    names = list(filled.records())
    before = {name: (known(filled, name), looks(filled, name), filled.keys(name)) for name in names}
    forget_what_was_seen(filled)
    assert filled.records()["a.png"].seen == 0
    summary = filled.run()
    assert did(summary) == {"same": 6, "described": 6}
    assert summary.embedded == 0
    assert {name: (known(filled, name), looks(filled, name), filled.keys(name)) for name in names} == before
    assert {record.seen for record in filled.records().values()} == {SEEN}
    assert filled.did() == {"same": 6}


def test_a_dry_run_says_how_many(filled: Desk):
    caption(filled, "a.txt", "a boat")
    assert filled.did(dry_run=True) == {"same": 6, "described": 1}
    assert known(filled, "a.png")[0] == ""


def test_what_is_moved_copied_or_renamed_keeps_what_stands_beside_it(filled: Desk):
    caption(filled, "album/c.txt", "a cat")
    filled.run()
    shutil.copytree(filled.media / "album", filled.media / "copy")
    (filled.media / "album").rename(filled.media / "moved")
    assert filled.did() == {"same": 2, "moved": 4, "copied": 4}
    assert known(filled, "moved/c.png")[0] == known(filled, "copy/c.png")[0] == "a cat"
    (filled.media / "moved/c.png").rename(filled.media / "moved/z.png")
    (filled.media / "moved/c.txt").rename(filled.media / "moved/z.txt")
    assert filled.did() == {"same": 9, "moved": 1}
    assert known(filled, "moved/z.png")[0] == "a cat"


def test_a_copy_with_other_words_beside_it(filled: Desk):
    caption(filled, "a.txt", "a cat")
    filled.run()
    shutil.copy(filled.media / "a.png", filled.media / "album/a.png")
    caption(filled, "album/a.txt", "a dog")
    assert filled.did() == {"same": 6, "copied": 1, "described": 1}
    assert known(filled, "a.png")[0] == "a cat"
    assert known(filled, "album/a.png")[0] == "a dog"
    # two new files with the same bytes, of which one is embedded
    path = filled.picture("new1.png", 77)
    shutil.copy(path, filled.media / "new2.png")
    caption(filled, "new2.txt", "the second")
    assert filled.did() == {"same": 7, "added": 1, "copied": 1, "described": 1}
    assert known(filled, "new1.png")[0] == ""
    assert known(filled, "new2.png")[0] == "the second"
    assert filled.did() == {"same": 9}


def test_a_file_that_can_no_longer_be_read_keeps_what_it_had(filled: Desk):
    before = (filled.keys("b.png"), known(filled, "b.png"))
    path = filled.media / "b.png"
    status = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes(len(data) - 100))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a failing disk would have it
    caption(filled, "b.txt", "words")
    with filled.open() as collection:
        summary = index(collection, filled.embedder)
    assert did(summary) == {"same": 6}
    assert [path.name for path, _ in summary.notes] == ["b.png"]
    assert "damaged" in summary.notes[0][1]
    assert (filled.keys("b.png"), known(filled, "b.png")) == before
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert filled.did() == {"same": 6, "described": 1}
    assert known(filled, "b.png")[0] == "words"


def test_describing_stops_when_asked_and_goes_on_from_there(filled: Desk):
    for number in range(20):
        filled.picture(f"{number}.png", 100 + number)
    filled.run()
    forget_what_was_seen(filled)
    done = 0

    def progress(so_far: Progress) -> None:
        nonlocal done
        done = so_far.done

    with filled.open() as collection:
        options = IndexOptions(jobs=1, commit_files=1)
        first = index(collection, filled.embedder, (), options, progress, stop=lambda: done >= 5)
    assert first.interrupted
    assert 0 < first.described < 26
    second = filled.run()
    assert not second.interrupted
    assert first.described + second.described == 26


def test_what_is_described_while_it_changes_is_left_for_the_next_run(filled: Desk):
    caption(filled, "a.txt", "words")

    def change(_: object) -> None:
        filled.picture("a.png", 999)

    with filled.open() as collection:
        summary = index(collection, filled.embedder, progress=change)
    assert did(summary) == {"same": 6}
    assert filled.did() == {"same": 5, "changed": 1}
    assert known(filled, "a.png")[0] == "words"


@pytest.mark.timeout(60)
def test_a_long_video_is_given_up_at_once(filled: Desk):
    entry = next(entry for entry in scan(filled.media) if entry.path.suffix == ".mp4")
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1

    readings = (Reading(number, entry, True) for number in range(10**6))
    told = list(read_again(readings, sampling=Sampling("all"), target=64, workers=1, stop=stop))
    assert len(told) <= 3


def test_a_file_without_frames_is_told_of_and_nothing_else_is_lost(filled: Desk):
    good, bad = (filled.media / name for name in ("a.png", "b.png"))
    truncate(bad, 0.5)
    readings = [Reading(1, Entry(bad, 1, 1), True), Reading(2, Entry(good, 1, 1), True)]
    told = {one.reading.file_id: one for one in read_again(readings, sampling=Sampling(), target=64)}
    assert told[1].info is None
    assert "damaged" in told[1].reason
    assert told[2].info is not None
    assert len(told[2].looks) == 1


# ---------------------------------------------------------------------------------------------------------- the plan


def record(number: int, name: str, **told: object) -> FileRecord:
    fresh = FileRecord(number, 1, b"/s/" + name.encode(), "image", 3, 1, name.encode()[:1], "ok", "", False, True, SEEN)
    return fresh._replace(**told)


def test_the_plan_names_what_is_behind():
    entries = [
        Entry(Path("/s") / name, 3, 1, (), beside)
        for name, beside in zip("abcdefg", ["", "x", "x", "y", "", "", ""], strict=True)
    ]
    records = [
        record(1, "a"),
        record(2, "b", beside="x"),
        record(3, "c"),
        record(4, "d", beside="x"),
        record(5, "e", seen=SEEN - 1),
        record(6, "f", seen=0, status="failed", embedded=False),
        record(7, "g", seen=0, embedded=False),
    ]
    todo = plan(entries, records, lambda path: b"")
    assert [entry.path.name for entry in todo.described] == ["c", "d", "e"]
    assert [entry.path.name for entry in todo.to_embed()] == ["g"]


# ---------------------------------------------------------------------------------------------------------- the scan


def test_a_scan_finds_what_stands_beside_files(desk: Desk):
    desk.picture("a.png", 1)
    desk.picture("b.png", 2)
    for name in ("a.xmp", "a.png.txt", "c.txt", "._a.xmp"):
        caption(desk, name, "x")
    first, second = scan(desk.media)
    assert [path.name for path in first.sidecars] == ["a.xmp", "a.png.txt"]
    assert first.beside
    assert (second.sidecars, second.beside) == ((), "")
    # a source that is one file, and a walk that leads to one file
    assert next(scan(desk.media / "a.png")) == first
    assert list(scan(desk.media, within=desk.media / "a.png")) == [first]


def test_the_mark_changes_with_content_and_number_of_sidecars(desk: Desk):
    desk.picture("a.png", 1)

    def mark(*exclude: str) -> str:
        return next(scan(desk.media, exclude)).beside

    marks = [mark()]
    path = caption(desk, "a.txt", "one")
    marks.append(mark())
    caption(desk, "a.txt", "longer")
    marks.append(mark())
    os.utime(path, ns=(1, 1))
    marks.append(mark())
    caption(desk, "a.xmp", "x")
    marks.append(mark())
    assert len(set(marks)) == 5
    assert mark("*.xmp", "*.txt") == ""
    (desk.media / "a.xmp").unlink()
    (desk.media / "a.xmp").mkdir()
    assert mark() == marks[3]


def test_an_old_catalog_is_described_as_a_whole(filled: Desk):
    """A catalog of the version before there were marks of sidecars."""
    caption(filled, "a.txt", "a boat")
    filled.run()
    with closing(sqlite3.connect(filled.home / "catalog.sqlite")) as catalog:
        catalog.execute("ALTER TABLE files DROP COLUMN beside")
        catalog.execute("UPDATE alembic_version SET version_num = '0003'")
        catalog.execute("PRAGMA user_version = 3")
        catalog.execute("UPDATE files SET seen = 1")
        catalog.commit()
    with Collection.open(filled.home) as collection:
        assert {one.beside for one in collection.records()} == {""}
        assert np.isfinite(collection.search(np.eye(1, 64, dtype=np.float32), 3).scores).all()
    assert filled.did() == {"same": 6, "described": 6}
    assert known(filled, "a.png")[0] == "a boat"
