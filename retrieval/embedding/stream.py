"""Bounded look-ahead from files to vectors: decoding threads run ahead of the encoder, batches reach across files.

The calling thread forms batches and runs the model; worker threads read files, decode, and scale to the tower's size.
At most ``_BATCHES_AHEAD`` batches of scaled samples exist at any time, whatever the number of files or the length of
a video: a worker waits for a free place before it hands over a sample. Since that is more than the encoder gathers for
one batch, a worker that waits for a place always has an encoder that is about to free some, so nothing can lock up.
"""

import errno
import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.config import Sampling
from retrieval.embedding.base import Embedder, processors, usable
from retrieval.errors import MediaError
from retrieval.media import open_media
from retrieval.messages import N_
from retrieval.types import FloatMatrix, Item, MediaInfo, Pixels

_BATCHES_AHEAD = 4
_POLL_S = 0.1
_JOIN_S = 5.0
_BLOCK_BYTES = 1 << 20


class Job(NamedTuple):
    """A file to embed, with the files beside it that speak of it; ``tag`` travels through to the result."""

    path: Path
    tag: object = None
    sidecars: tuple[Path, ...] = ()


class Embedded(NamedTuple):
    """A file's items and their vectors, ``(n, dim) float32`` rows of length 1, in the order of ``items``.

    ``digest`` is the ``content_digest`` of the file, empty when none was asked for.
    """

    job: Job
    info: MediaInfo
    digest: bytes
    items: tuple[Item, ...]
    vectors: FloatMatrix
    notes: tuple[str, ...]


class Failed(NamedTuple):
    """A file that gave no vectors; ``reason`` is one line without the path."""

    job: Job
    reason: str
    digest: bytes | None


def never() -> bool:
    """Return False: the default of ``stop``."""
    return False


def content_digest(path: Path, cancelled: Callable[[], bool] = never) -> bytes:
    """Return the 20-byte BLAKE2b of the whole file, read in blocks.

    Raises:
        OSError: the file cannot be read, or is no regular file.
        InterruptedError: ``cancelled()`` became true between two blocks.
    """
    found = hashlib.blake2b(digest_size=20)
    if not path.is_file():
        path.stat()
        raise OSError(errno.EINVAL, N_("not a regular file"))
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            if cancelled():
                raise InterruptedError("cancelled")
            found.update(block)
    return found.digest()


def embed_stream(
    jobs: Iterable[Job],
    embedder: Embedder,
    *,
    sampling: Sampling = Sampling(),  # noqa: B008 - a frozen value
    workers: int = 0,
    digest: bool = True,
    stop: Callable[[], bool] = never,
) -> Iterator[Embedded | Failed]:
    """Embed files as they are decoded; results come in the order of completion, one for each job.

    ``jobs`` is read lazily and in the calling thread. ``workers`` 0 chooses by the processors. A file that cannot be
    read, fails halfway, or has a vector that is not finite is a ``Failed`` and leaves its neighbours alone. Once
    ``stop()`` is true no file is begun, files that are decoded whole are still embedded and yielded, the rest is
    dropped without a result. Closing the generator ends the threads.

    Raises:
        ModelError: the model itself cannot be loaded or run.
    """
    pool = _Pool(embedder, sampling, workers if workers > 0 else default_workers(), digest)
    encoder = _Encoder(embedder, pool)
    feed = iter(jobs)
    exhausted = False
    try:
        while not stop():
            while not exhausted and pool.hungry():
                job = next(feed, None)
                exhausted = job is None
                if job is not None:
                    pool.begin(_File(job))
            if pool.active == 0:
                yield from encoder.flush()
                return
            yield from encoder.take(pool.events())
        yield from encoder.finish(pool.halt())
    finally:
        pool.close()


def default_workers() -> int:
    """Return how many decoding threads suit this machine: one for each processor, at most 8."""
    return min(8, processors())


@dataclass(eq=False)
class _File:
    """What is known of a file on its way; only the encoder's thread touches it after ``begin``."""

    job: Job
    items: list[Item] = field(default_factory=list)
    vectors: list[FloatMatrix] = field(default_factory=list)
    waiting: int = 0
    good: bool = True


class _Sampled(NamedTuple):
    file: _File
    item: Item
    pixels: Pixels


class _Decoded(NamedTuple):
    file: _File
    info: MediaInfo
    digest: bytes
    notes: tuple[str, ...]


class _Broken(NamedTuple):
    file: _File
    reason: str
    digest: bytes | None


_Event = _Sampled | _Decoded | _Broken


