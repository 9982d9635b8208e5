"""What the tests of collections are made of: real folders, a small made-up model, and vectors drawn from a seed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from retrieval.config import ModelSpec, Preprocessing
from retrieval.store import Collection, Entry
from retrieval.types import FloatMatrix, Item, MediaInfo

DIM = 16
ROOT = Path(__file__).parents[2]


class Maker:
    """Short ways to what a collection is given."""

    dim = DIM
    picture = MediaInfo("image", 640, 480, None, None, "JPEG")
    video = MediaInfo("video", 1920, 1080, 60.0, None, "mp4")
    spec = ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))
    other = ModelSpec(
        "other", DIM + 8, "1" * 64, Preprocessing(8, 8, "crop", mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0))
    )

    def __init__(self) -> None:
        self.rng = np.random.default_rng(20)

    def unit(self, n: int, dim: int = DIM) -> FloatMatrix:
        """Rows of length 1 that float16 holds exactly, so that they come back as they were given, or nearly."""
        rows = self.rng.standard_normal((n, dim))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float16).astype(np.float32)

    def entry(self, path: str | Path, size: int = 1, mtime_ns: int = 1) -> Entry:
        return Entry(Path(path), size, mtime_ns)

    def frames(self, n: int) -> list[Item]:
        return [Item(float(second), float(second), second + 1.0) for second in range(n)]


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "collection"


@pytest.fixture
def collection(folder: Path, make: Maker) -> Iterator[Collection]:
    with Collection.create(folder, make.spec) as made:
        yield made


@pytest.fixture
def filled(collection: Collection, make: Maker) -> Collection:
    """Thirty pictures in two folders and a video of ten frames."""
    source = collection.add_source(Path("/media"))
    with collection.transaction() as writer:
        for number in range(30):
            entry = make.entry(f"/media/{'ab'[number % 2]}/{number:02}.jpg", number, number)
            writer.put(source.id, entry, make.picture, b"digest%d" % number, [Item()], make.unit(1))
        writer.put(source.id, make.entry("/media/film.mp4"), make.video, b"film", make.frames(10), make.unit(10))
    collection.save_index()
    return collection


@pytest.fixture
def child() -> Callable[..., subprocess.Popen[str]]:
    """Start a Python process of its own that runs a piece of code with arguments."""

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
