"""Towers with their weights in a file of their own."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from retrieval.embedding.folder import check_files, read_model_folder
from retrieval.embedding.mapped import weights_name, write_mapped
from retrieval.embedding.onnx import OnnxEmbedder
from retrieval.errors import ModelError
from tests.model_makers import rewrite_settings, write_tiny_model

TOWERS = {"image": "image.onnx", "text": "text.onnx"}


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    """The tiny model, its towers written anew with the weights beside them."""
    folder = write_tiny_model(tmp_path / "model")
    files = json.loads((folder / "model.json").read_text(encoding="utf-8"))["files"]
    for tower, name in TOWERS.items():
        traced = (folder / name).rename(tmp_path / name)
        write_mapped(traced, folder / name)
        files |= {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob(f"{name}*")}
        rewrite_settings(folder, **{tower: {"weights": weights_name(name)}})
    rewrite_settings(folder, files=files)
    return folder


def test_vectors_are_those_of_one_file(mapped: Path, tmp_path: Path) -> None:
    plain = write_tiny_model(tmp_path / "plain")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    one, two = OnnxEmbedder(plain, "one", "cpu", threads=1), OnnxEmbedder(mapped, "two", "cpu", threads=1)
    np.testing.assert_allclose(two.embed_pixels(pixels), one.embed_pixels(pixels), atol=1e-6)
    np.testing.assert_allclose(two.embed_texts(["a red car"]), one.embed_texts(["a red car"]), atol=1e-6)


def test_weights_are_in_the_second_file(mapped: Path) -> None:
    graph = onnx.load(mapped / "text.onnx", load_external_data=False).graph
    outside = [row for row in graph.initializer if row.external_data]
    assert outside
    assert {entry.value for row in outside for entry in row.external_data if entry.key == "location"} == {
        "text.onnx.data"
    }
    assert (mapped / "text.onnx").stat().st_size < (mapped / "text.onnx.data").stat().st_size


def test_weights_are_part_of_the_models_identity(mapped: Path) -> None:
    before = read_model_folder(mapped).spec("x").digest
    assert check_files(mapped) == []
    data = mapped / "image.onnx.data"
    data.write_bytes(data.read_bytes()[:-1] + b"\x01")
    assert "image.onnx.data" in check_files(mapped)[0]
    rewrite_settings(mapped, files={"image.onnx.data": hashlib.sha256(data.read_bytes()).hexdigest()})
    assert check_files(mapped) == []
    assert read_model_folder(mapped).spec("x").digest != before


def test_weights_without_a_digest_are_refused(mapped: Path) -> None:
    settings = json.loads((mapped / "model.json").read_text(encoding="utf-8"))
    del settings["files"]["text.onnx.data"]
    (mapped / "model.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ModelError, match=r"lacks the SHA-256 of text\.onnx\.data"):
        read_model_folder(mapped)


def test_weights_elsewhere_are_refused(mapped: Path) -> None:
    rewrite_settings(mapped, text={"weights": "../text.onnx.data"})
    with pytest.raises(ModelError, match="not the name of a file beside it"):
        read_model_folder(mapped)


def test_missing_weights_are_named(mapped: Path) -> None:
    (mapped / "text.onnx.data").unlink()
    with pytest.raises(ModelError, match=r"text\.onnx\.data is missing"):
        OnnxEmbedder(mapped, "x", "cpu").embed_texts(["a"])


def test_cut_off_weights_are_one_clear_line(mapped: Path) -> None:
    data = mapped / "text.onnx.data"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ModelError, match="install the model again"):
        OnnxEmbedder(mapped, "x", "cpu").embed_texts(["a"])


def test_what_is_no_graph_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="cannot be written"):
        write_mapped(tmp_path / "broken", tmp_path / "out.onnx")
