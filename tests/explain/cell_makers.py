"""Gives the tiny model of tests cells: each cell's vector says which colours are in it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.model_makers import COLOURS, SIZE, rewrite_settings, write_tiny_model

CELLS = 8


def write_cell_model(folder: Path, *, resize: str = "squash") -> Path:
    """Write the tiny model with an output ``cells`` of 8 x 8 cells, computed for as many pictures as are asked for."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    write_tiny_model(folder, resize=resize)
    model = onnx.load(folder / "image.onnx")
    dim = int(model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
    side, colours = SIZE // CELLS, len(COLOURS)
    constants = {
        "cells_of": np.array([0], dtype=np.int64),
        "cells_from": np.array([0], dtype=np.int64),
        "cells_axis": np.array([0], dtype=np.int64),
        "cells_as": np.array([-1, CELLS, side, CELLS, side, colours], dtype=np.int64),
        "cells_flat": np.array([-1, CELLS * CELLS, colours], dtype=np.int64),
        "cells_pad": np.array([0, 0, 0, 0, 0, dim - colours], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["shares", "cells_from", "cells_of", "cells_axis"], ["asked"]),
        helper.make_node("Reshape", ["asked", "cells_as"], ["blocks"]),
        helper.make_node("ReduceMean", ["blocks"], ["means"], axes=[2, 4], keepdims=0),
        helper.make_node("Reshape", ["means", "cells_flat"], ["rows_of_cells"]),
        helper.make_node("Pad", ["rows_of_cells", "cells_pad"], ["wide_cells"]),
        helper.make_node("MatMul", ["wide_cells", "turn"], ["turned_cells"]),
        helper.make_node("ReduceL2", ["turned_cells"], ["cell_lengths"], axes=[2], keepdims=1),
        helper.make_node("Div", ["turned_cells", "cell_lengths"], ["cells_found"]),
    ]
    # The graph of the tiny model calls its own layout "cells".
    for node in model.graph.node:
        node.input[:] = ["flat_layout" if name == "cells" else name for name in node.input]
        node.output[:] = ["flat_layout" if name == "cells" else name for name in node.output]
    nodes[-1].output[0] = "cells"
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.input.append(helper.make_tensor_value_info("cells_of", TensorProto.INT64, [1]))
    model.graph.output.append(helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["m", CELLS * CELLS, dim]))
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    (folder / "image.onnx").write_bytes(data)
    rewrite_settings(folder, image={"cells": [CELLS, CELLS]}, files={"image.onnx": hashlib.sha256(data).hexdigest()})
    return folder
