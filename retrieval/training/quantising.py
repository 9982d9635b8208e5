"""A transformer tower with its products of matrices in whole numbers of eight bits; no PyTorch.

Scales are fixed beforehand from what the tower makes of given inputs (static quantisation; Jacob et al., "Quantization
and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018): one for what a product is
given, one for each output channel of its weights. A vector so does not depend on what else is in its batch, as it would
with scales found while running. The products that suffer most stay in single precision where that is needed (mixed
precision by sensitivity, as in Dong et al., "HAWQ", ICCV 2019; here by the error of the product itself).
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.embedding.base import normalise
from retrieval.embedding.mapped import weights_name, write_mapped
from retrieval.errors import ModelError
from retrieval.messages import _
from retrieval.types import FloatMatrix

Feed = Mapping[str, NDArray[Any]]
"""Inputs of one run by name; the first axis of each counts the rows."""
KEPT = 0.9
"""The share of the ten nearest that must remain, among inputs that set no scale."""
NEAREST = 10
_SHARES_LEFT = (0.0, 0.125, 0.25, 0.5)
_LEAST_SHARE = 0.5
_STEPS_GIVEN = 255
_STEPS_WEIGHT = 63
"""Weights have seven bits: with eight, processors without instructions for it (VNNI) overflow."""
_LEAST = 1e-12


class Quantised(NamedTuple):
    """How many products of matrices a tower has and how many are in eight bits, and how like its vectors are.

    ``kept`` is the share of the ten nearest that remain (0-1), ``cosine`` the lowest of a vector to what it was.
    """

    products: int
    in_eight_bits: int
    kept: float
    cosine: float


class _Product(NamedTuple):
    """A node that multiplies what it is given with weights ``(k, n)`` and may add ``(n,)``; the bounds of the given."""

    node: Any
    weights: NDArray[np.float32]
    added: NDArray[np.float32] | None
    low: float
    high: float
    error: float

    @property
    def step(self) -> float:
        """The scale of what is given."""
        return max((self.high - self.low) / _STEPS_GIVEN, _LEAST)


def quantise(tower: Path, out: Path, setting: Sequence[Feed], comparing: Sequence[Feed]) -> Quantised:
    """Write the ONNX file ``tower`` in eight bits to ``out``, weights beside it, with scales from ``setting``.

    Products are left in single precision, the worst first, until the vectors of ``comparing`` keep their neighbours.

    Raises:
        ModelError: half or more of the weights are not multiplied as matrices, the neighbours do not remain, the
            package onnx is not installed, or there is no room.
    """
    products = _products(tower, setting)
    wanted = vectors_of(tower, comparing)
    with tempfile.TemporaryDirectory(dir=out.parent) as temporary:
        made = Path(temporary) / "quantised.onnx"
        for share in _SHARES_LEFT:
            chosen = products[round(share * len(products)) :]
            _write(tower, made, chosen)
            found = vectors_of(made, comparing)
            kept = neighbours_kept(wanted, found)
            if kept >= KEPT:
                weights = out.with_name(weights_name(out.name))
                weights.unlink(missing_ok=True)
                write_mapped(made, out)
                return Quantised(len(products), len(chosen), kept, float((wanted * found).sum(axis=1).min()))
    raise ModelError(
        _("in eight bits only {kept:.0%} of the ten nearest pictures remain; export without --int8").format(kept=kept)
    )


def vectors_of(tower: Path, feeds: Sequence[Feed]) -> FloatMatrix:
    """Return what a tower makes of inputs, ``(n, dim) float32``, rows of length 1."""
    session = _session(tower)
    return normalise(np.concatenate([session.run(["vectors"], dict(feed))[0] for feed in feeds]))


def neighbours_kept(before: FloatMatrix, after: FloatMatrix, k: int = NEAREST) -> float:
    """Return which share of the ``k`` nearest rows of each row remains among its nearest, 0-1."""
    near = [_nearest(rows, min(k, len(rows) - 1)) for rows in (before, after)]
    return float(np.mean([len(np.intersect1d(one, two)) / len(one) for one, two in zip(*near, strict=True)]))


def _nearest(rows: FloatMatrix, k: int) -> NDArray[np.int64]:
    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def _session(tower: Path) -> Any:  # noqa: ANN401 - it has no types
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(tower, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        raise ModelError(
            _("{path} cannot be loaded ({reason:.120}); install the model again").format(
                path=tower, reason=" ".join(str(error).split())
            )
        ) from None


def _onnx() -> Any:  # noqa: ANN401 - it has no types
    try:
        import onnx
    except ImportError:
        raise ModelError(
            _("--int8 needs the package onnx, which is not installed; run: pip install 'sightseek[clip]'")
        ) from None
    return onnx


def _products(tower: Path, setting: Sequence[Feed]) -> list[_Product]:
    """Return the products with a matrix of weights, by how much eight bits change what they give, the worst first."""
    onnx = _onnx()
    graph = onnx.load(tower).graph
    held = {one.name: one for one in graph.initializer}
    nodes = [node for node in graph.node if _is_product(node) and all(name in held for name in node.input[1:])]
    sizes = {name: int(np.prod(one.dims)) for name, one in held.items()}
    if sum(sizes[node.input[1]] for node in nodes) <= _LEAST_SHARE * sum(sizes.values()):
        raise ModelError(_("this image tower is no transformer and gains nothing from --int8; leave it away"))
    names = list(dict.fromkeys(node.input[0] for node in nodes))
    examples, ranges = _given(tower, names, setting)
    found = []
    for node in nodes:
        weights, *added = (onnx.numpy_helper.to_array(held[name]).astype(np.float32) for name in node.input[1:])
        if any(one.name == "transB" and one.i for one in node.attribute):
            weights = np.ascontiguousarray(weights.T)
        beside = np.broadcast_to(added[0], weights.shape[1:]) if added else None
        product = _Product(node, weights, beside, *ranges[node.input[0]], 0.0)
        found.append(product._replace(error=_error(product, examples[node.input[0]])))
    return sorted(found, key=lambda product: product.error, reverse=True)


def _is_product(node: Any) -> bool:  # noqa: ANN401 - onnx has no types
    if node.op_type == "Gemm":
        plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
        return all(getattr(one, "i" if one.name == "transA" else "f") == plain[one.name]
                   for one in node.attribute if one.name in plain)  # fmt: skip
    return bool(node.op_type == "MatMul")


def _given(
    tower: Path, names: Sequence[str], setting: Sequence[Feed]
) -> tuple[dict[str, NDArray[np.float32]], dict[str, tuple[float, float]]]:
    """Return what the named values of a graph are for the first inputs, and between which bounds for all; 0 is within.

    What the products are given is no output of the graph, so a copy of it is run that has them as outputs.
    """
    onnx = _onnx()
    model = onnx.load(tower, load_external_data=False)
    there = {one.name for one in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
    copy = tower.with_name(f"{tower.name}.open")  # beside the tower, whose weights it names
    try:
        onnx.save(model, copy)
        session = _session(copy)
    finally:
        copy.unlink(missing_ok=True)
    examples: dict[str, NDArray[np.float32]] = {}
    ranges = dict.fromkeys(names, (0.0, 0.0))
    for feed in setting:
        for name, value in zip(names, session.run(names, dict(feed)), strict=True):
            low, high = ranges[name]
            ranges[name] = min(low, float(value.min())), max(high, float(value.max()))
            examples.setdefault(name, value[:2].copy())
    return examples, ranges


def _error(product: _Product, given: NDArray[np.float32]) -> float:
    """Return the energy of what eight bits change in the product, as a share of its energy."""
    rows = given.reshape(-1, given.shape[-1])
    whole, steps = _in_steps(product.weights)
    exact = rows @ product.weights
    off = (np.round(rows / product.step) * product.step) @ (whole * steps) - exact
    return float((off**2).mean() / max(float((exact**2).mean()), _LEAST))


def _in_steps(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return weights ``(k, n)`` as whole numbers, and the step of each column ``(n,)``."""
    steps = np.maximum(np.abs(weights).max(axis=0) / _STEPS_WEIGHT, _LEAST).astype(np.float32)
    return np.round(weights / steps).astype(np.int8), steps


