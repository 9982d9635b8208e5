"""What is still to be embedded: comes back as it was written, and takes no memory while files are embedded."""

import gc
import os
from pathlib import Path

import pytest

from indexer import IndexOptions, index
from indexer.backlog import Backlog, headings
from indexer.commit import Task
from indexer.plan import Pair, Plan
from retrieval.errors import CollectionError
from retrieval.store import Entry, FileRecord
from tests.indexer.conftest import Desk

NAMES = (b"/m/plain.jpg", "/m/größe 犬.jpg".encode(), b"/m/no\xfftext.jpg", b"/m/two\nlines.jpg", b'/m/"quoted"\\.jpg')


def _tasks(count: int) -> list[Task]:
    found = []
    for number in range(count):
        raw = NAMES[number % len(NAMES)] + b"%d" % number
        sidecars = (Path(os.fsdecode(raw + b".xmp")), Path("/m/x.json")) if number % 3 == 0 else ()
        entry = Entry(raw, number * 10**9, 1_700_000_000_123_456_789 + number, sidecars, "mark" * (number % 2))
        found.append(Task(entry, number % 4, ("added", "changed", "retried", "renewed")[number % 4]))
    return found


@pytest.mark.parametrize("count", [0, 1, 7, 20_000])
def test_tasks_come_back_as_they_were_in_their_order(tmp_path: Path, count: int) -> None:
    tasks = _tasks(count)
    with Backlog(iter(tasks), tmp_path) as backlog:
        assert len(backlog) == count
        assert list(tmp_path.iterdir()) == []  # whatever is there has no name that a dead process could leave behind
        found = list(backlog)
    assert found == tasks
    assert all(type(task.entry) is Entry for task in found)


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="cannot write to") as caught:
        Backlog(_tasks(20_000), tmp_path / "missing")
    assert "\n" not in str(caught.value)


def test_headings_tell_why_a_file_is_embedded() -> None:
    entries = [Entry(b"/m/%d.jpg" % number, 1, 1) for number in range(5)]
    records = [FileRecord(n, 1, e.raw, "image", 1, 1, None, "ok", "", False, False) for n, e in enumerate(entries)]
    pairs = [Pair(record, entry) for record, entry in zip(records, entries, strict=True)]
    todo = Plan(new=entries[:1], changed=pairs[1:2], retried=pairs[2:3], pending=pairs[3:4], moved=pairs[4:])
    heading = headings(todo)
    assert [heading(entry) for entry in entries] == ["added", "changed", "retried", "renewed", "renewed"]


def test_lists_of_all_files_are_gone_while_files_are_embedded(desk: Desk) -> None:
    """Else memory would grow with the number of files: only what is under way may be held."""
    files = 120
    for seed in range(files):
        desk.picture(f"{seed:03}.png", seed)
    held: list[int] = []

    def count(_progress: object) -> None:
        gc.collect()
        held.append(sum(type(one) is Entry for one in gc.get_objects()))

    with desk.open() as collection:
        index(collection, desk.embedder, [desk.media], IndexOptions(jobs=1, commit_files=8), progress=count)
    assert len(held) > files
    assert max(held) < files // 2
