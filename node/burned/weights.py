"""Runs networks, those whose weights RapidOCR ships in its wheel and our own, in one thread of onnxruntime: two workers
with a thread each do more than one with two."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_SERIOUS = 3


def network(model: str) -> Any:
    """The network of that file of weights, ready to run."""
    found = find_spec("rapidocr")
    assert found is not None and found.submodule_search_locations
    return network_in(Path(found.submodule_search_locations[0]) / "models" / model)


def network_in(weights: Path | bytes) -> Any:
    """The network of those weights, ready to run."""
    import onnxruntime  # here, for it takes a third of a second that others need not spend

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _SERIOUS
    given = weights if isinstance(weights, bytes) else str(weights)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def edition_of(model: str) -> str:
    """Names engine, weights and versions, for the receipt."""
    return f"rapidocr {version('rapidocr')} {Path(model).stem} onnxruntime {version('onnxruntime')}"