class _Pool:
    """The decoding threads, their jobs, and the places for samples in flight."""

    def __init__(self, embedder: Embedder, sampling: Sampling, workers: int, digest: bool) -> None:
        self.active = 0
        self._embedder, self._sampling, self._digest = embedder, sampling, digest
        self._target = max(embedder.spec.preprocessing.height, embedder.spec.preprocessing.width)
        # Enough files for the threads to stay busy while a batch is embedded and its results are consumed.
        self._ahead = 2 * workers + _BATCHES_AHEAD * embedder.batch_size
        self._jobs: queue.SimpleQueue[_File | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._places = threading.Semaphore(_BATCHES_AHEAD * embedder.batch_size)
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._work, name=f"decode-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def hungry(self) -> bool:
        """Return whether another file may be begun."""
        return self.active < self._ahead

    def begin(self, file: _File) -> None:
        self.active += 1
        self._jobs.put(file)

    def events(self) -> list[_Event]:
        """Return what the threads have handed over; waits a moment when that is nothing yet."""
        found = []
        try:
            found.append(self._events.get(timeout=_POLL_S))
        except queue.Empty:
            return []
        return found + self._drain()

    def halt(self) -> list[_Event]:
        """Stop decoding and return what was handed over before."""
        self.close()
        return self._drain()

    def free(self, places: int) -> None:
        """Give back the places of samples that are embedded or dropped."""
        if places:
            self._places.release(places)

    def close(self) -> None:
        """End the threads; one that hangs in a read or a decoder is left behind after a while, and ends by itself."""
        self._closing.set()
        for _ in self._threads:
            self._jobs.put(None)
            self._places.release()
        for thread in self._threads:
            thread.join(_JOIN_S)
        self._threads = []

    def _drain(self) -> list[_Event]:
        found = []
        while True:
            try:
                found.append(self._events.get_nowait())
            except queue.Empty:
                return found

    def _work(self) -> None:
        while (file := self._jobs.get()) is not None and not self._closing.is_set():
            self._decode(file)

    def _decode(self, file: _File) -> None:
        """Hand over the samples of a file and then one event that says how it ended (none when it was cancelled)."""
        found: bytes | None = None
        try:
            if self._digest:
                found = content_digest(file.job.path, self._closing.is_set)
            with open_media(file.job.path, self._sampling, self._target, file.job.sidecars) as media:
                for sample in media:
                    pixels = self._embedder.preprocess(sample.pixels)
                    self._places.acquire()
                    if self._closing.is_set():
                        return
                    self._events.put(_Sampled(file, sample.item, pixels))
                self._events.put(_Decoded(file, media.info, found or b"", tuple(media.notes)))
        except BaseException as error:  # whatever a decoder raises (panics of extensions too) concerns this file alone
            if not self._closing.is_set():
                self._events.put(_Broken(file, _reason(error), found))


class _Encoder:
    """Gathers samples to batches, runs the model, and hands out files whose last sample is embedded."""

    def __init__(self, embedder: Embedder, pool: _Pool) -> None:
        self._embedder, self._pool = embedder, pool
        self._pending: list[_Sampled] = []
        self._decoded: dict[_File, _Decoded] = {}

    def take(self, events: Iterable[_Event]) -> Iterator[Embedded | Failed]:
        """Take in what was decoded, embed each full batch, and yield what became complete."""
        for event in events:
            if isinstance(event, _Sampled):
                event.file.waiting += 1
                self._pending.append(event)
                if len(self._pending) >= self._embedder.batch_size:
                    yield from self.flush()
                continue
            self._pool.active -= 1
            if isinstance(event, _Broken):
                self._drop(event.file)
                yield Failed(event.file.job, event.reason, event.digest)
            elif event.file.waiting:
                self._decoded[event.file] = event
            else:
                yield self._result(event)

    def flush(self) -> Iterator[Embedded | Failed]:
        """Embed what is pending, full batch or not, and yield what became complete."""
        batch, self._pending = self._pending, []
        if not batch:
            return
        vectors = self._embedder.embed_pixels(np.stack([sample.pixels for sample in batch]))
        self._pool.free(len(batch))
        good = usable(vectors)
        for row, sample in enumerate(batch):
            file = sample.file
            file.waiting -= 1
            file.good &= bool(good[row])
            file.items.append(sample.item)
            file.vectors.append(vectors[row : row + 1])
        for file in dict.fromkeys(sample.file for sample in batch):
            if not file.waiting and file in self._decoded:
                yield self._result(self._decoded.pop(file))

    def finish(self, events: Iterable[_Event]) -> Iterator[Embedded | Failed]:
        """After a stop: yield the files that are decoded whole, and drop the rest."""
        yield from self.take(events)
        whole = [sample for sample in self._pending if sample.file in self._decoded]
        self._pending = whole
        yield from self.flush()

    def _drop(self, file: _File) -> None:
        kept = [sample for sample in self._pending if sample.file is not file]
        self._pool.free(len(self._pending) - len(kept))
        self._pending = kept

    def _result(self, event: _Decoded) -> Embedded | Failed:
        file = event.file
        digest = event.digest or None
        if not file.items:
            return Failed(file.job, N_("there is no picture in it"), digest)
        if not file.good:
            return Failed(file.job, N_("the model gives no usable vector for it"), digest)
        vectors = np.concatenate(file.vectors)
        return Embedded(file.job, event.info, event.digest, tuple(file.items), vectors, event.notes)


def _reason(error: BaseException) -> str:
    """Say in one line what is wrong with a file."""
    if isinstance(error, MediaError):
        text = str(error)
    elif isinstance(error, OSError):
        text = (error.strerror or str(error) or type(error).__name__).lower()
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())
