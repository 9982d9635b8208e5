"""A desk to work at: a source folder, a collection, a tiny model, and a check that every vector is where it belongs."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from indexer import IndexOptions, Summary, index
from retrieval.config import Sampling
from retrieval.embedding import open_embedder
from retrieval.embedding.base import Embedder
from retrieval.media import open_media
from retrieval.store import Collection, FileRecord
from tests.media_makers import draw_picture, write_clip, write_picture
from tests.model_makers import SIZE, write_tiny_model

SHOTS = (("red", 1.0), ("blue", 1.0), ("green", 1.0))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two model folders whose vectors must not be mixed."""
    return [write_tiny_model(tmp_path_factory.mktemp("model") / "m", seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="session")
def embedders(models: list[Path]) -> list[Embedder]:
    """Small batches, so that many files need many: what is begun before a stop is finished, in batches."""
    found = [open_embedder(str(folder), threads=1) for folder in models]
    for embedder in found:
        embedder.batch_size = 3
    return found


def did(summary: Summary) -> dict[str, int]:
    """Return what a run counts, without zeros and without the measures of effort."""
    left_out = ("items", "embedded", "seconds", "notes")
    values = {one.name: getattr(summary, one.name) for one in fields(summary) if one.name not in left_out}
    return {name: len(value) if isinstance(value, list) else value for name, value in values.items() if value}


class Desk:
    """One source folder ``media`` and one collection, worked on by real runs that are checked each time."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self.folder = folder
        self.media = folder / "media"
        self.home = folder / "collection"
        self.embedder = embedder
        self.media.mkdir()

    def picture(self, name: str, seed: int, folder: Path | None = None) -> Path:
        return write_picture((folder or self.media) / name, draw_picture(seed, (96, 64)), format="PNG")

    def clip(self, name: str) -> Path:
        return write_clip(self.media / name, SHOTS, size=(64, 48), fps=10)

    def open(self, *, write: bool = True) -> Collection:
        if not self.home.exists():
            return Collection.create(self.home, self.embedder.spec)
        return Collection.open(self.home, write=write)

    def run(self, *sources: Path, **options: object) -> Summary:
        with self.open() as collection:
            known = [] if sources or collection.sources() else [self.media]
            summary = index(collection, self.embedder, sources or known, IndexOptions(**options))
        self.check()
        return summary

    def did(self, *sources: Path, **options: object) -> dict[str, int]:
        return did(self.run(*sources, **options))

    def records(self) -> dict[str, FileRecord]:
        """Return all files by their path inside of ``media``, or their absolute path."""
        with self.open(write=False) as collection:
            return {str(record.path).removeprefix(f"{self.media}/"): record for record in collection.records()}

    def keys(self, name: str) -> list[int]:
        with self.open(write=False) as collection:
            record = collection.find_file(self.media / name)
            return [] if record is None else collection.frames(record.id).keys.tolist()

    def present(self) -> list[str]:
        return sorted(name for name, record in self.records().items() if not record.gone)

    def check(self, embedder: Embedder | None = None) -> None:
        """Catalog and index agree, and each indexed file that is there has the vectors it gets when embedded alone."""
        embedder = embedder or self.embedder
        with self.open(write=False) as collection:
            assert collection.verify() == []
            for record in collection.records():
                if record.status == "ok" and record.path.exists() and not record.gone:
                    stored = collection.frames(record.id)
                    at_s, vectors = alone(record.path, embedder)
                    assert [None if np.isnan(t) else t for t in stored.at_s] == at_s
                    assert np.abs(stored.vectors - vectors).max() < 1e-3, record.path


_ALONE: dict[tuple[Path, int, str], tuple[list[float | None], np.ndarray]] = {}


def alone(path: Path, embedder: Embedder) -> tuple[list[float | None], np.ndarray]:
    """Return times and vectors of one file, decoded and embedded without any other."""
    key = (path, path.stat().st_mtime_ns, embedder.spec.digest)
    if key not in _ALONE:
        with open_media(path, Sampling(), SIZE) as media:
            samples = list(media)
        pixels = np.stack([embedder.preprocess(sample.pixels) for sample in samples])
        _ALONE[key] = [sample.item.at_s for sample in samples], embedder.embed_pixels(pixels)
    return _ALONE[key]


@pytest.fixture
def desk(tmp_path: Path, embedders: list[Embedder]) -> Desk:
    return Desk(tmp_path, embedders[0])


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """A desk with five pictures and a clip, indexed."""
    for seed, name in enumerate(("a.png", "b.png", "album/c.png", "album/d.png", "album/deep/e.png")):
        desk.picture(name, seed)
    desk.clip("album/clip.mp4")
    assert desk.did() == {"added": 6}
    return desk
