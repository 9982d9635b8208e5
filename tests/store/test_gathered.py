"""What a scan found, on the disk: it comes back as it was, and what is like no other file is told apart."""

import os
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from retrieval.store import Entry
from retrieval.store.gathered import Found, Gathered

NAMES = (b"/m/plain.jpg", "/m/größe 犬.jpg".encode(), b"/m/no\xfftext.jpg", b"/m/two\nlines.jpg", b'/m/"quoted".jpg')


@pytest.fixture
def gathered() -> Iterator[Gathered]:
    with closing(Gathered()) as made:
        yield made


def unread(path: Path) -> bytes:
    raise AssertionError(f"{path} need not be read")


def names(found: Iterator[Found]) -> list[str]:
    return [one.entry.path.name for one in found]


def test_entries_come_back_as_they_were_by_path(gathered: Gathered) -> None:
    entries = [
        Entry(raw, 10**12 + number, 1_700_000_000_123_456_789, (Path(os.fsdecode(raw + b".xmp")),) * (number % 2), "x")
        for number, raw in enumerate(NAMES)
    ]
    for number, entry in enumerate(entries):
        gathered.add(entry, number)
    gathered.add(entries[2]._replace(size_bytes=1), 9)  # another way leads there too
    assert len(gathered) == len(entries)
    found = list(gathered.others())
    assert found == [Found(entry, entries.index(entry)) for entry in sorted(entries)]
    assert all(type(one.entry) is Entry for one in found)
    assert [gathered.root_of(entry) for entry in entries] == [0, 1, 2, 3, 4]
    assert list(gathered.alone()) == []
    assert gathered.count_alone() == 0


def test_nothing_found_is_nothing(gathered: Gathered) -> None:
    assert (len(gathered), list(gathered.others()), list(gathered.alone()), gathered.count_alone()) == (0, [], [], 0)


def test_what_has_a_size_of_its_own_is_told_apart_unread(gathered: Gathered) -> None:
    for number in range(1200):  # more than a page
        gathered.add(Entry(b"/m/%04d.jpg" % number, number, 1), 0)
    gathered.tell_apart([b"/m/0003.jpg"], [7, 99_999], unread)
    assert names(gathered.others()) == ["0003.jpg", "0007.jpg"]
    assert gathered.count_alone() == len(list(gathered.alone())) == 1198


def test_of_equal_sizes_the_content_decides(gathered: Gathered, tmp_path: Path) -> None:
    contents = {"a": b"one", "b": b"two", "c": b"one", "d": b"three", "e": b"ten", "known": b"four", "size": b"five"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        gathered.add(Entry(tmp_path / name, len(content), 1), 0)
    (tmp_path / "e").unlink()
    asked: list[str] = []

    def digest(path: Path) -> bytes:
        asked.append(path.name)
        return path.read_bytes()

    gathered.tell_apart([os.fsencode(tmp_path / "known")], [], digest)
    assert names(gathered.others()) == ["a", "c", "known", "size"]  # "size" has that of one at a known path
    assert names(gathered.alone()) == ["b", "d", "e"]
    assert asked == ["a", "b", "c", "e"]
    assert gathered.digest_of(tmp_path / "b") == b"two"
    assert gathered.digest_of(tmp_path / "d") is None
    assert gathered.digest_of(tmp_path / "elsewhere") is None


def test_entries_take_no_memory() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        with closing(Gathered()) as gathered:
            for number in range(count):
                gathered.add(Entry(b"/media/%09d.jpg" % number, number % 100, number), 0)
            gathered.tell_apart((), (), lambda path: path.name.encode().ljust(32))
            assert sum(1 for _one in gathered.alone()) == count
            most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    # The interpreter's own table of names grows now and then; it does so in one of a few rounds at the most.
    few, many = (min(peak(count) for _round in range(3)) for count in (2000, 20_000))
    assert many < 2 * few
