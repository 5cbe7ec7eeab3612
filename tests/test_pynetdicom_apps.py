"""pynetdicom's own programs, as they are installed, on the other side of a running node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from builders import ct, saved
from programs import free_port, running, running_node

pytestmark = pytest.mark.peer


def app(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pynetdicom", name, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_each_app_speaks_to_a_node_and_is_spoken_to(tmp_path: Path) -> None:
    port, folder, got = free_port(), tmp_path / "stored", tmp_path / "got"
    folder.mkdir()
    got.mkdir()
    archive = f'[[peers]]\nname = "archive"\nae_title = "STORESCP"\nhost = "127.0.0.1"\nport = {port}\n'
    storescp = [sys.executable, "-m", "pynetdicom", "storescp", str(port), "-aet", "STORESCP", "-od", str(folder)]
    extra = archive + '[projects.default]\nsend_to = ["archive"]\n'
    with running(storescp, port, tmp_path / "storescp.log"), running_node(tmp_path / "node", extra) as node:
        to, original = ("127.0.0.1", str(node.dicom), "-aec", "LETHE"), ct()
        assert app("echoscu", *to, folder=tmp_path).returncode == 0
        assert app("storescu", *to, str(saved(original, tmp_path)), "-cx", folder=tmp_path).returncode == 0
        assert node.settle()["delivered"] == 1
        (delivered,) = folder.iterdir()
        clean = pydicom.dcmread(delivered, force=True)
        assert clean.StudyInstanceUID != original.StudyInstanceUID
        keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={clean.StudyInstanceUID}")
        said = app("findscu", *to, "-S", *keys, "-k", "NumberOfStudyRelatedInstances", folder=tmp_path)
        assert f"[{clean.StudyInstanceUID}]" in said.stdout + said.stderr
        delivered.unlink()
        said = app("movescu", *to, "-S", "-aem", "STORESCP", *keys, folder=tmp_path)
        assert said.returncode == 0, said.stderr
        assert app("getscu", *to, "-S", *keys, "-od", str(got), folder=tmp_path).returncode == 0
        for fetched in (folder, got):
            (path,) = fetched.iterdir()
            assert pydicom.dcmread(path, force=True).SOPInstanceUID == clean.SOPInstanceUID
