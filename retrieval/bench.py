"""What ``sightseek bench`` measures: how fast this machine embeds and finds what a collection holds, and why."""

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, cycle, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.config import Sampling
from retrieval.embedding import Embedder
from retrieval.embedding.base import processors
from retrieval.embedding.stream import Embedded, Job, default_workers, embed_stream
from retrieval.errors import CollectionError, MediaError
from retrieval.media import open_media
from retrieval.messages import _
from retrieval.store import Collection

QUERIES = (
    "a dog running on grass",
    "two children playing in the water",
    "a red car in the street",
    "snow on a mountain",
    "people sitting at a table",
    "a cat looking out of a window",
    "a boat on a lake at sunset",
    "a man riding a bicycle",
    "flowers in a garden",
    "a crowd at a concert",
    "a plate of food",
    "a house with a blue door",
)
_SAMPLED = 2000
_K = 10
_SEED = 0
_LARGE_S = 0.06
"""Processor time a picture, in seconds, above which a model is more likely a transformer in single precision."""
# Shares of the time there is: what varies most gets most.
_ENCODING, _DECODING, _EMBEDDING, _SEARCHING, _STARTING = 0.15, 0.2, 0.35, 0.1, 0.2


class Pace(NamedTuple):
    """``pictures`` (and frames) in ``wall_s`` seconds, which took the processors ``processor_s`` seconds."""

    pictures: int
    wall_s: float
    processor_s: float

    @property
    def rate(self) -> float:
        """Pictures and frames a second."""
        return self.pictures / max(self.wall_s, 1e-9)

    @property
    def each_s(self) -> float:
        """Seconds of one processor for each picture or frame."""
        return self.processor_s / max(self.pictures, 1)


class Figures(NamedTuple):
    """What was measured.

    ``encoding`` is the model alone on pictures that are ready in memory, ``decoding`` reading and scaling files alone,
    ``embedding`` both together, as ``index`` works. Times of searches are seconds in a running process: ``text_s`` to
    embed a text, ``median_s`` and ``slow_s`` (99 %) to find the ten nearest items. ``cold_s`` is a whole command
    ``search``, from its start to its end.
    """

    items: int
    kind: str
    recall: float
    processors: int
    encoding: Pace
    decoding: Pace
    embedding: Pace
    text_s: float
    median_s: float
    slow_s: float
    cold_s: float

    @property
    def limit(self) -> float:
        """Pictures and frames a second if all processors did nothing but decode and encode."""
        return self.processors / max(self.decoding.each_s + self.encoding.each_s, 1e-9)

    @property
    def efficiency(self) -> float:
        """What ``index`` reaches of that limit, 1.0 being all of it."""
        return self.embedding.rate / self.limit


def measure(collection: Collection, embedder: Embedder, seconds: float = 60.0, jobs: int = 0) -> Figures:
    """Measure for about ``seconds`` seconds; nothing is written.

    Files are drawn from the collection, the same ones each time; ``jobs`` threads decode (0: as ``index`` chooses).

    Raises:
        CollectionError: the collection has no files that can be read now.
        ModelError: the model cannot be run.
    """
    paths = _sample(collection)
    sampling, workers = collection.manifest.sampling, jobs or default_workers()
    encoding = measure_encoding(embedder, _ENCODING * seconds)
    decoding = measure_decoding(paths, embedder, sampling, workers, _DECODING * seconds)
    if not decoding.pictures:
        raise CollectionError(
            _("no file of {folder} can be read now; connect its drive").format(folder=collection.folder)
        )
    embedding = _embedding(paths, embedder, sampling, workers, _EMBEDDING * seconds)
    text_s, times = _searching(collection, embedder, _SEARCHING * seconds)
    spec = collection.manifest.index
    return Figures(
        items=collection.count(),
        kind=spec.kind,
        recall=1.0 if spec.kind == "flat" else spec.recall,
        processors=processors(),
        encoding=encoding,
        decoding=decoding,
        embedding=embedding,
        text_s=text_s,
        median_s=statistics.median(times),
        slow_s=float(np.quantile(times, 0.99)),
        cold_s=_starting(collection.folder, _STARTING * seconds),
    )


def advice(figures: Figures) -> list[str]:
    """Return what limits indexing and searching here and what would help, one line each."""
    decoding, encoding = figures.decoding.each_s, figures.encoding.each_s
    share = decoding / max(decoding + encoding, 1e-9)
    lines = []
    busy = figures.embedding.processor_s / max(figures.embedding.wall_s * figures.processors, 1e-9)
    if busy < 0.6:
        lines.append(
            _(
                "indexing keeps the processors busy only {busy:.0%} of the time: other programs or a slow disk hold it "
                "back; index --jobs {jobs} reads more files at once"
            ).format(busy=busy, jobs=2 * default_workers())
        )
    if share > 0.6:
        lines.append(
            _("indexing is bound by decoding ({share:.0%} of the work): a faster model would change little").format(
                share=share
            )
        )
    elif share < 0.4:
        lines.append(
            _("indexing is bound by the model ({share:.0%} of the work): a smaller one, or a GPU, would help").format(
                share=1 - share
            )
        )
    else:
        lines.append(_("decoding and the model take about as long: more processors would help most"))
    if share < 0.4 and encoding > _LARGE_S:
        lines.append(
            _("a large transformer takes much less time in eight bits: sightseek models export NAME --int8 PICTURES")
        )
    if figures.median_s > 0.05 and figures.kind == "flat":
        lines.append(_("searches compare every item; faster, at a little loss: sightseek index --index auto"))
    if figures.recall < 0.98:
        lines.append(
            _("the index finds {recall:.1%} of the ten nearest; all of them: sightseek index --index flat").format(
                recall=figures.recall
            )
        )
    return lines


