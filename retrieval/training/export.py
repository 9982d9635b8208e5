"""Writing the model folder: two ONNX files, the tokenizer, model.json, class names and licences."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto
from torch import Tensor

from retrieval.training.graph import FloatArray, Graph
from retrieval.training.hubs import HEAT, LIMIT, RADIUS, REACH, Balanced, Hubs, Towers, plain
from retrieval.training.image_tower import (
    FEATURES,
    SHALLOW_DIM,
    SIDE,
    Weights,
    write_block,
    write_mean,
    write_top,
    write_trunk,
)
from retrieval.training.model import DIM, NORM_EPSILON, Starter
from retrieval.training.text_tower import (
    MAX_TOKENS,
    write_gelu,
    write_linear,
    write_lower,
    write_norm,
    write_upper,
)

VECTOR_EPSILON = 1e-12
CELLS_OF = "cells_of"
"""The image tower's second input: of how many of the first pictures `cells` are wanted; 0 unless given."""


class Card(NamedTuple):
    """What `model.json` says in words."""

    name: str
    version: str
    description: str
    knows: str


def state_arrays(model: Towers) -> dict[str, FloatArray]:
    """The plain model's weights by name as float32 arrays."""
    return {name: value.detach().numpy().astype(np.float32) for name, value in plain(model).state_dict().items()}


def members(model: Towers) -> dict[str, Starter]:
    """The members by the prefix of their weights' names: the model itself under an empty one if it has none."""
    core = plain(model)
    if isinstance(core, Starter):
        return {"": core}
    return {f"members.{i}.": member for i, member in enumerate(core.starters())}


