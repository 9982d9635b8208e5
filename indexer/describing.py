"""Reads files again for what they say of themselves and what they look like; nothing is embedded.

Threads of their own read ahead, as in ``embedding.stream``; there is no model that could be kept waiting, so a few
files at a time will do.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from indexer.commit import state_of
from indexer.plan import is_behind
from indexer.report import IndexOptions, Summary
from retrieval.config import Sampling
from retrieval.embedding.stream import default_workers, never
from retrieval.errors import MediaError
from retrieval.media import SEEN, open_media
from retrieval.messages import N_
from retrieval.store import Collection, Entry
from retrieval.types import Item, MediaInfo

_POLL_S = 0.1
_JOIN_S = 5.0


class Reading(NamedTuple):
    """A file to read again: ``whole`` with all its frames, or only what it and its sidecars say."""

    file_id: int
    entry: Entry
    whole: bool


class Told(NamedTuple):
    """What was read of a file; ``looks`` are its items as they would be embedded, none when it was not read whole.

    ``reason`` says in one line why nothing could be read; ``info`` is ``None`` then.
    """

    reading: Reading
    info: MediaInfo | None
    looks: tuple[Item, ...] = ()
    reason: str = ""


def read_again(
    readings: Iterable[Reading],
    *,
    sampling: Sampling,
    target: int,
    workers: int = 0,
    stop: Callable[[], bool] = never,
) -> Iterator[Told]:
    """Yield what files tell, in the order of completion, one for each reading.

    ``sampling`` and ``target`` are those the files were embedded with. Once ``stop()`` is true no file is begun, and
    one that is being read is given up; what was read by then still comes. Closing the generator ends the threads.
    """
    count = workers if workers > 0 else default_workers()
    readers = _Readers(sampling, target, count)
    feed = iter(readings)
    waiting, exhausted = 0, False
    try:
        while not stop():
            while not exhausted and waiting < 2 * count:
                reading = next(feed, None)
                exhausted = reading is None
                if reading is not None:
                    readers.begin(reading)
                    waiting += 1
            if not waiting:
                return
            for told in readers.done():
                waiting -= 1
                yield told
        yield from readers.done(wait=False)
    finally:
        readers.close()


class Describer:
    """Commits what was told, each ``commit_s`` seconds or ``commit_files`` files; ``begun`` counts its readings."""

    def __init__(self, collection: Collection, options: IndexOptions, summary: Summary) -> None:
        self._collection, self._options, self._summary = collection, options, summary
        self.begun = 0
        self._waiting: list[Told] = []
        self._committed_s = time.monotonic()

    def readings(self, entries: Iterable[Entry]) -> Iterator[Reading]:
        """Yield what has to be read for these entries, as the catalog stands when each is asked for."""
        for entry in entries:
            record = self._collection.find_file(entry.path)
            if record is not None and record.embedded and is_behind(record, entry):
                self.begun += 1
                yield Reading(record.id, entry, record.seen < SEEN)

    def add(self, told: Told) -> None:
        """Take in what was told of a file; it is committed at once or a little later."""
        self._waiting.append(told)
        if len(self._waiting) >= self._options.commit_files:
            self.flush()

    def tick(self) -> None:
        """Commit what has waited long enough."""
        if time.monotonic() - self._committed_s >= self._options.commit_s:
            self.flush()

    def flush(self) -> None:
        """Commit all that waits; a file that has changed meanwhile is left to the next run.

        Raises:
            CollectionError: the collection cannot be written; what was committed before stays.
        """
        waiting, self._waiting = self._waiting, []
        self._committed_s = time.monotonic()
        read = [told for told in waiting if told.info is not None and state_of(told.reading.entry) == "as found"]
        unread = ((told.reading.entry.path, told.reason) for told in waiting if told.info is None)
        kept = N_("kept as it was, since it cannot be read again: {reason}")
        self._summary.notes.extend((path, kept.format(reason=why)) for path, why in unread)
        if not read:
            return
        with self._collection.transaction() as writer:
            for (file_id, entry, _), info, looks, _ in read:
                assert info is not None
                writer.describe(file_id, info, looks, entry.beside)
        self._summary.described += len(read)


class _Readers:
    """The threads, what they have to read, and what they have read."""

    def __init__(self, sampling: Sampling, target: int, count: int) -> None:
        self._sampling, self._target = sampling, target
        self._jobs: queue.SimpleQueue[Reading | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._work, name=f"read-{i}", daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def begin(self, reading: Reading) -> None:
        self._jobs.put(reading)

    def done(self, *, wait: bool = True) -> Iterator[Told]:
        """Yield what the threads have finished; ``wait`` a moment when that is nothing yet."""
        try:
            if wait:
                yield self._results.get(timeout=_POLL_S)
            while True:
                yield self._results.get_nowait()
        except queue.Empty:
            return

    def close(self) -> None:
        """End the threads; one that hangs in a read or a decoder is left behind after a while, and ends by itself."""
        self._closing.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _work(self) -> None:
        while (reading := self._jobs.get()) is not None and not self._closing.is_set():
            told = self._read(reading)
            if told is not None:
                self._results.put(told)

    def _read(self, reading: Reading) -> Told | None:
        """Return what a file tells, or ``None`` when it was given up."""
        looks: list[Item] = []
        try:
            with open_media(reading.entry.path, self._sampling, self._target, reading.entry.sidecars) as media:
                for sample in media if reading.whole else ():
                    if self._closing.is_set():
                        return None
                    looks.append(sample.item)
                return Told(reading, media.info, tuple(looks))
        except BaseException as error:  # whatever a decoder raises (panics of extensions too) concerns this file alone
            reason = str(error) if isinstance(error, MediaError) else f"{type(error).__name__}: {error}"
            return Told(reading, None, reason=" ".join(reason.split()))
