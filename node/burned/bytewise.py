"""Makes a network count in bytes instead of floating point numbers, where it is known between which values its numbers
lie: half the time and a quarter of the memory, for an answer that differs by a few thousandths.

Each convolution, and what stands between two of them, is given its numbers as bytes and gives bytes: `QuantizeLinear`
and `DequantizeLinear` around each step say so, and onnxruntime takes the three together for one step on bytes. Weights
have 7 bits, so that no sum overflows on a processor without instructions for them, and all get the same result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from onnx import helper

from .graph import Constant, Graph, Step
from .shorter import pairs

Ranges = Mapping[str, tuple[float, float]]
"""By the name of a tensor, the least and the most that its values were seen to be."""
_BYTES, _WEIGHTS = 255, 63
_STEPS = ("Conv", "Add", "Mul", "Concat", "MaxPool", "GlobalAveragePool", "Resize", "Gelu")
_ALL_ALIKE = ("Add", "Mul", "Concat")
"""Of these every input is counted, and not the first alone."""
_LARGE = 10**6
_KEEPING = ("MaxPool", "Resize")
"""What they give lies where what they get does."""


def count_in_bytes(graph: Graph, ranges: Ranges) -> None:
    """Change the graph, whose steps are those of which the ranges were measured."""
    known = dict(ranges)
    for step in graph.steps:
        if step.kind in _KEEPING and step.inputs[0] in known:
            known[step.output] = known[step.inputs[0]]
    writer = _Writer(graph, known)
    graph.steps = [done for step in graph.steps for done in writer.written(step)]
    _count_products(graph)


def _count_products(graph: Graph) -> None:
    """A large product with constants, as the one that tells the letters apart, sees by itself between which values its
    numbers lie."""
    for step, after in list(pairs(graph)):
        weights = graph.constants.get(step.inputs[-1])
        if step.kind != "MatMul" or after.kind != "Add" or weights is None or weights.size < _LARGE:
            continue
        sizes = np.maximum(np.abs(weights).max(axis=0) / _WEIGHTS, 1e-9).astype(np.float32)
        names = [f"{step.output}.{part}" for part in ("whole", "sizes", "zeros")]
        values = np.round(weights / sizes).astype(np.int8), sizes, np.zeros(len(sizes), np.int8)
        graph.constants |= zip(names, values, strict=True)
        (bias,) = (name for name in after.inputs if name != step.output)
        step.kind, step.domain = "DynamicQuantizeMatMul", "com.microsoft"
        step.inputs, step.outputs = [step.inputs[0], *names, bias], after.outputs
        graph.without([after])


class _Writer:
    """Writes steps anew, one after the other."""

    def __init__(self, graph: Graph, ranges: dict[str, tuple[float, float]]) -> None:
        self._constants = graph.constants
        self._ranges = ranges
        self._users = graph.users()
        self._rounded = {step.output: step.output for step in graph.steps if step.kind == "DequantizeLinear"}
        """By the name of a tensor, that of the same rounded to bytes; pictures come so."""

    def written(self, step: Step) -> Iterator[Step]:
        counts = step.kind in _STEPS and step.inputs[0] in self._ranges
        if counts and step.kind == "Resize":
            yield from self._round(step.inputs[0])
            yield from self._repeated(step)
            return
        if counts and step.kind == "Conv":
            yield from self._round(step.inputs[0])
            yield from self._weights(*step.inputs)
        elif counts:
            for name in step.inputs if step.kind in _ALL_ALIKE else step.inputs[:1]:
                self._know(name)
                yield from self._round(name)
        step.inputs = [self._rounded.get(name, name) for name in step.inputs]
        yield step
        if counts and [one.kind for one in self._users[step.output]] != ["Relu"]:  # which is part of the same step
            yield from self._round(step.output)

    def _repeated(self, step: Step) -> Iterator[Step]:
        """Bytes made larger by taking each several times, which onnxruntime does faster than by its own step."""
        given, made = step.inputs[0], step.output
        times = round(float(self._constants[step.inputs[2]][2]))
        between, repeats, growth = (f"{made}.{part}" for part in ("between", "repeats", "growth"))
        self._constants[between] = np.array([2, 4], np.int64)
        self._constants[repeats] = np.array([1, 1, times, 1, times, 1], np.int64)
        self._constants[growth] = np.array([1, times, times, 1], np.int64)
        by_pixel, apart, often, shape, larger, whole, done = (f"{made}.{number}" for number in range(7))
        yield Step("Transpose", [f"{given}.bytes"], [by_pixel], [helper.make_attribute("perm", [0, 2, 3, 1])])
        yield Step("Unsqueeze", [by_pixel, between], [apart])
        yield Step("Expand", [apart, repeats], [often])
        yield Step("Shape", [by_pixel], [shape])
        yield Step("Mul", [shape, growth], [larger])
        yield Step("Reshape", [often, larger], [whole])
        yield Step("Transpose", [whole], [done], [helper.make_attribute("perm", [0, 3, 1, 2])])
        yield Step("DequantizeLinear", [done, f"{given}.size", f"{given}.zero"], [f"{made}.rounded"])
        self._rounded[made] = f"{made}.rounded"

    def _know(self, name: str) -> None:
        """The range of a constant."""
        value = self._constants.get(name)
        if value is not None and value.dtype == np.float32 and value.size:
            self._ranges[name] = (float(value.min()), float(value.max()))

    def _round(self, name: str) -> Iterator[Step]:
        """A tensor whose range is known becomes bytes, and numbers again."""
        if name in self._rounded or name not in self._ranges:
            return
        low, high = min(self._ranges[name][0], 0.0), max(self._ranges[name][1], 0.0)
        size = max((high - low) / _BYTES, 1e-8)
        how = [f"{name}.size", f"{name}.zero"]
        self._constants[how[0]] = np.array(size, np.float32)
        self._constants[how[1]] = np.array(min(max(round(-low / size), 0), _BYTES), np.uint8)
        yield Step("QuantizeLinear", [name, *how], [f"{name}.bytes"])
        yield Step("DequantizeLinear", [f"{name}.bytes", *how], [f"{name}.rounded"])
        self._rounded[name] = f"{name}.rounded"

    def _weights(self, given: str, weights: str, bias: str | None = None) -> Iterator[Step]:
        """Weights as bytes, each channel by its own largest; what is added to it counts in what products count in."""
        value = self._constants[weights]
        sizes = np.maximum(np.abs(value).reshape(len(value), -1).max(axis=1) / _WEIGHTS, 1e-9).astype(np.float32)
        whole = np.round(value / sizes.reshape(-1, 1, 1, 1)).astype(np.int8)
        yield self._constant(weights, whole, sizes)
        if bias is not None:
            products = (sizes * self._constants[f"{given}.size"]).astype(np.float32)
            yield self._constant(bias, np.round(self._constants[bias] / products).astype(np.int32), products)

    def _constant(self, name: str, whole: Constant, sizes: Constant) -> Step:
        self._constants[f"{name}.whole"], self._constants[f"{name}.sizes"] = whole, sizes
        self._constants[f"{name}.zeros"] = np.zeros(len(sizes), whole.dtype)
        self._rounded[name] = f"{name}.rounded"
        parts = [f"{name}.{part}" for part in ("whole", "sizes", "zeros")]
        return Step("DequantizeLinear", parts, [f"{name}.rounded"], [helper.make_attribute("axis", 0)])
