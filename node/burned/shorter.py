"""Makes a network do the same in fewer steps, or in less time: those that do nothing go, what several do one does, and
none has fewer channels than a processor computes at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import helper

from .graph import Constant, Graph, Step

_AT_ONCE = 16


def shorten(graph: Graph) -> None:
    """Change the graph; what it answers stays the same, but for rounding."""
    _pass_by(graph)
    _add_within(graph)
    _gelu(graph)
    _whole_mean(graph)
    _scale_once(graph)
    _enlarge_last(graph)
    _widen(graph)


def _pass_by(graph: Graph) -> None:
    """Steps that hand on what they get."""
    same: dict[str, str] = {}
    for step in graph.steps:
        step.inputs = [same.get(name, name) for name in step.inputs]
        if step.kind == "Identity" and step.output not in graph.results:
            same[step.output] = step.inputs[0]
    graph.without([step for step in graph.steps if step.output in same])


def _add_within(graph: Graph) -> None:
    """A convolution can add a constant by itself."""
    for step, after in pairs(graph):
        if step.kind not in ("Conv", "ConvTranspose") or len(step.inputs) > 2 or after.kind != "Add":
            continue
        others = [name for name in after.inputs if name != step.output]
        channels = graph.constants[step.inputs[1]].shape[0 if step.kind == "Conv" else 1]
        if others and others[0] in graph.constants and graph.constants[others[0]].size == channels:
            bias = f"{step.output}.bias"
            graph.constants[bias] = graph.constants[others[0]].reshape(-1)
            step.inputs.append(bias)
            step.outputs = after.outputs
            graph.without([after])


def _gelu(graph: Graph) -> None:
    """GELU, written out as x / 2 * (1 + erf(x / sqrt(2))), is an operation of its own."""
    users, makers = graph.users(), {step.output: step for step in graph.steps}
    for step in [one for one in graph.steps if one.kind == "Erf"]:
        first = makers[step.inputs[0]]
        (plus,) = users[step.output]
        (times,) = users[plus.output]
        (half,) = users[times.output]
        first.kind, first.domain, first.inputs, first.outputs = "Gelu", "com.microsoft", first.inputs[:1], half.outputs
        graph.without([step, plus, times, half])


def _whole_mean(graph: Graph) -> None:
    """The mean of all pixels has an operation of its own, which also works with bytes."""
    for step in graph.steps:
        if step.kind == "ReduceMean" and any(list(one.ints) == [2, 3] for one in step.said):
            step.kind, step.said = "GlobalAveragePool", ()


def _scale_once(graph: Graph) -> None:
    """x + x * s is x * (1 + s), and s is small."""
    for step, after in pairs(graph):
        if step.kind == "Mul" and after.kind == "Add" and step.inputs[0] in after.inputs:
            one, more, whole = f"{step.output}.one", f"{step.output}.more", step.inputs[0]
            graph.constants[one] = np.ones((1, 1, 1, 1), np.float32)
            step.kind, step.inputs, step.outputs = "Add", [step.inputs[1], one], [more]
            after.kind, after.inputs = "Mul", [whole, more]


def _enlarge_last(graph: Graph) -> None:
    """Where the network ends by making the picture twice as large, twice, it does all sums before that: each pixel
    becomes sixteen channels, which are laid out at the very end."""
    kinds = [step.kind for step in graph.steps[-4:]]
    if kinds != ["ConvTranspose", "Relu", "ConvTranspose", "Sigmoid"]:
        return
    first, _, second, last = graph.steps[-4:]
    (inner, inner_bias), (outer, outer_bias) = (
        [graph.constants[name] for name in step.inputs[1:]] for step in (first, second)
    )
    into, between = inner.shape[:2]  # of both: (channels in, channels out, 2, 2)
    large = np.zeros((2, 2, 2, 2, 2, 2, between), np.float32)  # where in four: y, y, x, x; which of the inner: y, x
    for y, x in np.ndindex(2, 2):
        large[y, :, x, :, y, x] = outer[:, 0].transpose(1, 2, 0)
    constants = {
        "four": inner.transpose(2, 3, 1, 0).reshape(4 * between, into, 1, 1),
        "four.bias": np.tile(inner_bias, 4),
        "sixteen": large.reshape(16, 4 * between, 1, 1),
        "sixteen.bias": np.tile(outer_bias, 16),
    }
    graph.constants |= {f"last.{name}": value.astype(np.float32) for name, value in constants.items()}
    layout = [helper.make_attribute("blocksize", 4), helper.make_attribute("mode", "DCR")]
    graph.steps[-4:] = [
        Step("Conv", [first.inputs[0], "last.four", "last.four.bias"], ["last.1"]),
        Step("Relu", ["last.1"], ["last.2"]),
        Step("Conv", ["last.2", "last.sixteen", "last.sixteen.bias"], ["last.3"]),
        Step("Sigmoid", ["last.3"], ["last.4"]),
        Step("DepthToSpace", ["last.4"], last.outputs, layout),
    ]


def _widen(graph: Graph) -> None:
    """A convolution that gives a few channels takes half the time if it gives sixteen, the rest of them zeros."""
    users = graph.users()
    for step in [one for one in graph.steps if _sums_neighbours(graph, one)]:
        after = users[step.output]
        if [one.kind for one in after] == ["Relu"]:
            after = users[after[0].output]
        channels = len(graph.constants[step.inputs[1]])
        if channels < _AT_ONCE and len(after) == 1 and _sums_neighbours(graph, after[0]):
            for name in step.inputs[1:]:
                graph.constants[name] = padded(graph.constants[name], _AT_ONCE, axis=0)
            further = after[0].inputs[1]
            graph.constants[further] = padded(graph.constants[further], _AT_ONCE, axis=1)


def _sums_neighbours(graph: Graph, step: Step) -> bool:
    """Whether it is a convolution that sums all channels of several pixels."""
    weights = graph.constants.get(step.inputs[1]) if step.kind == "Conv" else None
    return weights is not None and weights.shape[1] > 1 and weights.shape[2] > 1


def padded(weights: Constant, channels: int, *, axis: int) -> Constant:
    """The same with zeros for more channels."""
    missing = [(0, channels - size if at == axis else 0) for at, size in enumerate(weights.shape)]
    return np.pad(weights, missing)


def pairs(graph: Graph) -> Iterator[tuple[Step, Step]]:
    """Each step whose result only one other uses, and that one."""
    users = graph.users()
    for step in list(graph.steps):
        after = users[step.output]
        if len(after) == 1:
            yield step, after[0]
