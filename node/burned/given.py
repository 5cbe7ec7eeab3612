"""Makes a network take pictures as they are, in bytes and colour by pixel, and say itself what numbers they stand for:
nobody then has to make four bytes of each."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from .graph import Graph, Step
from .greys import MIDDLE, STEP
from .weights import PICTURES


def take_pictures(graph: Graph) -> None:
    """Change a graph that takes floating point numbers from -1 to 1, colour after colour."""
    (given,) = (one.name for one in graph.model.graph.input)
    size, zero, turned = f"{given}.size", f"{given}.zero", f"{PICTURES}.turned"
    graph.constants[size], graph.constants[zero] = np.array(STEP, np.float32), np.array(MIDDLE, np.uint8)
    graph.steps[:0] = [
        Step("Transpose", [PICTURES], [turned], [helper.make_attribute("perm", [0, 3, 1, 2])]),
        Step("DequantizeLinear", [turned, size, zero], [given]),
    ]
    del graph.model.graph.input[:]
    taken = helper.make_tensor_value_info(PICTURES, TensorProto.UINT8, ["count", "rows", "columns", 3])
    graph.model.graph.input.append(taken)
