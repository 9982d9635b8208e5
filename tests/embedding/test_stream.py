import os
import queue
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.config import Sampling
from retrieval.embedding.base import usable
from retrieval.embedding.onnx import OnnxEmbedder
from retrieval.embedding.stream import Embedded, Failed, Job, content_digest, default_workers, embed_stream
from retrieval.errors import ModelError
from retrieval.media import open_media
from retrieval.types import FloatMatrix, Pixels
from tests.model_makers import COLOURS, POISON, plain, write_tiny_model

ALL = Sampling("all")


def draw(path: Path, seed: int, size: tuple[int, int] = (60, 40)) -> Path:
    """Write a picture whose bytes and vector are its own."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def animate(path: Path, frames: int, seed: int = 0, last: tuple[int, int, int] | None = None) -> Path:
    rng = np.random.default_rng(seed)
    shown = [Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(frames)]
    if last:
        shown[-1] = Image.new("RGB", (8, 8), last)
    shown[0].save(path, save_all=True, append_images=shown[1:], duration=40, lossless=True)
    return path


def by_path(results: Iterator[Embedded | Failed]) -> dict[Path, Embedded | Failed]:
    found = list(results)
    keyed = {result.job.path: result for result in found}
    assert len(keyed) == len(found)
    return keyed


def one_by_one(path: Path, embedder: OnnxEmbedder, sampling: Sampling = ALL) -> FloatMatrix:
    how = embedder.spec.preprocessing
    with open_media(path, sampling, max(how.height, how.width)) as media:
        return np.concatenate([embedder.embed_pixels(embedder.preprocess(s.pixels)[None]) for s in media])


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode-")]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert decoders() == []


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight pictures, two clips, two files that cannot be read."""
    folder = tmp_path_factory.mktemp("shelf")
    paths = [draw(folder / f"{i}.{'png' if i % 2 else 'jpg'}", i) for i in range(8)]
    paths += [animate(folder / "short.webp", 3), animate(folder / "long.webp", 23, seed=1)]
    (folder / "noise.jpg").write_bytes(os.urandom(500))
    (folder / "empty.png").write_bytes(b"")
    return [*paths, folder / "noise.jpg", folder / "empty.png"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(12)), workers=st.integers(1, 4), batch=st.integers(1, 20), n=st.integers(0, 12))
def test_the_stream_equals_one_by_one(tiny, shelf, order, workers, batch, n):
    tiny.batch_size = batch
    jobs = [Job(shelf[i], tag=i) for i in order[:n]]
    found = by_path(embed_stream(iter(jobs), tiny, sampling=ALL, workers=workers))
    assert set(found) == {job.path for job in jobs}
    for job in jobs:
        result = found[job.path]
        assert result.job is job
        if job.path.name in ("noise.jpg", "empty.png"):
            assert isinstance(result, Failed)
            assert result.reason
            continue
        assert isinstance(result, Embedded)
        np.testing.assert_allclose(result.vectors, one_by_one(job.path, tiny), atol=1e-5)
        assert len(result.items) == len(result.vectors)
        assert usable(result.vectors).all()


def test_what_comes_with_the_vectors(tiny: OnnxEmbedder, shelf: list[Path]):
    picture, clip = shelf[0], shelf[9]
    found = by_path(embed_stream([Job(picture, "a"), Job(clip, "b")], tiny, sampling=ALL))
    one, many = found[picture], found[clip]
    assert isinstance(one, Embedded)
    assert isinstance(many, Embedded)
    assert (one.info.kind, one.info.width, one.info.height) == ("image", 60, 40)
    assert one.items[0].at_s is None
    assert one.digest == content_digest(picture)
    assert len(one.digest) == 20
    assert many.info.kind == "video"
    times = [item.at_s for item in many.items]
    assert times == sorted(times)
    assert times[1] == pytest.approx(0.04)
    assert isinstance(one.notes, tuple)
    undigested = by_path(embed_stream([Job(picture)], tiny, digest=False))[picture]
    assert undigested.digest == b""


