"""What a run has still to embed, kept on the disk, so that files to come take no memory while others are read."""

import heapq
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

from indexer.commit import Heading, Task
from indexer.plan import Copy, Plan
from retrieval.errors import CollectionError
from retrieval.messages import _, reason_of
from retrieval.store import Entry

_IN_MEMORY_BYTES = 1 << 20
"""Up to so many bytes of tasks are held in memory: some thousand files."""

Owner = Callable[[Entry], int]
"""Tells the source an entry belongs to."""


class Backlog:
    """Tasks in the order they were written in; written once, read once, and gone when it is closed.

    ``folder`` is where the file lies if there are many: it has no name there, so a process that dies leaves nothing.
    """

    def __init__(self, tasks: Iterable[Task], folder: Path) -> None:
        """Write the tasks.

        Raises:
            CollectionError: the disk is full.
        """
        self._count = 0
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=str(folder))  # noqa: SIM115 (closed by close)
        try:
            for task in tasks:
                self._file.write(_line(task))
                self._count += 1
            self._file.seek(0)
        except OSError as error:
            self.close()
            raise CollectionError(
                _("cannot write to {folder} ({reason}); allow writing there").format(
                    folder=folder, reason=reason_of(error)
                )
            ) from error

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Task]:
        """Yield the tasks; a second time there are none left."""
        while line := self._file.readline():
            yield _task(line)

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Work(NamedTuple):
    """What is left of a plan once it was applied.

    ``copies`` are, by the path of a file to embed, the entries with the same bytes and their sources. ``described`` are
    the entries to read again.
    """

    backlog: Backlog
    copies: dict[Path, list[tuple[Copy, int]]]
    described: list[Entry]


def work_of(todo: Plan, new: Iterable[Task], owner: Owner, folder: Path) -> Work:
    """Return what is to be embedded and read again; ``todo`` and what ``owner`` holds are not needed any more.

    ``new`` are tasks beside those of ``todo``, ordered by path.

    Raises:
        CollectionError: the disk is full.
    """
    copies: dict[Path, list[tuple[Copy, int]]] = defaultdict(list)
    for copy in todo.copies:
        if isinstance(copy.origin, Path):
            copies[copy.origin].append((copy, owner(copy.entry)))
    heading = headings(todo)
    tasks = (Task(entry, owner(entry), heading(entry)) for entry in todo.to_embed())
    ordered = heapq.merge(tasks, new, key=lambda task: task.entry.raw)
    return Work(Backlog(ordered, folder), dict(copies), todo.described)


def headings(todo: Plan) -> Callable[[Entry], Heading]:
    """Return what tells under which heading a file to embed is counted."""
    changed = {pair.entry.raw for pair in todo.changed}
    retried = {pair.entry.raw for pair in todo.retried}
    renewed = {pair.entry.raw for pair in (*todo.pending, *todo.moved)}

    def heading(entry: Entry) -> Heading:
        if entry.raw in changed:
            return "changed"
        if entry.raw in retried:
            return "retried"
        return "renewed" if entry.raw in renewed else "added"

    return heading


def _line(task: Task) -> bytes:
    entry = task.entry
    sidecars = [os.fspath(path) for path in entry.sidecars]
    found = (os.fsdecode(entry.raw), entry.size_bytes, entry.mtime_ns, sidecars, entry.beside)
    # What is no text in a name comes as lone surrogates, which JSON writes as escapes: a line is plain ASCII.
    return json.dumps((*found, task.source_id, task.heading)).encode("ascii") + b"\n"


def _task(line: bytes) -> Task:
    name, size_bytes, mtime_ns, sidecars, beside, source_id, heading = json.loads(line)
    entry = Entry(os.fsencode(name), size_bytes, mtime_ns, tuple(map(Path, sidecars)), beside)
    return Task(entry, source_id, heading)