def image_model(model: Towers, pretrained: Weights, table: Tensor, *, compact: bool = True) -> onnx.ModelProto:
    """The image tower: uint8 pixels (n, 260, 260, 3) to `vectors` (n, 512), rows of length 1.

    `table` is the model's class table, from the text vectors of the classes. A second output, `cells`, is described
    at :func:`write_cells`; without the input `cells_of` it is empty and costs nothing.
    """
    heads = state_arrays(model)
    graph = Graph("image", compact=compact)
    trunk = write_trunk(graph, pretrained, graph.input("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3]))
    asked = graph.constant(graph.input(CELLS_OF, TensorProto.INT64, [1]), np.array([0]))
    classes = {f"classes.{kind}": pretrained[f"classes.{kind}"] for kind in ("weight", "bias")}
    found = []
    for at, (prefix, member) in enumerate(members(model).items()):
        weights = classes | {prefix + name: value for name, value in member.tail.folded().items()}
        maps = trunk.maps
        for index in member.tail.indices:
            maps = write_block(graph, weights, index, maps, member.tail.grid, prefix)
        top = write_top(graph, weights, maps, prefix)
        features, shallow = write_cells(graph, top, trunk.shallow, asked, member.tail.cells)
        chances = graph.node("Softmax", write_linear(graph, weights, "classes", features), axis=-1)
        own = table[:, at * DIM : (at + 1) * DIM].numpy()
        guess = graph.node("MatMul", chances, graph.weight(f"{prefix}table", own, 0))
        blend = graph.constant(f"{prefix}blend", np.array(member.blend, np.float32))
        vectors = write_head(graph, heads, f"{prefix}image_head", [features, shallow])
        found.append(graph.node("Add", vectors, graph.node("Mul", guess, blend)))
    grid = next(iter(members(model).values())).tail.grid
    rows = write_joined(graph, heads, found, "rows")
    if isinstance(model, Balanced):
        rows = write_hubs(graph, model.of_pictures, rows, "balanced", pictures=True)
    write_divided(graph, rows, "pixels", grid * grid)
    return graph.outputs({"vectors": ["n", DIM], "cells": ["m", grid * grid, DIM]})


def write_cells(graph: Graph, top: str, shallow: str, asked: str, cells: int) -> tuple[str, str]:
    """Append what the head reads: features (n + m * cells, 1280) and shallow ones (n + m * cells, 560).

    The first n rows are of the pictures. The others, of the first m pictures where m is the input `cells_of` (0 unless
    given), are of the cells of a picture: its features as if the whole picture looked like that cell, which is class
    activation mapping (Zhou et al., CVPR 2016) for a head that is not linear. All rows pass the same nodes, so that no
    weight is kept twice, and all are scaled to length 1: on mosaics of four pictures the best cell of a name lies in
    the right one a little more often than without.
    """
    zero, first = graph.constant("first_row", np.array([0])), graph.constant("row_axis", np.array([0]))
    picked = graph.node("Transpose", graph.node("Slice", top, zero, asked, first), perm=[0, 2, 3, 1])
    features = graph.node("Reshape", picked, graph.constant("feature_rows", np.array([-1, FEATURES])))
    own = graph.node("Slice", shallow, zero, asked, first)
    alike = graph.node("Unsqueeze", own, graph.constant("cell_axis", np.array([1])))
    spread = graph.node("Expand", alike, graph.constant("cell_times", np.array([1, cells, 1])))
    low = graph.node("Reshape", spread, graph.constant("shallow_rows", np.array([-1, SHALLOW_DIM])))
    both = graph.node("Concat", write_mean(graph, top), features, axis=0)
    return both, graph.node("Concat", shallow, low, axis=0)


def write_divided(graph: Graph, rows: str, pixels: str, cells: int) -> None:
    """Append the outputs: `vectors` are the first n rows, `cells` (m, cells, 512) the others."""
    zero, first = graph.constant("first_row", np.array([0])), graph.constant("row_axis", np.array([0]))
    count = graph.node("Shape", pixels, start=0, end=1)
    graph.node("Slice", rows, zero, count, first, name="vectors")
    others = graph.node("Slice", rows, count, graph.constant("last_row", np.array([2**62])), first)
    graph.node("Reshape", others, graph.constant("cell_shape", np.array([-1, cells, DIM])), name="cells")


def text_model(model: Towers, *, compact: bool = True) -> onnx.ModelProto:
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
    if isinstance(model, Balanced):
        joined = write_joined(graph, weights, found, "rows")
        return graph.model(write_hubs(graph, model.of_texts, joined, "vectors", pictures=False), ["n", DIM])
    return graph.model(write_joined(graph, weights, found, "vectors"), ["n", DIM])


def write_hubs(graph: Graph, hubs: Hubs, rows: str, name: str, *, pictures: bool) -> str:
    """Append :class:`~retrieval.training.hubs.Hubs`."""

    def number(what: str, value: float) -> str:
        return graph.constant(f"hubs.{what}", np.array(value, np.float32))

    stored = {what: value.numpy().astype(np.float32) for what, value in hubs.state_dict().items()}
    place = graph.node("MatMul", rows, graph.weight("hubs.axes", stored["axes"], 1))
    bank = graph.weight("hubs.bank", np.ascontiguousarray(stored["bank"].T), 1)
    near = graph.node("Mul", graph.node("MatMul", rows, bank), number("inverse_heat", 1 / HEAT))
    near = graph.node("Add", near, graph.constant("hubs.log_shares", stored["log_shares"]))
    near = graph.node("Mul", graph.node("ReduceLogSumExp", near, axes=[-1], keepdims=1), number("heat", HEAT))
    excess = graph.node("Mul", near, number("share", hubs.share))
    excess = graph.node("Sub", excess, number("level", hubs.level))
    excess = graph.node("Clip", excess, number("least", -LIMIT), number("most", LIMIT))
    taken = graph.node("Div", excess, number("minus_reach", -REACH))
    zeros = graph.node("Sub", taken, taken)
    reach = graph.node("Add", zeros, number("reach", REACH))
    used = graph.node("ReduceL2", graph.node("Concat", place, taken, reach, axis=1), axes=[-1], keepdims=1)
    left = graph.node("Sub", number("square", RADIUS**2), graph.node("Mul", used, used))
    rest = graph.node("Sqrt", graph.node("Max", left, number("nothing", 0.0)))
    sides = [taken, reach, rest, zeros] if pictures else [reach, taken, zeros, rest]
    return write_unit(graph, graph.node("Concat", place, *sides, axis=1), name)


def write_joined(graph: Graph, weights: Mapping[str, FloatArray], parts: list[str], name: str) -> str:
    """Append what makes the tower's vectors of the members' vectors; those need not be of length 1."""
    if len(parts) == 1:
        return write_unit(graph, parts[0], name)
    units = [write_unit(graph, part, f"{part}.unit") for part in parts]
    mix = graph.weight("mix", weights["mix"], 1)
    return write_unit(graph, graph.node("MatMul", graph.node("Concat", *units, axis=1), mix), name)


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
    cells = next((o.type.tensor_type.shape.dim[1].dim_value for o in image.graph.output if o.name == "cells"), 0)
    described = json.dumps(describe(card, files, cells), indent=2, ensure_ascii=False)
    (folder / "model.json").write_text(described + "\n", encoding="utf-8")


def describe(card: Card, files: dict[str, str], cells: int) -> dict[str, object]:
    """The content of `model.json`; `cells` is how many cells the image tower tells apart in a square (0: none)."""
    grid = {"cells": [math.isqrt(cells)] * 2} if cells else {}
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
            **grid,
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
