"""A tiny model that knows colours, plain pictures and a clip for it, and a collection of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from indexer import index
from retrieval.embedding import Embedder, open_embedder
from retrieval.store import Collection
from tests.media_makers import write_clip, write_picture
from tests.model_makers import COLOURS, write_tiny_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def embedder(model: Path) -> Embedder:
    return open_embedder(str(model), "cpu", 1)


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture of each colour, and a clip that is red for three seconds, then blue for three."""
    folder = tmp_path_factory.mktemp("media")
    for name, colour in COLOURS.items():
        write_picture(folder / f"{name}.png", Image.new("RGB", (64, 48), colour))
    write_clip(folder / "red then blue.mp4", [("red", 3.0), ("blue", 3.0)], fps=10)
    return folder


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory, media: Path, embedder: Embedder) -> Iterator[Collection]:
    """The media, indexed; shared, for reading alone."""
    folder = tmp_path_factory.mktemp("collection") / "c"
    with Collection.create(folder, embedder.spec) as made:
        index(made, embedder, [media])
    with Collection.open(folder) as opened:
        yield opened