def _write(tower: Path, out: Path, chosen: Sequence[_Product]) -> None:
    """Write the tower with the chosen products between QuantizeLinear and DequantizeLinear, which runtimes join."""
    onnx = _onnx()
    model = onnx.load(tower)
    graph = model.graph
    by_name = {product.node.output[0]: product for product in chosen}
    made: dict[str, str] = {}
    nodes: list[Any] = []
    for node in graph.node:
        product = by_name.get(node.output[0])
        if product is None:
            nodes.append(node)
            continue
        given = node.input[0]
        if given not in made:
            made[given] = f"{given}.eight_bits"
            nodes += _rounded(graph, given, made[given], product)
        nodes += _multiplied(graph, node, made[given], product)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [one for one in graph.initializer if one.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.save(model, out, save_as_external_data=True, location=f"{out.name}.data")


def _rounded(graph: Any, given: str, result: str, product: _Product) -> list[Any]:  # noqa: ANN401 - onnx has no types
    helper, numbers = _onnx().helper, _onnx().numpy_helper
    step, zero = f"{result}.step", f"{result}.zero"
    nought = np.uint8(np.clip(round(-product.low / product.step), 0, _STEPS_GIVEN))
    graph.initializer.extend(
        [numbers.from_array(np.float32(product.step), step), numbers.from_array(np.array(nought), zero)]
    )
    return [
        helper.make_node("QuantizeLinear", [given, step, zero], [f"{result}.whole"]),
        helper.make_node("DequantizeLinear", [f"{result}.whole", step, zero], [result]),
    ]


def _multiplied(graph: Any, node: Any, given: str, product: _Product) -> list[Any]:  # noqa: ANN401 - onnx has no types
    """Return the nodes of one product, and what is added where that is part of it, as whole numbers of its steps."""
    helper, numbers = _onnx().helper, _onnx().numpy_helper
    name, result = f"{node.output[0]}.weights", node.output[0]
    whole, steps = _in_steps(product.weights)
    parts: dict[str, NDArray[Any]] = {
        name: whole,
        f"{name}.steps": steps,
        f"{name}.zeros": np.zeros(len(steps), np.int8),
    }
    nodes = [helper.make_node("DequantizeLinear", list(parts), [f"{name}.read"], axis=1)]
    factors = [given, f"{name}.read"]
    if product.added is not None:
        finer, added = f"{name}.finer", f"{name}.added"
        parts[finer] = steps * np.float32(product.step)
        parts[added] = np.round(product.added / parts[finer]).astype(np.int32)
        nodes.append(helper.make_node("DequantizeLinear", [added, finer], [f"{added}.read"], axis=0))
        factors.append(f"{added}.read")
    graph.initializer.extend(numbers.from_array(value, key) for key, value in parts.items())
    return [*nodes, helper.make_node(node.op_type, factors, [result])]
