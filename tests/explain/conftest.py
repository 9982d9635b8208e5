"""The tiny model with cells, once for each way of fitting a picture to its square."""

from collections.abc import Callable
from pathlib import Path

import pytest

from retrieval.embedding import Embedder, open_embedder
from tests.explain.cell_makers import write_cell_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Embedder]:
    """Open the model by its way of resizing; the same object each time."""
    made: dict[str, Embedder] = {}

    def opened(resize: str) -> Embedder:
        if resize not in made:
            folder: Path = write_cell_model(tmp_path_factory.mktemp("cells") / resize, resize=resize)
            made[resize] = open_embedder(str(folder), "cpu", 1)
        return made[resize]

    return opened
