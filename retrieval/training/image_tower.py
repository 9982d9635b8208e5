"""EfficientNet-Lite2 with its batch norms folded, as data and as an ONNX graph.

Architecture: Tan and Le, "EfficientNet", ICML 2019, in the "Lite" form of Liu, 2020 (ReLU6, no squeeze-excitation).
The network is cut after :data:`CUT`: everything up to there stays as pretrained and runs once per picture and view;
the blocks after it ("tail") are small enough to be trained on a processor.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from retrieval.training.graph import FloatArray, Graph

SIDE = 260
MEAN = 127.0
STD = 128.0
CUT = 15
"""Index of the last block that is never trained; its output is (208, 9, 9) per picture."""
SHALLOW = (2, 6, 10, 14)
"""Blocks whose outputs, pooled over the picture (mean and maximum), keep colour and texture."""
SHALLOW_DIM = 2 * (24 + 48 + 88 + 120)

Weights = dict[str, FloatArray]


class Block(NamedTuple):
    """One inverted-residual block of the network."""

    channels_in: int
    channels_out: int
    kernel: int
    stride: int
    expand: int

    @property
    def skips(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.channels_in == self.channels_out


def _blocks() -> tuple[Block, ...]:
    stages = ((1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 48), (4, 3, 2, 6, 88), (4, 5, 1, 6, 120))
    rows: list[Block] = []
    channels = 32
    for repeats, kernel, stride, expand, out in (*stages, (5, 5, 2, 6, 208), (1, 3, 1, 6, 352)):
        for i in range(repeats):
            rows.append(Block(channels, out, kernel, stride if i == 0 else 1, expand))
            channels = out
    return tuple(rows)


BLOCKS = _blocks()
FEATURES = 1280


def fold(state: dict[str, FloatArray], epsilon: float = 1e-3) -> Weights:
    """Batch norms folded into the convolutions before them: names such as `7.expand.weight`, `7.expand.bias`."""
    folded: Weights = {}

    def put(name: str, conv: str, norm: str) -> None:
        scale = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"] + epsilon)
        folded[f"{name}.weight"] = state[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{name}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale

    put("stem", "_conv_stem", "_bn0")
    for i, block in enumerate(BLOCKS):
        at = f"_blocks.{i}"
        if block.expand != 1:
            put(f"{i}.expand", f"{at}._expand_conv", f"{at}._bn0")
        put(f"{i}.depthwise", f"{at}._depthwise_conv", f"{at}._bn1")
        put(f"{i}.project", f"{at}._project_conv", f"{at}._bn2")
    put("top", "_conv_head", "_bn1")
    folded["classes.weight"] = state["_fc.weight"]
    folded["classes.bias"] = state["_fc.bias"]
    return folded


def same_pads(side: int, kernel: int, stride: int) -> list[int]:
    """ONNX pads (top, left, bottom, right) of TensorFlow's SAME padding for a square of `side`."""
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return [total // 2, total // 2, total - total // 2, total - total // 2]


def _conv(graph: Graph, weights: Weights, name: str, source: str, **attributes: int | list[int]) -> str:
    kernel = weights[f"{name}.weight"]
    small = kernel.shape[1] == 1 or name.endswith("stem")
    stored = graph.half(f"{name}.weight", kernel) if small else graph.weight(f"{name}.weight", kernel, 0)
    bias = graph.half(f"{name}.bias", weights[f"{name}.bias"])
    return graph.node("Conv", source, stored, bias, name="", **attributes)


def _relu6(graph: Graph, source: str) -> str:
    return graph.node("Clip", source, "zero", "six")


def write_block(graph: Graph, weights: Weights, index: int, source: str, side: int, prefix: str = "") -> str:
    """Append block `index`, which sees a map of `side` x `side`; its weights' names begin with `prefix`."""
    block = BLOCKS[index]
    out = source
    if block.expand != 1:
        out = _relu6(graph, _conv(graph, weights, f"{prefix}{index}.expand", out))
    pads = same_pads(side, block.kernel, block.stride)
    group = block.channels_in * block.expand
    strides = [block.stride, block.stride]
    out = _conv(graph, weights, f"{prefix}{index}.depthwise", out, group=group, strides=strides, pads=pads)
    out = _conv(graph, weights, f"{prefix}{index}.project", _relu6(graph, out))
    return graph.node("Add", out, source) if block.skips else out


class Trunk(NamedTuple):
    """Names of two tensors in a graph: the maps after :data:`CUT` and the pooled shallow features."""

    maps: str
    shallow: str


def write_trunk(graph: Graph, weights: Weights, pixels: str, side: int = SIDE) -> Trunk:
    """Append everything from uint8 pixels (n, side, side, 3) to the maps after block :data:`CUT`."""
    graph.constant("zero", np.array(0.0, np.float32))
    graph.constant("six", np.array(6.0, np.float32))
    out = graph.node("Cast", pixels, to=TensorProto.FLOAT)
    out = graph.node("Sub", out, graph.constant("mean", np.array(MEAN, np.float32)))
    out = graph.node("Mul", out, graph.constant("inverse_std", np.array(1.0 / STD, np.float32)))
    out = graph.node("Transpose", out, perm=[0, 3, 1, 2])
    out = _relu6(graph, _conv(graph, weights, "stem", out, strides=[2, 2], pads=same_pads(side, 3, 2)))
    side = math.ceil(side / 2)
    pooled: list[str] = []
    for i in range(CUT + 1):
        out = write_block(graph, weights, i, out, side)
        side = math.ceil(side / BLOCKS[i].stride)
        if i in SHALLOW:
            pooled += [graph.node("GlobalAveragePool", out), graph.node("GlobalMaxPool", out)]
    shallow = graph.node("Flatten", graph.node("Concat", *pooled, axis=1), axis=1)
    return Trunk(out, shallow)


def write_top(graph: Graph, weights: Weights, maps: str, prefix: str = "") -> str:
    """Append the last 1x1 convolution: (n, 1280, 9, 9)."""
    return _relu6(graph, _conv(graph, weights, f"{prefix}top", maps))


def write_mean(graph: Graph, maps: str) -> str:
    """Append the mean over the picture: (n, channels)."""
    return graph.node("Flatten", graph.node("GlobalAveragePool", maps), axis=1)


def trunk_model(weights: Weights, side: int = SIDE) -> bytes:
    """The trunk alone as an uncompressed ONNX file, to compute features with."""
    graph = Graph("trunk", compact=False)
    pixels = graph.input("pixels", TensorProto.UINT8, ["n", side, side, 3])
    trunk = write_trunk(graph, weights, pixels, side)
    maps = graph.node("Identity", trunk.maps, name="maps")
    shallow = graph.node("Identity", trunk.shallow, name="shallow")
    grid = math.ceil(side / 32)
    made = graph.outputs({maps: ["n", BLOCKS[CUT].channels_out, grid, grid], shallow: ["n", SHALLOW_DIM]})
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def load_pretrained(path: Path) -> Weights:
    """Read and fold the published checkpoint (a torch file, read with weights_only)."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    arrays: dict[str, npt.NDArray[np.float32]] = {k: v.numpy() for k, v in state.items() if v.ndim > 0}
    return fold(arrays)
