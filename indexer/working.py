"""Embeds what a run has to embed, and reads again what more can be told of; imported only where there is any of it."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

from indexer.backlog import Work
from indexer.commit import Committer, Task
from indexer.describing import Describer, Reading, Told, read_again
from indexer.report import Listener, Progress, Step
from retrieval.config import Sampling
from retrieval.embedding.batches import MANY, tune_batch
from retrieval.embedding.stream import Embedded, Failed, Job, embed_stream
from retrieval.errors import ModelError
from retrieval.messages import _
from retrieval.store import Entry


class Worker(Step):
    """Does the work of one run; ``stop`` is asked several times a second."""

    def do(self, work: Work) -> bool:
        """Embed and describe; return whether all of it was done."""
        meter = _Meter(self._progress)
        with work.backlog:
            return self._embed(work, meter) and self._describe(work.described, meter)

    def _embed(self, work: Work, meter: "_Meter") -> bool:
        """Embed what must be, and let copies follow their originals; return whether all of it was done."""
        committer = Committer(self._collection, work.copies, self._options, self._summary)
        count, tasks = len(work.backlog), iter(work.backlog)
        if count >= MANY or (count and self._options.batch):
            tune_batch(self._embedder, self._options.batch)
        while count:
            if not self._stream(tasks, count, committer, meter):
                return False
            late, committer.late = committer.late, []
            count, tasks = len(late), iter(late)
        if committer.suspicious():
            found = _("all pictures got nearly the same vector, so searches mean nothing; use another model: {command}")
            self._collection.notes.append(found.format(command="sightseek index --model NAME --reembed"))
        return True

    def _stream(self, tasks: Iterator[Task], count: int, committer: Committer, meter: "_Meter") -> bool:
        """Embed ``count`` tasks; what is finished is committed however the stream ends."""
        meter.expect(count)

        def stop() -> bool:
            # The stream asks several times a second, also while a long video lets no result through.
            committer.tick()
            return self._stop()

        jobs = (Job(task.entry.path, task, task.entry.sidecars) for task in tasks)
        try:
            with closing(self._results(jobs, stop)) as results:
                for result in results:
                    committer.add(result)
                    meter.step(result.job.path, 0 if isinstance(result, Failed) else len(result.items))
        except ModelError:
            committer.flush()
            raise
        committer.flush()
        return meter.done == meter.total

    def _describe(self, entries: list[Entry], meter: "_Meter") -> bool:
        """Read again what more can be told of; return whether all of it was."""
        if not entries:
            return True
        describer = Describer(self._collection, self._options, self._summary)
        meter.expect(len(entries))
        size = self._embedder.spec.preprocessing

        def stop() -> bool:
            describer.tick()
            return self._stop()

        readings = describer.readings(entries)
        read = 0
        with closing(self._told(readings, max(size.height, size.width), stop)) as results:
            for told in results:
                read += 1
                describer.add(told)
                meter.step(told.reading.entry.path, 0)
        describer.flush()
        return read == describer.begun and next(readings, None) is None

    def _told(self, readings: Iterator[Reading], target: int, stop: Callable[[], bool]) -> Generator[Told, None, None]:
        sampling, workers = self._sampling(), self._options.jobs
        yield from read_again(readings, sampling=sampling, target=target, workers=workers, stop=stop)

    def _sampling(self) -> Sampling:
        return self._collection.building_sampling or self._collection.manifest.sampling

    def _results(self, jobs: Iterator[Job], stop: Callable[[], bool]) -> Generator[Embedded | Failed, None, None]:
        workers = self._options.jobs
        yield from embed_stream(jobs, self._embedder, sampling=self._sampling(), workers=workers, stop=stop)


class _Meter:
    """Tells the listener how far embedding is."""

    def __init__(self, listener: Listener | None) -> None:
        self.done = self.total = 0
        self._items = 0
        self._listener = listener
        self._began_s = time.monotonic()

    def expect(self, files: int) -> None:
        self.total += files
        if self._listener is not None:
            self._listener(Progress(self.done, self.total, self._items, 0.0, None, None))

    def step(self, path: Path, items: int) -> None:
        self.done += 1
        self._items += items
        if self._listener is not None:
            rate = self.done / max(time.monotonic() - self._began_s, 1e-6)
            left_s = (self.total - self.done) / rate
            self._listener(Progress(self.done, self.total, self._items, rate, left_s, path))
