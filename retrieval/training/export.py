"""Writing the model folder: two ONNX files, the tokenizer, model.json, class names and licences."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto
from torch import Tensor

from retrieval.training.graph import FloatArray, Graph
from retrieval.training.image_tower import SIDE, Weights, write_block, write_top, write_trunk
from retrieval.training.model import DIM, NORM_EPSILON, Ensemble, Starter
from retrieval.training.text_tower import (
    MAX_TOKENS,
    write_gelu,
    write_linear,
    write_lower,
    write_norm,
    write_upper,
)

VECTOR_EPSILON = 1e-12


class Card(NamedTuple):
    """What `model.json` says in words."""

    name: str
    version: str
    description: str
    knows: str


def state_arrays(model: Starter | Ensemble) -> dict[str, FloatArray]:
    """The model's weights by name as float32 arrays."""
    return {name: value.detach().numpy().astype(np.float32) for name, value in model.state_dict().items()}


def members(model: Starter | Ensemble) -> dict[str, Starter]:
    """The members by the prefix of their weights' names: the model itself under an empty one if it has none."""
    if isinstance(model, Starter):
        return {"": model}
    return {f"members.{i}.": member for i, member in enumerate(model.members) if isinstance(member, Starter)}


def image_model(
    model: Starter | Ensemble, pretrained: Weights, table: Tensor, *, compact: bool = True
) -> onnx.ModelProto:
    """The image tower: uint8 pixels (n, 260, 260, 3) to `vectors` (n, 512), rows of length 1.

    `table` is the model's class table, from the text vectors of the classes.
    """
    heads = state_arrays(model)
    graph = Graph("image", compact=compact)
    trunk = write_trunk(graph, pretrained, graph.input("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3]))
    classes = {f"classes.{kind}": pretrained[f"classes.{kind}"] for kind in ("weight", "bias")}
    found = []
    for at, (prefix, member) in enumerate(members(model).items()):
        weights = classes | {prefix + name: value for name, value in member.tail.folded().items()}
        maps = trunk.maps
        for index in member.tail.indices:
            maps = write_block(graph, weights, index, maps, member.tail.grid, prefix)
        features = write_top(graph, weights, maps, prefix)
        chances = graph.node("Softmax", write_linear(graph, weights, "classes", features), axis=-1)
        own = table[:, at * DIM : (at + 1) * DIM].numpy()
        guess = graph.node("MatMul", chances, graph.weight(f"{prefix}table", own, 0))
        blend = graph.constant(f"{prefix}blend", np.array(member.blend, np.float32))
        vectors = write_head(graph, heads, f"{prefix}image_head", [features, trunk.shallow])
        found.append(graph.node("Add", vectors, graph.node("Mul", guess, blend)))
    return graph.model(write_joined(graph, heads, found), ["n", DIM])


def text_model(model: Starter | Ensemble, *, compact: bool = True) -> onnx.ModelProto:
    """The text tower: `input_ids`, `attention_mask` (n, t) to `vectors` (n, 512), rows of length 1."""
    weights = state_arrays(model)
    graph = Graph("text", compact=compact)
    ids = graph.input("input_ids", TensorProto.INT64, ["n", "t"])
    mask = graph.input("attention_mask", TensorProto.INT64, ["n", "t"])
    shared = f"{next(iter(members(model)))}tower."
    tower = {name.removeprefix(shared): w for name, w in weights.items() if name.startswith(shared)}
    lower, bias = write_lower(graph, tower, ids, mask)
    last = graph.constant("last_axis", np.array([-1]))
    weight = graph.node("Unsqueeze", graph.node("Cast", mask, to=TensorProto.FLOAT), last)
    middle = graph.constant("middle_axis", np.array([1]))
    count = graph.node("ReduceSum", weight, middle, keepdims=0)
    found = []
    for prefix in members(model):
        states = write_upper(graph, weights, lower, bias, f"{prefix}tower.")
        total = graph.node("ReduceSum", graph.node("Mul", states, weight), middle, keepdims=0)
        found.append(write_head(graph, weights, f"{prefix}text_head", [graph.node("Div", total, count)]))
    return graph.model(write_joined(graph, weights, found), ["n", DIM])


def write_joined(graph: Graph, weights: Mapping[str, FloatArray], parts: list[str]) -> str:
    """Append what makes `vectors` of the members' vectors; those need not be of length 1."""
    if len(parts) == 1:
        return write_unit(graph, parts[0], "vectors")
    units = [write_unit(graph, part, f"{part}.unit") for part in parts]
    mix = graph.weight("mix", weights["mix"], 1)
    return write_unit(graph, graph.node("MatMul", graph.node("Concat", *units, axis=1), mix), "vectors")


def write_head(graph: Graph, weights: Mapping[str, FloatArray], name: str, groups: list[str]) -> str:
    """Append :class:`~retrieval.training.model.Head`."""
    normed = [write_norm(graph, weights, f"{name}.norms.{i}", g, NORM_EPSILON) for i, g in enumerate(groups)]
    joined = graph.node("Concat", *normed, axis=1) if len(normed) > 1 else normed[0]
    wide = write_gelu(graph, f"{name}.gelu", write_linear(graph, weights, f"{name}.up", joined))
    deep = write_linear(graph, weights, f"{name}.down", wide)
    out = graph.node("Add", write_linear(graph, weights, f"{name}.linear", joined), deep)
    return write_unit(graph, out, f"{name}.vectors")


def write_unit(graph: Graph, source: str, name: str) -> str:
    """Append the scaling of rows to length 1."""
    length = graph.node("ReduceL2", source, axes=[-1], keepdims=1)
    floor = graph.constant(f"{name}.floor", np.array(VECTOR_EPSILON, np.float32))
    return graph.node("Div", source, graph.node("Max", length, floor), name=name)


def write_folder(
    folder: Path, image: onnx.ModelProto, text: onnx.ModelProto, tokenizer: str, classes: list[str], card: Card
) -> None:
    """Write the files of a model folder that hold the model itself, and `model.json` with their digests."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "image.onnx": image.SerializeToString(deterministic=True),
        "text.onnx": text.SerializeToString(deterministic=True),
        "tokenizer.json": tokenizer.encode("utf-8"),
        "classes.txt": "".join(f"{name}\n" for name in classes).encode("utf-8"),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    described = json.dumps(describe(card, files), indent=2, ensure_ascii=False)
    (folder / "model.json").write_text(described + "\n", encoding="utf-8")


def describe(card: Card, files: dict[str, str]) -> dict[str, object]:
    """The content of `model.json`."""
    return {
        "format": 1,
        "name": card.name,
        "version": card.version,
        "dim": DIM,
        "image": {
            "file": "image.onnx",
            "height": SIDE,
            "width": SIDE,
            "resize": "squash",
            "interpolation": "bicubic",
        },
        "text": {
            "file": "text.onnx",
            "tokenizer": "tokenizer.json",
            "context_length": MAX_TOKENS,
            "padding": "longest",
            "pad_id": 0,
            "lowercase": False,
            "languages": ["en"],
        },
        "description": card.description,
        "knows": card.knows,
        "files": files,
    }
