#!/usr/bin/env python3
"""Clean the pixels of a folder of files with one engine, in one process, and say what each file cost.

usage: one_engine.py ENGINE IN OUT
ENGINE is lethe-all, lethe-phi, lethe-tesseract, presidio (Presidio's DicomImageRedactorEngine, without a language
model) or presidio-frames (the same, given the frames of a file one by one). Results keep their names. The first file is
cleaned once before anything is measured. Prints JSON: for each file the CPU milliseconds of this process and of those
it starts, how long it took, and why it was refused; and the peak memory in MB.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lethe.node.deid.errors import CannotClean

Engine = Callable[[Path, Path], None]
"""Cleans a file into another; raises where it cannot."""
_CONFIG = """[node]
data = "{data}"
[projects.default]
options = ["clean-pixel-data", "clean-descriptors", "retain-longitudinal-modified-dates"]
pixel_policy = "{policy}"
text_finders = ["{finder}"]
"""


def lethe(policy: str, finder: str = "rapidocr") -> Engine:
    """What `lethe deidentify` does with a file, its header included."""
    from lethe.node.config_file import load_config
    from lethe.node.projects import projects_of
    from lethe.storage.archive import Archive

    folder = Path(tempfile.mkdtemp(prefix="lethe-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    written = folder / "config.toml"
    written.write_text(_CONFIG.format(data=folder / "data", policy=policy, finder=finder), encoding="utf-8")
    config = load_config(written)
    archive = Archive(config.data, config.node.database)
    project = projects_of(config, archive.files, archive.crosswalk, archive.rulebook)["default"]

    def clean(source: Path, target: Path) -> None:
        with source.open("rb") as file:
            cleaned = project.clean(file)
            with target.open("wb") as out:
                out.writelines(cleaned.chunks())

    return clean


def presidio() -> Engine:
    import pydicom

    redact = redactor()
    return lambda source, target: redact(pydicom.dcmread(source)).save_as(target)


def presidio_frames() -> Engine:
    """Each frame as an object of its own, since the engine cannot take more; nothing is put together again."""
    import pydicom

    redact = redactor()

    def clean(source: Path, target: Path) -> None:
        for frame in frames_of(pydicom.dcmread(source)):
            redact(frame).save_as(target, implicit_vr=False, little_endian=True)

    return clean


def redactor() -> Callable[[Any], Any]:
    """As its documentation calls it, with an analyzer that has no language model and fetches nothing."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NoOpNlpEngine
    from presidio_image_redactor import DicomImageRedactorEngine, ImageAnalyzerEngine

    nlp = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": ""}])
    nlp.load()
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=nlp)
    registry.remove_recognizer("EmailRecognizer")  # asks the network
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"])
    engine = DicomImageRedactorEngine(image_analyzer_engine=ImageAnalyzerEngine(analyzer_engine=analyzer))
    return lambda ds: engine.redact(ds, fill="background")


def frames_of(ds: Any) -> Iterator[Any]:
    import copy

    from pydicom.pixels import pixel_array
    from pydicom.uid import ExplicitVRLittleEndian

    pixels = pixel_array(ds)
    del ds.PixelData
    for frame in pixels if int(ds.get("NumberOfFrames", 1) or 1) > 1 else [pixels]:
        one = copy.deepcopy(ds)
        one.NumberOfFrames = 1
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if one.SamplesPerPixel > 1:
            one.PhotometricInterpretation, one.PlanarConfiguration = "RGB", 0
        one.add_new("PixelData", "OW", frame.tobytes() + b"\0" * (frame.nbytes % 2))
        yield one


ENGINES: dict[str, tuple[str, Callable[[], Engine]]] = {
    "lethe-all": ("lethe-node", lambda: lethe("all")),
    "lethe-phi": ("lethe-node", lambda: lethe("phi")),
    "lethe-tesseract": ("lethe-node", lambda: lethe("all", "tesseract")),
    "presidio": ("presidio-image-redactor", presidio),
    "presidio-frames": ("presidio-image-redactor", presidio_frames),
}


def main() -> None:
    name, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    warnings.simplefilter("ignore")
    logging.disable()
    os.environ["OMP_THREAD_LIMIT"] = "1"  # Tesseract's
    package, make = ENGINES[name]
    engine, paths = make(), sorted(path for path in source.rglob("*") if path.is_file() and path.suffix != ".json")
    target.mkdir(parents=True, exist_ok=True)
    measured(engine, paths[0], target / "warm-up")
    (target / "warm-up").unlink(missing_ok=True)
    files = {path.name: measured(engine, path, target / path.name) for path in paths}
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = sum(one.ru_maxrss for one in used) / 1024
    print(json.dumps({"version": version(package), "files": files, "peak": peak}))


def measured(engine: Engine, source: Path, target: Path) -> dict[str, Any]:
    start, refused = cpu(), ""
    wall = time.perf_counter()
    try:
        engine(source, target)
    except Exception as error:  # that one object cannot be cleaned is a result, too
        refused = f"{type(error).__name__}: {error}" if isinstance(error, CannotClean) else type(error).__name__
        target.unlink(missing_ok=True)
    return {"cpu": (cpu() - start) * 1000, "wall": (time.perf_counter() - wall) * 1000, "refused": refused}


def cpu() -> float:
    """Seconds that this process and those it started have worked."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
