"""What an exported image tower says of the cells of a picture, against the torch model asked about one cell."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from retrieval.embedding.base import tells_cells  # noqa: E402
from retrieval.embedding.onnx import OnnxEmbedder  # noqa: E402
from retrieval.errors import ModelError  # noqa: E402
from retrieval.training.data import read_view  # noqa: E402
from retrieval.training.export import Card, image_model, text_model, write_folder  # noqa: E402
from retrieval.training.image_tower import SIDE  # noqa: E402
from retrieval.training.loop import class_table  # noqa: E402
from tests.model_makers import write_tiny_model  # noqa: E402
from tests.training.test_towers import make_ensemble  # noqa: E402


@pytest.fixture(params=[1, 2])
def model(make_model, request):
    """A small random model of one member or two."""
    return make_model().eval() if request.param == 1 else make_ensemble(make_model)


def one_cell(model, maps, shallow, table, cell: int) -> "torch.Tensor":
    """Vectors of pictures all of whose last features are those of one cell."""

    def only(member):
        def forward(given):
            return type(member.tail).forward(member.tail, given)[:, :, cell : cell + 1]

        return forward

    members = list(getattr(model, "members", [model]))
    try:
        for member in members:
            member.tail.forward = only(member)
        return model.image(maps, shallow, table).vectors
    finally:
        for member in members:
            del member.tail.forward


def test_a_cell_is_a_picture_that_looks_like_it_all_over(model, material, drawn, weights, tmp_path: Path) -> None:
    with torch.no_grad():
        table = class_table(model, material.prompts)
        maps, shallow = (torch.from_numpy(np.array(array[:3])).float() for array in material.views[0])
        known = torch.stack([one_cell(model, maps, shallow, table, cell) for cell in (0, 8, 40, 80)], dim=1).numpy()
    image = image_model(model, weights, table, compact=False)
    write_folder(tmp_path, image, text_model(model, compact=False), "{}\n", ["dog"], Card("small", "1", "A test.", ""))
    assert json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))["image"]["cells"] == [9, 9]
    embedder = OnnxEmbedder(tmp_path, "small", "cpu", threads=1)
    embedder.batch_size = 2
    assert tells_cells(embedder)
    assert embedder.cells == (9, 9)
    pixels = np.stack([read_view(drawn.folder / "images" / name, SIDE) for name in drawn.names[:3]])
    found = embedder.embed_cells(pixels)
    assert found.shape == (3, 81, 512)
    assert found.dtype == np.float32
    assert (found[:, [0, 8, 40, 80]] * known).sum(axis=2).min() >= 0.9999
    assert np.allclose(np.linalg.norm(found, axis=2), 1, atol=1e-5)
    assert np.allclose(found[1:2], embedder.embed_cells(pixels[1:2]), atol=1e-5)
    assert embedder.embed_cells(pixels[:0]).shape == (0, 81, 512)
    both = embedder._image_tower().run(["vectors", "cells"], {"pixels": pixels, "cells_of": np.array([2])})
    assert np.allclose(both[0], embedder.embed_pixels(pixels), atol=1e-5)
    assert np.allclose(both[1], found[:2], atol=1e-5)


def test_cells_that_are_not_asked_for_are_not_computed(make_model, material, weights, tmp_path: Path) -> None:
    model = make_model().eval()
    made = image_model(model, weights, class_table(model, material.prompts), compact=False)
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == ["pixels"]
    vectors, cells = session.run(None, {"pixels": np.zeros((2, SIDE, SIDE, 3), np.uint8)})
    assert vectors.shape == (2, 512)
    assert cells.shape == (0, 81, 512)
    ran = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    heads = [
        event["args"]["output_type_shape"][0]["float"]
        for event in ran
        if event.get("cat") == "Node" and "image_head" in event["name"] and event["name"].endswith("_kernel_time")
    ]
    assert heads
    assert {shape[0] for shape in heads} == {2}


def test_a_model_without_cells_says_so(tmp_path: Path) -> None:
    embedder = OnnxEmbedder(write_tiny_model(tmp_path / "tiny"), "tiny", "cpu")
    assert embedder.cells is None
    assert not tells_cells(embedder)
    with pytest.raises(ModelError, match="does not tell what is where"):
        embedder.embed_cells(np.zeros((1, 32, 32, 3), np.uint8))
