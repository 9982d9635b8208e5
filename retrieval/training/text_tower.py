"""all-MiniLM-L6-v2 as a torch module and as an ONNX graph.

A six-layer BERT (Devlin et al., 2019) distilled by Wang et al., "MiniLM", NeurIPS 2020, and tuned for sentences by
Reimers and Gurevych, "Sentence-BERT", EMNLP 2019. The embeddings and the first :data:`FROZEN` layers stay as
pretrained, so their outputs can be computed once for a set of captions.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch.nn import functional

from retrieval.training.graph import FloatArray, Graph

WIDTH = 384
HEADS = 12
LAYERS = 6
FROZEN = 3
EPSILON = 1e-12


class Layer(nn.Module):
    """One transformer layer, post-norm, exact GELU."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS, dropout: float = 0.1) -> None:
        """Make a layer of random weights."""
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.dropout = dropout

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """States (n, t, width) and an additive attention bias (n, 1, 1, t) to states of the same shape."""
        n, t, width = states.shape
        q, k, v = self.qkv(states).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        drop = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=drop)
        out = self.mix(mixed.transpose(1, 2).reshape(n, t, width))
        states = self.norm1(states + functional.dropout(out, drop))
        out = self.down(functional.gelu(self.up(states)))
        return self.norm2(states + functional.dropout(out, drop))  # type: ignore[no-any-return]


