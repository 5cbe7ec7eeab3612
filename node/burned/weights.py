"""Runs the networks whose weights RapidOCR ships in its wheel, in one thread of onnxruntime: two workers with a thread
each do more than one with two."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_SERIOUS = 3


def network(model: str) -> Any:
    """The network of that file of weights, ready to run."""
    import onnxruntime  # here, for it takes a third of a second that others need not spend

    found = find_spec("rapidocr")
    assert found is not None and found.submodule_search_locations
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _SERIOUS
    weights = Path(found.submodule_search_locations[0]) / "models" / model
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])


def edition_of(model: str) -> str:
    """Names engine, weights and versions, for the receipt."""
    return f"rapidocr {version('rapidocr')} {Path(model).stem} onnxruntime {version('onnxruntime')}"
