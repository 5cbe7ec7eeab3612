#!/usr/bin/env python3
"""Clean a folder of files with one Python program, in one process, and say how long it took.

usage: one_tool.py TOOL IN OUT
TOOL is lethe, lethe-basic, dicognito, dicom-anonymizer or deid; it must be installed for the Python that runs this. A
few files are cleaned before the clock starts. Prints JSON: version, files, seconds, and the peak memory in MB.
"""

from __future__ import annotations

import json
import logging
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

Tool = Callable[[Sequence[Path], Path], None]
_WARM_UP = 5


def lethe(options: Sequence[str]) -> Tool:
    """What `lethe deidentify` does with each file."""
    from lethe.node.deid.lanes import Deidentifier
    from lethe.node.deid.profile import Option, Profile
    from lethe.node.deid.pseudonyms import Pseudonyms
    from lethe.node.folder import write_object

    profile, key = Profile([Option(option) for option in options]), Pseudonyms(bytes(range(32)))
    deidentifier = Deidentifier(profile, key)

    def run(paths: Sequence[Path], out: Path) -> None:
        for path in paths:
            with path.open("rb") as file:
                cleaned = deidentifier.clean(file)
                write_object(cleaned.instance, cleaned.chunks(), out)

    return run


def as_delivered() -> Tool:
    from lethe.node.config import Project

    return lethe([str(option) for option in Project(name="default").options])


def dicognito() -> Tool:
    import pydicom
    from dicognito.anonymizer import Anonymizer

    anonymizer = Anonymizer(seed="benchmark")

    def run(paths: Sequence[Path], out: Path) -> None:
        for path in paths:
            ds = pydicom.dcmread(path)
            anonymizer.anonymize(ds)
            ds.save_as(out / path.name)

    return run


def dicom_anonymizer() -> Tool:
    from dicomanonymizer import anonymize_dicom_file

    def run(paths: Sequence[Path], out: Path) -> None:
        for path in paths:
            anonymize_dicom_file(str(path), str(out / path.name))

    return run


def deid() -> Tool:
    """Its recipe read once, and sequences and private elements gone first: so it is fastest."""
    from deid.config import DeidRecipe
    from deid.dicom import replace_identifiers

    recipe = DeidRecipe()

    def run(paths: Sequence[Path], out: Path) -> None:
        replace_identifiers(
            [str(path) for path in paths],
            deid=recipe,
            save=True,
            overwrite=True,
            output_folder=str(out),
            strip_sequences=True,
            remove_private=True,
        )

    return run


TOOLS: dict[str, tuple[str, Callable[[], Tool]]] = {
    "lethe": ("lethe-node", as_delivered),
    "lethe-basic": ("lethe-node", lambda: lethe([])),
    "dicognito": ("dicognito", dicognito),
    "dicom-anonymizer": ("dicom-anonymizer", dicom_anonymizer),
    "deid": ("deid", deid),
}


def main() -> None:
    name, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    first, step = int(sys.argv[4]), int(sys.argv[5])
    warnings.simplefilter("ignore")
    logging.disable()
    package, make = TOOLS[name]
    run, paths = make(), sorted(source.rglob("*.dcm"))[first::step]
    target.mkdir(parents=True, exist_ok=True)
    run(paths[:_WARM_UP], target)
    shutil.rmtree(target)
    target.mkdir()
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    run(paths, target)
    seconds = time.perf_counter() - start
    written = sum(path.is_file() for path in target.rglob("*"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"version": version(package), "files": written, "seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main()