class TextTower(nn.Module):
    """Token ids to states (n, t, 384)."""

    def __init__(self, layers: int = LAYERS, vocabulary: int = 30522, positions: int = 512) -> None:
        """Make a tower of random weights."""
        super().__init__()
        self.words = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Embedding(positions, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))

    def lower(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States after the layers that are never trained."""
        states: Tensor = self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]])
        for layer in self.layers[:FROZEN]:
            states = layer(states, attention_bias(mask))
        return states

    def upper(self, states: Tensor, mask: Tensor) -> Tensor:
        """States after the remaining layers."""
        for layer in self.trained():
            states = layer(states, attention_bias(mask))
        return states

    def trained(self) -> nn.ModuleList:
        """The layers above those that are never trained."""
        return self.layers[FROZEN:]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and mask (n, t) to states (n, t, 384)."""
        return self.upper(self.lower(ids, mask), mask)


def attention_bias(mask: Tensor) -> Tensor:
    """(n, t) of ones and zeros to what is added to attention scores: 0 or a large negative number."""
    return (1.0 - mask[:, None, None, :].float()) * -1e4


def load_minilm(path: Path) -> TextTower:
    """Read the published safetensors file; the constant token-type row is added to the positions."""
    from safetensors.torch import load_file

    state = load_file(str(path))
    words = state["embeddings.word_embeddings.weight"]
    tower = TextTower(vocabulary=words.shape[0])
    mapped = {
        "words.weight": words,
        "positions.weight": state["embeddings.position_embeddings.weight"]
        + state["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": state["embeddings.LayerNorm.weight"],
        "norm.bias": state["embeddings.LayerNorm.bias"],
    }
    names = {"mix": "attention.output.dense", "norm1": "attention.output.LayerNorm", "up": "intermediate.dense"}
    names |= {"down": "output.dense", "norm2": "output.LayerNorm"}
    for i in range(LAYERS):
        source = f"encoder.layer.{i}"
        for kind in ("weight", "bias"):
            qkv = [state[f"{source}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            mapped[f"layers.{i}.qkv.{kind}"] = torch.cat(qkv)
            mapped |= {
                f"layers.{i}.{ours}.{kind}": state[f"{source}.{theirs}.{kind}"] for ours, theirs in names.items()
            }
    tower.load_state_dict(mapped)
    return tower.eval()


def write_lower(graph: Graph, weights: Mapping[str, FloatArray], ids: str, mask: str) -> tuple[str, str]:
    """Append the layers that are never trained; returned are the states (n, t, width) and the attention bias.

    `weights` is the module's state by name.
    """
    length = graph.node("Gather", graph.node("Shape", ids), graph.constant("one", np.array([1])), axis=0)
    starts = graph.constant("zero", np.array([0]))
    positions = graph.half("positions.weight", weights["positions.weight"][:MAX_TOKENS])
    rows = graph.node("Slice", positions, starts, length, starts)
    states = graph.node("Add", graph.table("words.weight", weights["words.weight"], ids), rows)
    states = write_norm(graph, weights, "norm", states)
    real = graph.node("Cast", mask, to=TensorProto.FLOAT)
    lack = graph.node("Sub", graph.constant("unit", np.array(1.0, np.float32)), real)
    bias = graph.node("Mul", lack, graph.constant("far", np.array(-1e4, np.float32)))
    bias = graph.node("Unsqueeze", bias, graph.constant("axes", np.array([1, 2])))
    for i in range(FROZEN):
        states = _write_layer(graph, weights, f"layers.{i}", states, bias)
    return states, bias


def write_upper(graph: Graph, weights: Mapping[str, FloatArray], states: str, bias: str, prefix: str = "") -> str:
    """Append the layers above; their names in `weights` and in the graph begin with `prefix`."""
    layers = sorted({int(n.split(".")[-3]) for n in weights if n.startswith(f"{prefix}layers.")} - set(range(FROZEN)))
    for i in layers:
        states = _write_layer(graph, weights, f"{prefix}layers.{i}", states, bias)
    return states


MAX_TOKENS = 64


def write_linear(graph: Graph, weights: Mapping[str, FloatArray], name: str, source: str) -> str:
    """Append a linear map; the weight is kept as (in, out) so that no transpose is left to run."""
    matrix = graph.weight(f"{name}.weight", np.ascontiguousarray(weights[f"{name}.weight"].T), 1)
    return graph.node("Add", graph.node("MatMul", source, matrix), graph.half(f"{name}.bias", weights[f"{name}.bias"]))


def write_norm(
    graph: Graph, weights: Mapping[str, FloatArray], name: str, source: str, epsilon: float = EPSILON
) -> str:
    """Append a layer norm over the last axis."""
    scale, bias = (graph.half(f"{name}.{kind}", weights[f"{name}.{kind}"]) for kind in ("weight", "bias"))
    return graph.node("LayerNormalization", source, scale, bias, axis=-1, epsilon=epsilon)


def write_gelu(graph: Graph, name: str, source: str) -> str:
    """Append the exact GELU in the form ONNX Runtime fuses to one kernel."""
    root = graph.constant(f"{name}.root", np.array(np.sqrt(2.0), np.float32))
    inner = graph.node("Erf", graph.node("Div", source, root))
    shifted = graph.node("Add", inner, graph.constant(f"{name}.unit", np.array(1.0, np.float32)))
    product = graph.node("Mul", source, shifted)
    return graph.node("Mul", product, graph.constant(f"{name}.half", np.array(0.5, np.float32)))


def _write_layer(graph: Graph, weights: Mapping[str, FloatArray], name: str, states: str, bias: str) -> str:
    width = weights[f"{name}.mix.weight"].shape[0]
    split = graph.constant(f"{name}.split", np.array([0, 0, 3, HEADS, width // HEADS]))
    qkv = graph.node("Reshape", write_linear(graph, weights, f"{name}.qkv", states), split)
    parts = graph.node("Transpose", qkv, perm=[2, 0, 3, 1, 4])
    q, k, v = (graph.node("Gather", parts, graph.constant(f"{name}.part{i}", np.array(i)), axis=0) for i in range(3))
    scores = graph.node("MatMul", q, graph.node("Transpose", k, perm=[0, 1, 3, 2]))
    scale = graph.constant(f"{name}.scale", np.array((width // HEADS) ** -0.5, np.float32))
    weights_of = graph.node("Softmax", graph.node("Add", graph.node("Mul", scores, scale), bias), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", weights_of, v), perm=[0, 2, 1, 3])
    joined = graph.node("Reshape", mixed, graph.constant(f"{name}.join", np.array([0, 0, width])))
    out = write_linear(graph, weights, f"{name}.mix", joined)
    states = write_norm(graph, weights, f"{name}.norm1", graph.node("Add", states, out))
    out = write_gelu(graph, f"{name}.gelu", write_linear(graph, weights, f"{name}.up", states))
    out = write_linear(graph, weights, f"{name}.down", out)
    return write_norm(graph, weights, f"{name}.norm2", graph.node("Add", states, out))
