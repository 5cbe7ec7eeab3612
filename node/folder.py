"""Cleans files and folders in parallel with the engine the node uses; what is refused is listed and not written.

Results are named by their new UIDs: a file name may hold the patient's.
"""

from __future__ import annotations

import csv
import filecmp
import multiprocessing
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lethe.storage.archive import Archive

from .config import Config
from .deid.cleaned import InstanceUids
from .deid.errors import CannotClean
from .parts import open_archive
from .projectkeys import key_of, make_key

if TYPE_CHECKING:
    from .projects import Project


@dataclass(frozen=True)
class Outcome:
    """What became of one file: why it was refused, or the pseudonyms that were given."""

    source: Path
    reason: str = ""
    uids: Mapping[str, str] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)


def files_below(sources: Sequence[Path], apart_from: Path | None = None) -> list[Path]:
    """All files named by the sources, folders searched, each once; those below `apart_from` are left out."""
    found = (path for source in sources for path in (sorted(source.rglob("*")) if source.is_dir() else [source]))
    files = dict.fromkeys(path for path in found if path.is_file())
    return [path for path in files if apart_from is None or apart_from.resolve() not in path.resolve().parents]


def clean_files(paths: Sequence[Path], target: Path, config: Config, project: str, processes: int) -> Iterator[Outcome]:
    """Clean each file into `target`, several at a time, in the order given. Raises Unavailable where the project's key
    is gone."""
    archive = open_archive(config)
    if not archive.crosswalk.has_made(project):
        make_key(archive.files, project)
    key_of(archive.files, project)
    archive.close()
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
    from .projects import projects_of  # the engine: the pool loads it, and the command itself has no use for it

    warnings.simplefilter("ignore")
    archive = Archive(config.data, config.database)
    _Folder.project = projects_of(config, archive.files, archive.crosswalk, archive.rulebook)[project]
    _Folder.target = target


def _clean_one(path: Path) -> Outcome:
    try:
        with path.open("rb") as file:
            cleaned = _Folder.project.clean(file)
            write_object(cleaned.instance, cleaned.chunks(), _Folder.target)
    except CannotClean as refusal:
        return Outcome(path, str(refusal))
    except OSError as error:
        return Outcome(path, f"cannot be read or written ({error.strerror})")
    except Exception as error:  # one object must not end the run, and nothing unclean was written
        return Outcome(path, f"unexpected {type(error).__name__}")
    return Outcome(path, uids=cleaned.uids, patients=cleaned.patients)


def write_object(instance: InstanceUids, chunks: Iterable[bytes], target: Path) -> None:
    """Write `STUDY/SERIES/INSTANCE.dcm`, complete or not at all, and never over something else. Raises CannotClean."""
    folder = target / instance.study_uid / instance.series_uid
    folder.mkdir(parents=True, exist_ok=True)
    with _begun(folder, f".{instance.sop_uid}.{os.getpid()}") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())
        _place(file, folder / f"{instance.sop_uid}.dcm")


@contextmanager
def _begun(folder: Path, name: str) -> Iterator[BinaryIO]:
    """A new file in that folder, which has no name yet: where we are killed, nothing is left of it. File systems that
    have no such files, as those of a network, have it under that name."""
    try:
        file = os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "wb")
    except OSError:
        path = folder / name
        try:
            with path.open("wb") as named:
                yield named
        finally:
            path.unlink(missing_ok=True)
    else:
        with file:
            yield file


def _place(file: BinaryIO, result: Path) -> None:
    """Give the file its name. The same result again is no matter; another one under the same name is."""
    beside = f"/proc/self/fd/{file.fileno()}"
    folder = os.open(result.parent, os.O_PATH)
    try:  # with a folder that is open the call follows the link, without one it would not
        os.link(beside, result.name, dst_dir_fd=folder, follow_symlinks=True)  # fails where the name is taken
    except FileExistsError:
        if not filecmp.cmp(beside, result, shallow=False):
            raise CannotClean("another object with the same SOP Instance UID was written before") from None
    finally:
        os.close(folder)
