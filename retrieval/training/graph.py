"""A small writer of ONNX graphs with compact, deterministic weight storage.

Large matrices are stored as int8 with one scale per output channel and turned back into float32 by Cast and Mul,
which ONNX Runtime folds away when it loads the file. All arithmetic is float32, so a row of a batch never depends
on its neighbours. Small or sensitive arrays are stored as float16.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

FloatArray = npt.NDArray[np.float32]
Attribute = int | float | str | list[int]

OPSET = 17
IR_VERSION = 8


class Graph:
    """Collects nodes and weights; :meth:`model` returns the finished file.

    `compact=False` stores every weight as float32 (to measure what the compact form costs).
    """

    def __init__(self, name: str, *, compact: bool = True) -> None:
        """Start an empty graph called `name`."""
        self.name = name
        self.compact = compact
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._widened: set[str] = set()
        self._inputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def input(self, name: str, elem_type: int, shape: Sequence[int | str]) -> str:
        """Declare an input; strings in `shape` are dynamic axes."""
        self._inputs.append(helper.make_tensor_value_info(name, elem_type, list(shape)))
        return name

    def node(self, op: str, *inputs: str, name: str = "", **attributes: Attribute) -> str:
        """Append a node with one output and return the output's name."""
        self._count += 1
        output = name or f"{op.lower()}_{self._count}"
        made = helper.make_node(op, list(inputs), [output], name=output)
        made.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self._nodes.append(made)
        return output

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Store an array exactly as it is; one that is stored again under its name is stored once.

        Raises:
            ValueError: another array has the name.
        """
        made = numpy_helper.from_array(np.array(value, order="C"), name)
        if self._initializers.setdefault(name, made) != made:
            raise ValueError(f"two arrays are called {name}")
        return name

    def half(self, name: str, value: FloatArray) -> str:
        """Store a small or sensitive array as float16; the returned name is its float32 form."""
        if not self.compact:
            return self.constant(name, value.astype(np.float32))
        stored = self.constant(f"{name}.f16", value.astype(np.float16))
        if name not in self._widened:
            self._widened.add(self.node("Cast", stored, name=name, to=TensorProto.FLOAT))
        return name

    def weight(self, name: str, value: FloatArray, axis: int) -> str:
        """Store a matrix or kernel as int8 with a scale per index of `axis`; returned is its float32 form."""
        if not self.compact:
            return self.constant(name, value.astype(np.float32))
        codes, scale = quantise(value, axis)
        stored, factor = self.constant(f"{name}.i8", codes), self.constant(f"{name}.scale", scale)
        if name not in self._widened:
            cast = self.node("Cast", stored, name=f"{name}.cast", to=TensorProto.FLOAT)
            self._widened.add(self.node("Mul", cast, factor, name=name))
        return name

    def table(self, name: str, value: FloatArray, rows: str) -> str:
        """Look up `rows` of an int8 table (a scale per row); only the rows looked up are turned to float32."""
        if not self.compact:
            return self.node("Gather", self.constant(name, value.astype(np.float32)), rows, axis=0)
        codes, scale = quantise(value, 0)
        picked = self.node("Gather", self.constant(f"{name}.i8", codes), rows, axis=0)
        cast = self.node("Cast", picked, to=TensorProto.FLOAT)
        return self.node("Mul", cast, self.node("Gather", self.constant(f"{name}.scale", scale), rows, axis=0))

    def model(self, output: str, shape: Sequence[int | str]) -> onnx.ModelProto:
        """Finish: `output` becomes the only output, float32 of `shape`."""
        return self.outputs({output: shape})

    def outputs(self, shapes: dict[str, Sequence[int | str]]) -> onnx.ModelProto:
        """Finish with several float32 outputs."""
        infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in shapes.items()]
        graph = helper.make_graph(self._nodes, self.name, self._inputs, infos, list(self._initializers.values()))
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="sightseek")
        made.ir_version = IR_VERSION
        onnx.checker.check_model(made)
        return made


def quantise(value: FloatArray, axis: int) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Symmetric int8 codes and the float32 scale of each index of `axis` (kept as length-1 axes elsewhere)."""
    others = tuple(i for i in range(value.ndim) if i != axis)
    scale = np.abs(value).max(axis=others, keepdims=True) / 127.0
    scale = np.where(scale == 0.0, 1.0, scale).astype(np.float32)
    codes = np.clip(np.rint(value / scale), -127, 127).astype(np.int8)
    return codes, scale
