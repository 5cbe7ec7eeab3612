"""Cleans files and folders in parallel with the engine the node uses; what is refused is listed and not written.

Results are named by their new UIDs: a file name may hold the patient's.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lethe.storage.files import FileStore

from .config import Config
from .deid.deidentify import Cleaned
from .deid.errors import CannotClean
from .projects import Project, projects_of


@dataclass(frozen=True)
class Outcome:
    """What became of one file: why it was refused, or the pseudonyms that were given."""

    source: Path
    reason: str = ""
    uids: Mapping[str, str] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)


def files_below(sources: Sequence[Path]) -> list[Path]:
    """All files named by the sources, folders searched, each once."""
    found = (path for source in sources for path in (sorted(source.rglob("*")) if source.is_dir() else [source]))
    return list(dict.fromkeys(path for path in found if path.is_file()))


def clean_files(paths: Sequence[Path], target: Path, config: Config, project: str, processes: int) -> Iterator[Outcome]:
    """Clean each file into `target`, several at a time, in the order given."""
    FileStore(config.data)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_prepare, initargs=(config, project, target)) as pool:
        yield from pool.map(_clean_one, paths, chunksize=4)


def write_maps(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write `uids.csv` and `patients.csv` (`id_old,id_new`). They re-identify: keep them as you keep the originals."""
    folder.mkdir(parents=True, exist_ok=True)
    uids = {old: new for outcome in outcomes for old, new in outcome.uids.items()}
    patients = {old: new for outcome in outcomes for old, new in outcome.patients.items()}
    for name, pairs in (("uids.csv", uids), ("patients.csv", patients)):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("id_old", "id_new"))
            writer.writerows(sorted(pairs.items()))


class _Folder:
    """What each process of the pool holds."""

    project: Project
    target: Path


def _prepare(config: Config, project: str, target: Path) -> None:
    warnings.simplefilter("ignore")
    _Folder.project = projects_of(config, FileStore(config.data))[project]
    _Folder.target = target


def _clean_one(path: Path) -> Outcome:
    try:
        with path.open("rb") as file:
            cleaned = _Folder.project.clean(file)
            _write(cleaned, _Folder.target)
    except CannotClean as refusal:
        return Outcome(path, str(refusal))
    except OSError as error:
        return Outcome(path, f"cannot be read or written ({error.strerror})")
    except Exception as error:  # one object must not end the run, and nothing unclean was written
        return Outcome(path, f"unexpected {type(error).__name__}")
    return Outcome(path, uids=cleaned.uids, patients=cleaned.patients)


def _write(cleaned: Cleaned, target: Path) -> None:
    """Write `STUDY/SERIES/INSTANCE.dcm`, complete or not at all."""
    header = cleaned.header
    folder = target / str(header.StudyInstanceUID) / str(header.SeriesInstanceUID)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{header.SOPInstanceUID}.{os.getpid()}"
    try:
        with beside.open("wb") as file:
            file.writelines(cleaned.chunks())
        beside.rename(folder / f"{header.SOPInstanceUID}.dcm")
    finally:
        beside.unlink(missing_ok=True)
