"""Laws of the plan, over invented worlds: paths with content and time, and a catalog that is brought up to date."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.plan import Plan, Rest, is_behind, plan
from retrieval.media import SEEN
from retrieval.store import Entry, FileRecord

BAD = b"bad"


class Known(NamedTuple):
    """A catalog in memory: records, and what their vectors were made of."""

    records: dict[int, FileRecord]
    vectors: dict[int, bytes]


World = dict[str, tuple[bytes, int]]
Marks = dict[str, str]
"""What stands beside the files of a world."""


class OutOfSight(Rest):
    """Nobody looked where the files are that were not found."""

    def missing(self, record: FileRecord) -> bool:
        return False


class Settled(Rest):
    """Some records were left out, since their files were found just as they are known."""

    def __init__(self, records: list[FileRecord]) -> None:
        self.records = records

    def elsewhere(self, sizes: Sequence[int]) -> list[FileRecord]:
        return [one for one in self.records if one.size_bytes in sizes]


names = st.sampled_from(["a.jpg", "b.jpg", "c.jpg", "d/a.jpg", "d/b.jpg", "e/a.jpg", "e/\udcff.jpg", "e/a\nb.jpg"])
contents = st.sampled_from([b"one", b"two", b"six", b"three", b"seven", BAD, b"eleven"])
worlds = st.dictionaries(names, contents, max_size=8)
marks = st.dictionaries(names, st.sampled_from(["x", "y"]), max_size=4)


def entries_of(world: World, beside: Marks | None = None) -> list[Entry]:
    return [
        Entry(Path("/src") / name, len(content), mtime, (), (beside or {}).get(name, ""))
        for name, (content, mtime) in world.items()
    ]


def reader(world: World):
    return lambda path: world[os.fspath(path).removeprefix("/src/")][0]


def dated(steps: list[dict[str, bytes]], touched: set[int]) -> list[World]:
    """Give each file the number of the step it changed in as its time; ``touched`` steps touch all that is there."""
    dates: list[World] = []
    for number, step in enumerate(steps):
        before = dates[-1] if dates else {}
        dates.append(
            {
                name: before[name]
                if before.get(name, (None,))[0] == content and number not in touched
                else (content, number)
                for name, content in step.items()
            }
        )
    return dates


def plan_of(known: Known, world: World, beside: Marks | None = None, **options) -> Plan:
    return plan(entries_of(world, beside), known.records.values(), reader(world), **options)


def record(number: int, entry: Entry, content: bytes) -> FileRecord:
    ok = content != BAD
    status = "ok" if ok else "failed"
    kind = "image" if ok else None
    about = (entry.raw, kind, entry.size_bytes, entry.mtime_ns, content)
    return FileRecord(number, 1, *about, status, "", False, ok, SEEN, entry.beside)


def apply(known: Known, todo: Plan, world: World) -> None:
    """Do what the pipeline does, on the catalog in memory."""
    records = known.records
    move(records, todo)
    for pair in (*todo.moved, *todo.touched, *todo.returned):
        records[pair.record.id] = records[pair.record.id]._replace(mtime_ns=pair.entry.mtime_ns, gone=False)
    for one in todo.gone:
        records[one.id] = one._replace(gone=True)
    for copy in todo.copies:
        if isinstance(copy.origin, FileRecord):
            put(known, copy.entry._replace(beside=copy.origin.beside), copy.digest, known.vectors[copy.origin.id])
    for entry in todo.to_embed():
        content = reader(world)(entry.path)
        put(known, entry, content, content)
    by_path = {one.path: one.id for one in records.values()}
    for copy in todo.copies:
        if isinstance(copy.origin, Path):
            original = records[by_path[copy.origin]]
            put(known, copy.entry._replace(beside=original.beside), copy.digest, known.vectors[original.id])
    by_path = {one.path: one.id for one in records.values()}
    for entry in todo.described:
        records[by_path[entry.path]] = records[by_path[entry.path]]._replace(seen=SEEN, beside=entry.beside)


def move(records: dict[int, FileRecord], todo: Plan) -> None:
    """Move records one after the other; one whose place is taken is set aside, and dropped if it has not moved on."""
    for pair in todo.moved:
        for other in [one for one in records.values() if one.path == pair.entry.path]:
            records[other.id] = other._replace(raw=f"/set aside/{other.id}".encode())
        records[pair.record.id] = records[pair.record.id]._replace(raw=pair.entry.raw)
    for other in [one for one in records.values() if one.path.parts[1] == "set aside"]:
        del records[other.id]


def put(known: Known, entry: Entry, content: bytes, vectors: bytes) -> None:
    """Store a file in place of what was at its path."""
    for old in [number for number, one in known.records.items() if one.path == entry.path]:
        del known.records[old]
    number = max(known.vectors, default=0) + 1
    known.records[number] = record(number, entry, content)
    known.vectors[number] = vectors


def paths_in(todo: Plan) -> Counter[Path]:
    pairs = (*todo.changed, *todo.retried, *todo.pending, *todo.moved)
    more = (*todo.touched, *todo.returned, *todo.same, *todo.failed)
    entries = [pair.entry for pair in (*pairs, *more)] + [copy.entry for copy in todo.copies] + todo.new
    return Counter(entry.path for entry in entries)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(worlds, marks), min_size=1, max_size=4), st.sets(st.integers(0, 3)), st.randoms())
def test_laws(steps, touched, random):
    known = Known({}, {})
    for world, beside in zip(dated([step for step, _ in steps], touched), (step[1] for step in steps), strict=True):
        before = dict(known.records)
        todo = plan_of(known, world, beside)
        # what is described is no new class, and is not embedded as well
        told = Counter(entry.path for entry in todo.described)
        assert told <= paths_in(todo)
        assert not {entry.path for entry in todo.to_embed()} & set(told)
        # each entry is in exactly one class
        assert paths_in(todo) == Counter(entry.path for entry in entries_of(world))
        # nothing is both moved and gone, and no record moves twice
        moved = [pair.record.id for pair in todo.moved]
        assert len(set(moved)) == len(moved)
        assert not set(moved) & {one.id for one in todo.gone}
        # the order of what comes in does not matter
        entries, records = entries_of(world, beside), list(before.values())
        random.shuffle(entries)
        random.shuffle(records)
        assert plan(entries, records, reader(world)) == todo
        # the same bytes are embedded at most once, and never when they are known
        read = reader(world)
        fresh = Counter(read(entry.path) for entry in todo.to_embed() if read(entry.path) != BAD)
        assert max(fresh.values(), default=0) <= 1
        assert not set(fresh) & {one.digest for one in before.values()}
        # what is found just as it is known may be left out
        settled = {one.record.raw for one in todo.same if not is_behind(*one)}
        rest = Settled([one for one in records if one.raw in settled])
        entries, records = ([one for one in some if one.raw not in settled] for some in (entries, records))
        slim = plan(entries, records, read, rest=rest)
        assert slim == replace(todo, same=[one for one in todo.same if one.record.raw not in settled])
        apply(known, todo, world)
        # the catalog now holds each file once, with vectors of its own content
        present = [one for one in known.records.values() if not one.gone]
        assert Counter(one.path for one in present) == Counter(e.path for e in entries_of(world))
        for one in present:
            content = world[os.fspath(one.path).removeprefix("/src/")][0]
            assert one.digest == content
            assert one.status == "failed" or known.vectors[one.id] == content
            assert one.status == "failed" or one.beside == beside.get(os.fspath(one.path).removeprefix("/src/"), "")
        # and nothing is left to do
        again = plan_of(known, world, beside)
        assert again == Plan(same=again.same, failed=again.failed)


@settings(max_examples=100, deadline=None)
@given(worlds, worlds)
def test_what_is_not_missing_is_neither_gone_nor_moved(first, second):
    known = Known({}, {})
    one, two = dated([first, second], set())
    apply(known, plan_of(known, one), one)
    todo = plan_of(known, two, rest=OutOfSight())
    assert todo.gone == []
    # what moves is only what something else has taken the place of
    assert {pair.record.path for pair in todo.moved} <= {entry.path for entry in entries_of(two)}
    assert paths_in(todo) == Counter(entry.path for entry in entries_of(two))


def asked(known: Known, world: World) -> list[str]:
    names: list[str] = []

    def digest(path: Path) -> bytes:
        names.append(path.name)
        return reader(world)(path)

    plan(entries_of(world), known.records.values(), digest)
    return names


def test_digests_are_asked_only_where_sizes_collide():
    known = Known({}, {})
    world: World = {"a.jpg": (b"one", 1), "b.jpg": (b"three", 1)}
    assert asked(known, world) == []
    apply(known, plan_of(known, world), world)
    assert asked(known, world) == []
    assert asked(known, world | {"c.jpg": (b"eleven", 1)}) == []
    assert asked(known, world | {"c.jpg": (b"two", 1)}) == ["c.jpg"]
    assert asked(known, world | {"a.jpg": (b"one", 2)}) == ["a.jpg"]
    assert asked(known, world | {"a.jpg": (b"longest", 2)}) == []


def test_a_folder_moved_as_a_whole_keeps_each_file_by_name():
    known = Known({}, {})
    before: World = {"d/a.jpg": (b"one", 1), "d/b.jpg": (b"one", 1), "d/c.jpg": (b"two", 1)}
    apply(known, plan_of(known, before), before)
    after: World = {name.replace("d/", "a/"): value for name, value in before.items()}
    todo = plan_of(known, after)
    assert {(p.record.path.name, p.entry.path.name) for p in todo.moved} == {
        (n, n) for n in ("a.jpg", "b.jpg", "c.jpg")
    }
    assert todo == Plan(moved=todo.moved)


def test_a_file_moved_and_copied_keeps_its_keys_once():
    known = Known({}, {})
    before: World = {"a.jpg": (b"one", 1)}
    apply(known, plan_of(known, before), before)
    todo = plan_of(known, {"b.jpg": (b"one", 1), "c.jpg": (b"one", 1)})
    assert [p.entry.path.name for p in todo.moved] == ["b.jpg"]
    assert [(c.entry.path.name, c.origin) for c in todo.copies] == [("c.jpg", todo.moved[0].record)]
    assert todo.gone == []


def test_unreadable_files_count_as_new():
    known = Known({}, {})
    world: World = {"a.jpg": (b"one", 1), "b.jpg": (b"two", 1)}

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    todo = plan(entries_of(world), known.records.values(), refuse)
    assert [entry.path.name for entry in todo.new] == ["a.jpg", "b.jpg"]
    apply(known, todo, world)
    later: World = {"a.jpg": (b"one", 2), "b.jpg": (b"two", 1)}
    todo = plan(entries_of(later), known.records.values(), refuse)
    assert [pair.entry.path.name for pair in todo.changed] == ["a.jpg"]


def test_failed_files_wait_until_they_change_or_are_asked_for():
    known = Known({}, {})
    world: World = {"a.jpg": (BAD, 1), "b.jpg": (b"two", 1)}
    apply(known, plan_of(known, world), world)
    assert [p.entry.path.name for p in plan_of(known, world).failed] == ["a.jpg"]
    assert [p.entry.path.name for p in plan_of(known, world, retry_failed=True).retried] == ["a.jpg"]
    mended: World = world | {"a.jpg": (b"fine", 2)}
    assert [p.entry.path.name for p in plan_of(known, mended).changed] == ["a.jpg"]
    moved: World = {"e/a.jpg": (BAD, 1), "b.jpg": (b"two", 1)}
    assert [p.entry.path.name for p in plan_of(known, moved).moved] == ["a.jpg"]


@pytest.mark.parametrize("gone", [False, True])
def test_records_without_vectors_are_pending(gone):
    entry = Entry(Path("/src/a.jpg"), 3, 1)
    bare = record(1, entry, b"one")._replace(embedded=False, gone=gone)
    todo = plan([entry], [bare], lambda path: b"one")
    assert [pair.record for pair in todo.pending] == [bare]
    assert todo.to_embed() == [entry]
    elsewhere = Entry(Path("/src/b.jpg"), 3, 1)
    todo = plan([elsewhere], [bare], lambda path: b"one")
    assert [pair.record for pair in todo.moved] == [bare]
    assert todo.to_embed() == [elsewhere]


def test_copies_are_not_looked_for_while_a_model_is_exchanged():
    old = record(1, Entry(Path("/src/a.jpg"), 3, 1), b"one")
    entries = [Entry(Path(f"/src/{name}.jpg"), 3, 1) for name in "abc"]
    todo = plan(entries, [old], lambda path: b"one", recognise=False)
    assert [entry.path.name for entry in todo.new] == ["b.jpg", "c.jpg"]
    assert todo.copies == []