def _sample(collection: Collection) -> list[Path]:
    """Return up to ``_SAMPLED`` files that can be found now, in a random order that is always the same."""
    known = [one.path for one in collection.records() if one.status == "ok" and not one.gone]
    random.Random(_SEED).shuffle(known)
    found = list(islice((path for path in known if path.is_file()), _SAMPLED))
    if not found:
        raise CollectionError(
            _("no file of {folder} can be read now; connect its drive").format(folder=collection.folder)
        )
    return found


def _timed(work: Callable[[], int]) -> Pace:
    wall_s, processor_s = time.perf_counter(), time.process_time()
    count = work()
    return Pace(count, time.perf_counter() - wall_s, time.process_time() - processor_s)


def measure_encoding(embedder: Embedder, seconds: float) -> Pace:
    """Measure the model alone, on pictures of noise that are ready in memory.

    Raises:
        ModelError: the model cannot be run.
    """
    shape = embedder.spec.preprocessing
    ready = np.random.default_rng(_SEED).integers(0, 256, (embedder.batch_size, shape.height, shape.width, 3), np.uint8)
    embedder.embed_pixels(ready)  # loads the model, which is not what is measured here
    until_s = time.perf_counter() + seconds

    def work() -> int:
        count = 0
        while not count or time.perf_counter() < until_s:
            count += len(embedder.embed_pixels(ready))
        return count

    return _timed(work)


def measure_decoding(
    paths: Sequence[Path], embedder: Embedder, sampling: Sampling, workers: int, seconds: float
) -> Pace:
    """Measure reading and scaling the files alone, as ``index`` does it with ``workers`` threads.

    No file is begun after ``seconds`` seconds; what cannot be read counts for nothing.
    """
    target = max(embedder.spec.preprocessing.height, embedder.spec.preprocessing.width)
    until_s = time.perf_counter() + seconds

    def decoded(path: Path) -> int:
        if time.perf_counter() > until_s:
            return 0
        count = 0
        try:
            with open_media(path, sampling, target) as media:
                for sample in media:
                    embedder.preprocess(sample.pixels)
                    count += 1
                    if time.perf_counter() > until_s:
                        break
        except (MediaError, OSError):
            return count
        return count

    def work() -> int:
        with ThreadPoolExecutor(workers) as pool:
            return sum(pool.map(decoded, paths))

    return _timed(work)


def _embedding(paths: Sequence[Path], embedder: Embedder, sampling: Sampling, workers: int, seconds: float) -> Pace:
    """Embed the files as ``index`` does, over and over until the time is up; the first file is embedded in any case."""
    until_s = time.perf_counter() + seconds
    begun = 0

    def jobs() -> Iterator[Job]:
        nonlocal begun
        for path in chain(paths, cycle(paths)):
            if begun and time.perf_counter() > until_s:
                return
            begun += 1
            yield Job(path)

    def work() -> int:
        with closing(embed_stream(jobs(), embedder, sampling=sampling, workers=workers)) as results:  # type: ignore[type-var]
            return sum(len(result.items) for result in results if isinstance(result, Embedded))

    return _timed(work)


def _searching(collection: Collection, embedder: Embedder, seconds: float) -> tuple[float, list[float]]:
    """Return the median time of embedding a text, and the times of searches, in seconds."""
    embedder.embed_texts(QUERIES[:1])
    texts, rows = [], []
    for query in QUERIES:
        began_s = time.perf_counter()
        rows.append(embedder.embed_texts([query]))
        texts.append(time.perf_counter() - began_s)
    collection.search(rows[0], _K)
    times: list[float] = []
    until_s = time.perf_counter() + seconds
    for row in cycle(rows):
        began_s = time.perf_counter()
        keys = collection.search(row, _K).keys[0]
        collection.items(keys[keys >= 0])
        times.append(time.perf_counter() - began_s)
        if len(times) >= len(QUERIES) and time.perf_counter() > until_s:
            return statistics.median(texts), times
    raise AssertionError("unreachable")


def _starting(folder: Path, seconds: float) -> float:
    """Return the median time of a whole ``search`` command in seconds, after one that is not counted."""
    command = [sys.executable, "-m", "retrieval", "search", QUERIES[0], "-c", str(folder)]
    times: list[float] = []
    until_s = time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < until_s:
        began_s = time.perf_counter()
        ran = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", timeout=600)
        times.append(time.perf_counter() - began_s)
        if ran.returncode:
            raise CollectionError(_("a search of its own fails: {reason}").format(reason=ran.stderr.strip()[-200:]))
    return statistics.median(times[1:])
