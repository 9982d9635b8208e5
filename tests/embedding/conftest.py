import os
from pathlib import Path

import pytest

from retrieval.embedding.onnx import OnnxEmbedder
from tests.model_makers import write_tiny_model


@pytest.fixture(scope="package", autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory):
    """Keep the user's caches out of the tests, and the network too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        yield os.environ["XDG_CACHE_HOME"]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def tiny(tiny_folder: Path) -> OnnxEmbedder:
    return OnnxEmbedder(tiny_folder, "tiny", "cpu", threads=1)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """An empty cache of the hub and an address where nothing answers; call it with the address of one that does."""
    constants = pytest.importorskip("huggingface_hub", reason="the extra clip is not installed").constants

    def place(endpoint: str) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    place("http://127.0.0.1:9")
    return place
