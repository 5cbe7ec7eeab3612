"""Runs networks in one thread of onnxruntime: two workers with a thread each do more than one with two.

Of the weights that RapidOCR ships in its wheel, those whose numbers were measured (`ranges/`, made by
tools/make_ranges.py) are run in bytes, which takes half the time; others as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PICTURES, CHANNELS = "pictures", 4
"""What a network is given: bytes, (how many, rows, columns, 4); the last channel may hold anything."""
_SERIOUS = 3
_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""Otherwise onnxruntime 1.31 gives this machine an identifier, and keeps notes on processor, memory and networks in a
database below the account's home, for Microsoft, to whom it sends them."""
_RANGES = Path(__file__).parent / "ranges"


def network(model: str) -> Any:
    """The network of that file of weights, ready to be given pictures."""
    from .bytewise import count_in_bytes  # here, for onnx takes a third of a second that others need not spend
    from .given import take_pictures
    from .graph import graph_of
    from .shorter import shorten

    ranges, graph = ranges_of(model), graph_of(weights_of(model))
    if ranges is not None:
        shorten(graph)
    take_pictures(graph)
    if ranges is not None:
        count_in_bytes(graph, ranges)
    return session(graph.as_bytes())


def session(written: bytes) -> Any:
    """A network as ONNX writes it, ready to run."""
    os.environ[_NO_TELEMETRY] = "1"  # it is read when the library is loaded
    import onnxruntime  # here, for the same reason

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _SERIOUS
    return onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])


def weights_of(model: str) -> Path:
    """Where the weights of that name are."""
    found = find_spec("rapidocr")
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "models" / model


@cache
def edition_of(model: str) -> str:
    """Names engine, weights and versions, for the receipt; in bytes, by which ranges."""
    ranges = ranges_of(model)
    how = f" in bytes by {digest_of(json.dumps(ranges).encode())[:8]}" if ranges else ""
    return f"rapidocr {version('rapidocr')} {Path(model).stem}{how} onnxruntime {version('onnxruntime')}"


def ranges_of(model: str) -> dict[str, tuple[float, float]] | None:
    """Between which values its numbers lie; None where that was measured for no such weights."""
    noted = _RANGES / f"{Path(model).stem}.json"
    if not noted.is_file():
        return None
    measured = json.loads(noted.read_text(encoding="utf-8"))
    if measured["weights"] != digest_of(weights_of(model).read_bytes()):
        return None
    return {name: (low, high) for name, (low, high) in measured["ranges"].items()}


def digest_of(content: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()
