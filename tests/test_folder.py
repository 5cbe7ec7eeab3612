"""What is written into folders: complete or not at all, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lethe.node.deid.cleaned import InstanceUids
from lethe.node.deid.errors import CannotClean
from lethe.node.folder import write_object

INSTANCE = InstanceUids("1.2", "1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.2")
_KILLED = """
import os, sys
from pathlib import Path
from lethe.node.deid.cleaned import InstanceUids
from lethe.node.folder import write_object
def chunks():
    yield b"x" * (1 << 20)
    os.kill(os.getpid(), 9)
write_object(InstanceUids("1.2", "1.2.3", "1.2.3.4", ""), chunks(), Path(sys.argv[1]))
"""


@pytest.fixture(params=["files without a name", "none"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "none":  # what such a kernel makes of the flag: to write into a folder, which it refuses
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)
    return str(request.param)


def written(folder: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("file_system")
def test_an_object_is_written_once_and_never_over_another(tmp_path: Path) -> None:
    for _ in range(2):
        write_object(INSTANCE, [b"one ", b"object"], tmp_path)
    with pytest.raises(CannotClean, match="another object with the same SOP Instance UID"):
        write_object(INSTANCE, [b"two object"], tmp_path)
    assert written(tmp_path) == [("1.2.3.4.dcm", b"one object")]
    assert next(tmp_path.rglob("*.dcm")).stat().st_nlink == 1


@pytest.mark.usefixtures("file_system")
def test_what_fails_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_object(INSTANCE, (bytes(1 // number) for number in (1, 0)), tmp_path)
    assert written(tmp_path) == []


def test_who_is_killed_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], timeout=60)
    assert run.returncode == -signal.SIGKILL
    assert (tmp_path / "1.2" / "1.2.3").is_dir() and written(tmp_path) == []
