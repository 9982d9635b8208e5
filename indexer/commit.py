"""Writes what was embedded to the collection, in groups; a file counts as done once its group is committed."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from indexer.plan import Copy
from indexer.report import IndexOptions, Summary
from retrieval.embedding.base import all_alike
from retrieval.embedding.stream import Embedded, Failed
from retrieval.store import Collection, Entry
from retrieval.types import FloatMatrix

if TYPE_CHECKING:
    from retrieval.store.writer import Writer

Heading = Literal["added", "changed", "retried", "renewed"]
"""Under which heading of the summary a file is counted once it is embedded."""
State = Literal["as found", "changed", "vanished"]
_SOME = 256


class Task(NamedTuple):
    """What travels with a file through the stream."""

    entry: Entry
    source_id: int
    heading: Heading


class Committer:
    """Collects results and commits them each ``commit_s`` seconds or ``commit_files`` files.

    ``copies`` holds, by the path of a file to embed, the files with the same bytes: they follow once their original is
    in. ``late`` are those whose original turned out to be other than planned: they must be embedded themselves.
    """

    def __init__(
        self,
        collection: Collection,
        copies: Mapping[Path, Sequence[tuple[Copy, int]]],
        options: IndexOptions,
        summary: Summary,
    ) -> None:
        self.late: list[Task] = []
        self._collection = collection
        self._copies = copies
        self._options = options
        self._summary = summary
        self._some: dict[bytes, FloatMatrix] = {}  # the first vectors, by the content they are of
        self._waiting: list[Embedded | Failed] = []
        self._committed_s = self._saved_s = time.monotonic()

    def add(self, result: Embedded | Failed) -> None:
        """Take a result in; it may be committed at once or a little later."""
        self._waiting.append(result)
        if len(self._waiting) >= self._options.commit_files:
            self.flush()

    def tick(self) -> None:
        """Commit what has waited long enough, and save the vector index when that is due."""
        now = time.monotonic()
        if not self._waiting:
            self._committed_s = now
        elif now - self._committed_s >= self._options.commit_s:
            self.flush()
        if now - self._saved_s >= self._options.save_s:
            self.flush()
            self._collection.save_index(meanwhile=True)
            self._saved_s = time.monotonic()

    def suspicious(self) -> bool:
        """Return whether files of different content got nearly the same vector, so that searches would mean nothing."""
        return len(self._some) > 1 and all_alike(np.concatenate(list(self._some.values())))

    def flush(self) -> None:
        """Commit all that waits, then the copies of it.

        Raises:
            CollectionError: the collection cannot be written (a full disk, say); what was committed before stays.
        """
        if not self._waiting:
            return
        with self._collection.transaction() as writer:
            states = [_write(writer, result) for result in self._waiting]
        done, self._waiting = self._waiting, []
        for result, state in zip(done, states, strict=True):
            self._count(result, state)
        self._follow([(result, state) for result, state in zip(done, states, strict=True)])
        self._committed_s = time.monotonic()

    def _count(self, result: Embedded | Failed, state: State) -> None:
        task = _task(result)
        if state == "vanished":
            self._summary.vanished += 1
        elif isinstance(result, Failed):
            self._summary.failed.append((task.entry.path, result.reason))
        else:
            setattr(self._summary, task.heading, getattr(self._summary, task.heading) + 1)
            self._summary.embedded += 1
            self._summary.items += len(result.items)
            if len(self._some) < _SOME:
                self._some[result.digest] = result.vectors[:1]
            self._summary.notes.extend((task.entry.path, note) for note in result.notes)

    def _follow(self, done: Sequence[tuple[Embedded | Failed, State]]) -> None:
        """Store the copies of the files that were just committed."""
        led = [(result, state) for result, state in done if _task(result).entry.path in self._copies]
        if not led:
            return
        failed: list[tuple[Path, str]] = []
        copied = 0
        originals = {path: self._collection.find_file(path) for path in (_task(result).entry.path for result, _ in led)}
        with self._collection.transaction() as writer:
            for result, state in led:
                path = _task(result).entry.path
                original = originals[path]
                for copy, source_id in self._copies[path]:
                    if state != "as found" or original is None or result.digest != copy.digest:
                        self.late.append(Task(copy.entry, source_id, "added"))
                    elif isinstance(result, Failed):
                        writer.put_failed(source_id, copy.entry, result.reason, result.digest)
                        failed.append((copy.entry.path, result.reason))
                    else:
                        writer.copy(original.id, source_id, copy.entry)
                        copied += 1
        self._summary.failed.extend(failed)
        self._summary.copied += copied


def _task(result: Embedded | Failed) -> Task:
    assert isinstance(result.job.tag, Task)
    return result.job.tag


def _write(writer: "Writer", result: Embedded | Failed) -> State:
    """Store one result as it is true now: the file may have changed or vanished while it was embedded.

    A changed one is stored with the time it had before and without digest, so that the next run takes it for changed.
    """
    task = _task(result)
    state = state_of(task.entry)
    if state == "vanished":
        return state
    digest = (result.digest or None) if state == "as found" else None
    if isinstance(result, Failed):
        writer.put_failed(task.source_id, task.entry, result.reason, digest)
    else:
        writer.put(task.source_id, task.entry, result.info, digest, result.items, result.vectors)
    return state


def state_of(entry: Entry) -> State:
    """Return whether a file still is as the scan found it."""
    try:
        status = entry.path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "vanished"
    except OSError:
        return "changed"
    same = (status.st_size, status.st_mtime_ns) == (entry.size_bytes, entry.mtime_ns)
    return "as found" if same else "changed"
