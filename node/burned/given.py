"""Makes a network take pictures as they are, in bytes and colour by pixel, and say itself what numbers they stand for:
nobody then has to make four bytes of each. A fourth channel, which counts for nothing, is there because processors
multiply four bytes at once."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from .graph import Graph, Step
from .greys import MIDDLE, STEP
from .shorter import padded
from .weights import CHANNELS, PICTURES


def take_pictures(graph: Graph) -> None:
    """Change a graph that takes floating point numbers from -1 to 1, colour after colour."""
    (given,) = (one.name for one in graph.model.graph.input)
    for step in graph.users()[given]:  # while the first steps are those that came
        graph.constants[step.inputs[1]] = padded(graph.constants[step.inputs[1]], CHANNELS, axis=1)
    size, zero, turned = f"{given}.size", f"{given}.zero", f"{PICTURES}.turned"
    graph.constants[size], graph.constants[zero] = np.array(STEP, np.float32), np.array(MIDDLE, np.uint8)
    graph.steps[:0] = [
        Step("Transpose", [PICTURES], [turned], [helper.make_attribute("perm", [0, 3, 1, 2])]),
        Step("DequantizeLinear", [turned, size, zero], [given]),
    ]
    del graph.model.graph.input[:]
    taken = helper.make_tensor_value_info(PICTURES, TensorProto.UINT8, ["count", "rows", "columns", CHANNELS])
    graph.model.graph.input.append(taken)