def test_the_digest_is_of_the_bytes(tmp_path: Path):
    first, second, third = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    first.write_bytes(b"x" * 3_000_000)
    shutil.copy(first, second)
    third.write_bytes(b"x" * 2_999_999 + b"y")
    assert content_digest(first) == content_digest(second) != content_digest(third)
    with pytest.raises(OSError, match="not a regular file"):
        content_digest(tmp_path)
    with pytest.raises(FileNotFoundError):
        content_digest(tmp_path / "none")


def test_files_that_cannot_be_read_leave_their_neighbours_alone(tiny: OnnxEmbedder, tmp_path: Path):
    good = [draw(tmp_path / f"good{i}.png", i) for i in range(6)]
    garbled = tmp_path / "garbled.jpg"
    garbled.write_bytes(b"\xff\xd8\xff" + os.urandom(300))
    folder = tmp_path / "folder.jpg"
    folder.mkdir()
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    bad = [garbled, folder, pipe, tmp_path / "gone.jpg"]
    mixed = [path for pair in zip(good, [*bad, *bad], strict=False) for path in pair]
    found = by_path(embed_stream([Job(path) for path in dict.fromkeys(mixed + good)], tiny))
    for path in good:
        np.testing.assert_allclose(found[path].vectors, one_by_one(path, tiny), atol=1e-5)
    for path in bad:
        assert isinstance(found[path], Failed)
        assert "\n" not in found[path].reason
        assert str(tmp_path) not in found[path].reason
    assert found[garbled].digest == content_digest(garbled)
    assert found[bad[3]].digest is None
    assert "no such file" in found[bad[3]].reason


class Frail(OnnxEmbedder):
    """Breaks on pictures of one colour, as a decoder may break halfway through a file."""

    def preprocess(self, pixels: Pixels) -> Pixels:
        if (pixels == POISON).all():
            raise self.problem
        return super().preprocess(pixels)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (ValueError("odd\nframe"), "ValueError: odd frame"),
        (OSError(5, "Input/output error"), "input/output error"),
        (MemoryError(), "MemoryError"),
    ],
)
@pytest.mark.parametrize("batch", [1, 4, 50])
def test_a_file_that_breaks_halfway_is_dropped_whole(tiny_folder, tmp_path, problem, reason, batch):
    frail = Frail(tiny_folder, "x", "cpu", threads=1)
    frail.problem, frail.batch_size = problem, batch
    clip = animate(tmp_path / "clip.webp", 10, last=POISON)
    good = [draw(tmp_path / f"{i}.png", i) for i in range(5)]
    found = by_path(embed_stream([Job(path) for path in (*good[:2], clip, *good[2:])], frail, sampling=ALL, workers=2))
    assert isinstance(found[clip], Failed)
    assert reason in found[clip].reason
    assert found[clip].digest == content_digest(clip)
    for path in good:
        np.testing.assert_allclose(found[path].vectors, one_by_one(path, frail), atol=1e-5)


def test_a_vector_that_is_not_finite_fails_its_file_alone(tmp_path: Path):
    embedder = OnnxEmbedder(write_tiny_model(tmp_path / "m", poison=True), "x", "cpu", threads=1)
    paths = []
    for name, colour in {**COLOURS, "poison": POISON}.items():
        Image.fromarray(plain(colour)).save(tmp_path / f"{name}.png")
        paths.append(tmp_path / f"{name}.png")
    clip = animate(tmp_path / "clip.webp", 5, last=POISON)
    found = by_path(embed_stream([Job(path) for path in (*paths, clip)], embedder, sampling=ALL))
    failed = {path.name for path, result in found.items() if isinstance(result, Failed)}
    assert failed == {"poison.png", "clip.webp"}
    assert "no usable vector" in found[clip].reason
    red = found[tmp_path / "red.png"].vectors
    assert (red @ embedder.embed_texts(["red"]).T).item() > 0.9


