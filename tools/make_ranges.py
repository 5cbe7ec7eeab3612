#!/usr/bin/env python3
"""Measure between which values the numbers of the networks lie, for node/burned/ranges/: run it when weights change.

usage: make_ranges.py
The networks look at pictures that are drawn here, as they do when they work; what of them then counts in bytes is up to
node/burned/bytewise.py, and the ranges are those of its steps. What is measured is the same on every run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from made_frames import Grey, Line, body, chest, cone, drawn_set, written  # noqa: E402

from lethe.node.burned.dbnet import DbNet  # noqa: E402
from lethe.node.burned.gate import Gate  # noqa: E402
from lethe.node.burned.given import take_pictures  # noqa: E402
from lethe.node.burned.graph import Graph, graph_of  # noqa: E402
from lethe.node.burned.looking import Eyes  # noqa: E402
from lethe.node.burned.rapidreader import RapidReader  # noqa: E402
from lethe.node.burned.shorter import shorten  # noqa: E402
from lethe.node.burned.views import picture_of, plain_picture  # noqa: E402
from lethe.node.burned.weights import digest_of, session, weights_of  # noqa: E402

OUT = ROOT / "node" / "burned" / "ranges"
MODELS = ("PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx")
LAST = "AveragePool"
"""What comes after it reads letters, which takes floating point numbers and little time."""
LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:/-. ")
SCENES = 24


class Listener:
    """A network that notes the least and the most of every tensor."""

    def __init__(self, model: str) -> None:
        graph = graph_of(weights_of(model))
        shorten(graph)
        take_pictures(graph)
        self.names = list(tensors(graph))
        written = onnx.load_from_string(graph.as_bytes())
        results = {one.name for one in written.graph.output}
        written.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.names if name not in results
        )
        self._session = session(written.SerializeToString())
        self.ranges: dict[str, tuple[float, float]] = {}
        self.get_modelmeta = self._session.get_modelmeta

    def run(self, _: None, given: dict[str, NDArray[np.uint8]]) -> list[Any]:
        names = [one.name for one in self._session.get_outputs()]
        answers = dict(zip(names, self._session.run(None, given), strict=True))
        for name, values in answers.items():
            low, high = self.ranges.get(name, (np.inf, -np.inf))
            self.ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))
        return [answers[names[0]]]

    def noted(self) -> dict[str, tuple[float, float]]:
        return {name: self.ranges[name] for name in self.names if name in self.ranges}


def tensors(graph: Graph) -> Iterator[str]:
    """What is measured, in order."""
    for step in graph.steps:
        if step.kind == LAST:
            return
        yield from (name for name in step.outputs if step.kind not in ("Sigmoid", "Transpose"))


def main() -> None:
    listeners = [Listener(model) for model in MODELS]
    finder, reader = DbNet(), RapidReader()
    finder.__dict__["_network"], reader._session = listeners
    eyes = Eyes([finder], reader, Gate())
    for frame in frames():
        plain = plain_picture(frame)
        seen = eyes.look(picture_of(frame), plain)
        reader.read(plain, seen.boxes)
    for model, listener in zip(MODELS, listeners, strict=True):
        ranges = {name: [float(f"{value:.6g}") for value in both] for name, both in listener.noted().items()}
        record = {"weights": digest_of(weights_of(model).read_bytes()), "ranges": ranges}
        OUT.mkdir(exist_ok=True)
        text = json.dumps(record, indent=1).replace("[\n   ", "[").replace(",\n   ", ", ").replace("\n  ]", "]")
        (OUT / f"{Path(model).stem}.json").write_text(text + "\n", encoding="utf-8")


def frames() -> Iterator[NDArray[Any]]:
    """The benchmark's own, then others with lines at random, grey and in colour, some of them inverted."""
    for one in drawn_set():
        picture, _ = written(one.lines, one.frames[0])
        yield coloured(picture) if one.colour else deep(picture)
    random = np.random.default_rng(3)
    for number in range(SCENES):
        picture = scene(number, random)
        yield [deep(picture), coloured(picture), coloured(1 - picture)][number % 3]


def scene(number: int, random: np.random.Generator) -> Grey:
    rows, columns = random.integers(300, 900, 2).tolist()
    ground = np.full((rows, columns), random.random(), np.float32)
    pictures = [body(max(rows, columns), number)[:rows, :columns], cone(rows, columns, number), chest(rows, columns)]
    lines = [
        Line(
            "".join(random.choice(LETTERS, int(random.integers(2, 22)))),
            int(random.integers(0, columns * 0.8)),
            int(random.integers(0, rows * 0.95)),
            phi=True,
            size=int(random.integers(8, 60)),
            ink=float(random.random()),
        )
        for _ in range(12)
    ]
    picture, _ = written(lines, [*pictures, ground][number % 4])
    return picture


def deep(picture: Grey) -> NDArray[np.uint16]:
    return (picture * 4095).astype(np.uint16)


def coloured(picture: Grey) -> NDArray[np.uint8]:
    return np.dstack([(picture * 255).astype(np.uint8)] * 3)


if __name__ == "__main__":
    main()
