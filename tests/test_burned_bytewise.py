"""The networks in fewer steps, and in bytes, answer as they came; the weights are the real ones."""

import json
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lethe.node.burned import weights
from lethe.node.burned.graph import graph_of
from lethe.node.burned.shorter import shorten
from lethe.node.burned.weights import CHANNELS, PICTURES, edition_of, network, ranges_of, session, weights_of

FINDER, READER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
MODELS = pytest.mark.parametrize("model", [FINDER, READER])


def page(model: str) -> NDArray[np.uint8]:
    """Text on a ground that is not even, as a network is given it."""
    rows, columns, size = (256, 384, 0.7) if model == FINDER else (48, 240, 1.4)
    ground = np.linspace(20, 90, columns).astype(np.uint8)[None].repeat(rows, axis=0)
    for top in range(40, rows + 20, 60):
        cv2.putText(ground, "HARGROVE 4711", (8, min(top, rows - 8)), cv2.FONT_HERSHEY_SIMPLEX, size, 230.0, 2)
    return np.repeat(ground[None, ..., None], CHANNELS, axis=3)


def numbers(model: str) -> NDArray[np.float32]:
    """The same as the weights want it that came with the wheel."""
    return ((page(model)[..., :3].astype(np.float32) - 128) * np.float32(2 / 255)).transpose(0, 3, 1, 2)


def as_they_came(model: str) -> NDArray[np.float32]:
    answer: NDArray[np.float32] = session(weights_of(model).read_bytes()).run(None, {"x": numbers(model)})[0]
    return answer


def letters(answer: NDArray[np.float32]) -> list[int]:
    """What the network says at each step, without blanks; here no letter stands twice in a row."""
    return [best for best, _ in groupby(answer.argmax(axis=1).tolist()) if best]


@MODELS
def test_fewer_steps_give_the_same(model: str) -> None:
    graph = graph_of(weights_of(model))
    before = len(graph.steps)
    shorten(graph)
    assert len(graph.steps) < before * 0.7
    assert not any(step.kind in ("Identity", "Erf") for step in graph.steps)
    answer = session(graph.as_bytes()).run(None, {"x": numbers(model)})[0]
    assert np.allclose(answer, as_they_came(model), atol=1e-3)


def test_in_bytes_the_finder_sees_text_at_the_same_places() -> None:
    heats = as_they_came(FINDER), network(FINDER).run(None, {PICTURES: page(FINDER)})[0]
    before, after = (cv2.connectedComponentsWithStats((heat[0, 0] > 0.3).astype(np.uint8))[2][1:, :4] for heat in heats)
    assert len(before) == len(after) == 4
    assert np.abs(before - after).max() <= 2


def test_in_bytes_the_reader_reads_the_same() -> None:
    before, after = as_they_came(READER)[0], network(READER).run(None, {PICTURES: page(READER)})[0][0]
    assert letters(before) == letters(after)
    assert len(letters(before)) == len("HARGROVE")


@MODELS
def test_the_last_channel_of_a_picture_counts_for_nothing(model: str) -> None:
    one, other, run = page(model), page(model), network(model).run
    other[..., 3] = 255 - other[..., 3]
    assert run(None, {PICTURES: one})[0].tobytes() == run(None, {PICTURES: other})[0].tobytes()


@MODELS
def test_every_time_the_answer_is_the_same_to_the_last_bit(model: str) -> None:
    answers = [network(model).run(None, {PICTURES: page(model)})[0] for _ in range(2)]
    assert answers[0].tobytes() == answers[1].tobytes()


@MODELS
def test_the_weights_that_are_installed_are_those_that_were_measured(model: str) -> None:
    assert ranges_of(model)
    assert " in bytes by " in edition_of(model)


def test_nothing_is_told_to_the_maker_of_the_library(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    run = (
        "import sys; from lethe.node.burned.weights import network; network(sys.argv[1]); "
        "print(sorted(str(one) for one in __import__('pathlib').Path.home().rglob('*')))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", run, FINDER],
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert seen.stdout.strip() == "[]", seen.stdout + seen.stderr


def test_weights_that_nobody_measured_are_run_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = ranges_of(READER)
    other = {"weights": "0" * 64, "ranges": known}
    (tmp_path / "PP-OCRv6_rec_small.json").write_text(json.dumps(other), encoding="utf-8")
    monkeypatch.setattr(weights, "_RANGES", tmp_path)
    assert ranges_of(FINDER) is None  # there is no such file
    assert ranges_of(READER) is None
    answer = network(READER).run(None, {PICTURES: page(READER)})[0]
    assert np.allclose(answer, as_they_came(READER), atol=1e-6)
    assert " in bytes" not in edition_of.__wrapped__(READER)