class Counting(OnnxEmbedder):
    """Counts the samples between decoding and encoding."""

    lock = threading.Lock()
    flying = most = batches = 0

    def preprocess(self, pixels: Pixels) -> Pixels:
        with self.lock:
            self.flying += 1
            self.most = max(self.most, self.flying)
        return super().preprocess(pixels)

    def embed_pixels(self, batch: np.ndarray) -> FloatMatrix:
        with self.lock:
            self.flying -= len(batch)
            self.batches += 1
        return super().embed_pixels(batch)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_a_huge_clip_among_small_files_neither_blocks_nor_fills_memory(tiny_folder, tmp_path, workers, batch):
    embedder = Counting(tiny_folder, "x", "cpu", threads=1)
    embedder.batch_size = batch
    huge = animate(tmp_path / "huge.webp", 400)
    small = [draw(tmp_path / f"{i}.png", i, (12, 12)) for i in range(40)]
    results = []
    for result in embed_stream(
        [Job(path) for path in (*small[:20], huge, *small[20:])], embedder, sampling=ALL, workers=workers
    ):
        results.append(result.job.path)
        time.sleep(0.001)  # a consumer that writes
    assert sorted(results) == sorted([huge, *small])
    assert embedder.most <= 4 * batch + workers + batch
    assert embedder.flying == 0
    if workers > 1:
        assert results[-1] == huge  # nobody waits for it
    assert embedder.batches <= 440 // batch + 2  # batches reach across files


def test_jobs_are_read_as_they_are_needed(tiny: OnnxEmbedder, tmp_path: Path):
    path = draw(tmp_path / "a.png", 0)
    read = 0
    where = set()

    def endless() -> Iterator[Job]:
        nonlocal read
        while True:
            read += 1
            where.add(threading.current_thread())
            yield Job(path, read)

    tiny.batch_size = 4
    stream = embed_stream(endless(), tiny, workers=2)
    done = {next(stream).job.tag for _ in range(50)}
    assert len(done) == 50
    assert read <= 50 + 2 * 4 * 4 + 2 * 2 + 4
    assert where == {threading.current_thread()}
    stream.close()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_closing_early_ends_the_threads(tiny: OnnxEmbedder, tmp_path: Path, taken: int):
    clips = [animate(tmp_path / f"{i}.webp", 200, seed=i) for i in range(3)]
    small = [draw(tmp_path / f"{i}.png", i) for i in range(6)]
    stream = embed_stream([Job(path) for path in (*small, *clips)], tiny, sampling=ALL, workers=3)
    for _ in range(taken):
        next(stream)
    begun = time.monotonic()
    stream.close()
    assert time.monotonic() - begun < 8
    assert decoders() == []


@pytest.mark.timeout(30)
def test_stop_begins_nothing_new_and_keeps_what_is_decoded(tiny: OnnxEmbedder, shelf: list[Path], tmp_path: Path):
    stopped = threading.Event()
    read: list[Path] = []
    huge = animate(tmp_path / "huge.webp", 400)

    def jobs() -> Iterator[Job]:
        for path in [*shelf[:8], huge] * 50:
            read.append(path)
            yield Job(path)

    results = []
    for result in embed_stream(jobs(), tiny, sampling=ALL, workers=2, stop=stopped.is_set):
        results.append(result)
        if len(results) == 3:
            stopped.set()
            begun, at = len(read), time.monotonic()
    assert time.monotonic() - at < 8
    assert len(read) == begun
    assert len(results) <= begun
    for result in results:
        assert isinstance(result, Embedded)
        if result.job.path != huge:
            np.testing.assert_allclose(result.vectors, one_by_one(result.job.path, tiny), atol=1e-5)


def test_stop_before_anything_gives_nothing(tiny: OnnxEmbedder, shelf: list[Path]):
    assert list(embed_stream([Job(path) for path in shelf], tiny, stop=lambda: True)) == []
    assert list(embed_stream([], tiny)) == []


@pytest.mark.timeout(30)
def test_a_model_that_cannot_run_ends_the_stream_with_its_error(tiny_folder: Path, shelf: list[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "m"))
    (folder / "image.onnx").unlink()
    with pytest.raises(ModelError, match="is missing"):
        list(embed_stream([Job(path) for path in shelf * 3], OnnxEmbedder(folder, "x", "cpu")))


def test_an_error_of_the_jobs_reaches_the_caller(tiny: OnnxEmbedder, shelf: list[Path]):
    def jobs() -> Iterator[Job]:
        yield Job(shelf[0])
        raise queue.Empty

    with pytest.raises(queue.Empty):
        list(embed_stream(jobs(), tiny))


def test_workers_suit_the_machine():
    assert 1 <= default_workers() <= 8
