"""A library of copies of every kind, indexed by the real indexer with a small real model."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance, ImageFilter

from indexer import index
from retrieval.config import DuplicateOptions
from retrieval.duplicates import Group, find_duplicates
from retrieval.embedding import open_embedder
from retrieval.embedding.base import Embedder
from retrieval.query import parse_where
from retrieval.store import Collection
from tests.media_makers import draw_picture, pan, write_clip, write_picture
from tests.model_makers import write_tiny_model

SIZE = (640, 480)


def photo(seed: int) -> Image.Image:
    return draw_picture(seed, SIZE).filter(ImageFilter.GaussianBlur(5))


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """Pictures are scaled to 128 pixels: to less, and their signatures would be as coarse as their sizes."""
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "m", size=128)), "cpu", 1)


class Desk:
    """A folder of media and a collection of it."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self.media, self.home, self.embedder = folder / "media", folder / "collection", embedder
        self.media.mkdir()

    def picture(self, name: str, picture: Image.Image | int, **save: object) -> Path:
        return write_picture(self.media / name, photo(picture) if isinstance(picture, int) else picture, **save)

    def clip(self, name: str, *seeds: int, size: tuple[int, int] = (160, 120), fps: float = 25) -> Path:
        shots = [(pan(photo(seed), size, 2.0), 2.0) for seed in seeds]
        return write_clip(self.media / name, shots, size=size, fps=fps)

    def copy(self, path: Path, name: str) -> Path:
        (self.media / name).parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(path, self.media / name))

    def index(self) -> None:
        new = not self.home.exists()
        opened = Collection.create(self.home, self.embedder.spec) if new else Collection.open(self.home, write=True)
        with opened as collection:
            index(collection, self.embedder, [self.media])

    def find(self, where: str = "", **options: object) -> list[Group]:
        with Collection.open(self.home) as collection:
            return list(find_duplicates(collection, parse_where(where), DuplicateOptions(**options)).groups)


@pytest.fixture
def desk(tmp_path: Path, embedder: Embedder) -> Desk:
    return Desk(tmp_path, embedder)


def told(groups: list[Group]) -> list[dict[str, str]]:
    """Return of each group its files' names with the level and the suggestion of each."""
    return [{one.file.path.name: f"{one.level} {one.suggestion}" for one in group.members} for group in groups]


@pytest.fixture
def library(desk: Desk) -> Desk:
    """Four pictures, each with copies, and four without."""
    for seed in range(8):
        original = desk.picture(f"{seed}.png", seed)
        os.utime(original, ns=(seed * 10**9, seed * 10**9))
        if seed < 4:
            picture = photo(seed)
            desk.copy(original, f"copies/{seed} again.png")
            desk.picture(f"copies/{seed} small.jpg", picture.resize((320, 240)), quality=60)
            desk.picture(f"copies/{seed} bright.webp", ImageEnhance.Brightness(picture).enhance(1.1), quality=80)
            desk.picture(f"copies/{seed} crop.jpg", picture.crop((9, 7, 631, 473)), quality=85)
    desk.index()
    return desk
