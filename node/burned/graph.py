"""Is a neural network that can be changed: its steps in the order in which they are done, and its constants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Constant = npt.NDArray[Any]
_OPERATORS = (helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1))
_FORMAT = 8


@dataclass
class Step:
    """One operation. `inputs` and `outputs` are names of tensors; what is said beside them is as ONNX has it."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    said: Sequence[onnx.AttributeProto] = ()
    domain: str = ""

    @property
    def output(self) -> str:
        """The first, which for nearly all is the only one."""
        return self.outputs[0]


@dataclass
class Graph:
    """Steps and constants of one network."""

    model: onnx.ModelProto
    steps: list[Step]
    constants: dict[str, Constant]

    @property
    def results(self) -> set[str]:
        """The names of what the network is asked for."""
        return {one.name for one in self.model.graph.output}

    def users(self) -> dict[str, list[Step]]:
        """The steps that use each tensor."""
        users = defaultdict[str, list[Step]](list)
        for step in self.steps:
            for name in step.inputs:
                users[name].append(step)
        return users

    def without(self, steps: Iterable[Step]) -> None:
        """Drop steps."""
        dropped = {id(step) for step in steps}
        self.steps = [step for step in self.steps if id(step) not in dropped]

    def as_bytes(self) -> bytes:
        """The network as onnxruntime loads it; constants that no step uses are left out."""
        used = {name for step in self.steps for name in step.inputs}
        done = onnx.ModelProto()
        done.CopyFrom(self.model)
        done.ir_version = _FORMAT
        del done.opset_import[:], done.graph.node[:], done.graph.initializer[:], done.graph.value_info[:]
        done.opset_import.extend(_OPERATORS)
        for step in self.steps:
            node = helper.make_node(step.kind, step.inputs, step.outputs, step.output, domain=step.domain)
            node.attribute.extend(step.said)
            done.graph.node.append(node)
        done.graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
            for name, value in self.constants.items()
            if name in used
        )
        return bytes(done.SerializeToString())


def graph_of(weights: Path) -> Graph:
    """The network of a file of operator set 11 to 17; of what changed in between, what the networks here use is
    brought up to date."""
    model = onnx.load(weights)
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    steps = []
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            continue
        step = Step(node.op_type, list(node.input), list(node.output), list(node.attribute), node.domain)
        if step.kind in ("Squeeze", "Unsqueeze") and step.said:  # their axes are an input since operator set 13
            axes = f"{step.output}.axes"
            constants[axes] = np.array(step.said[0].ints, np.int64)
            step.inputs, step.said = [step.inputs[0], axes], ()
        steps.append(step)
    return Graph(model, steps, constants)
