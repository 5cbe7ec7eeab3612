"""The demonstration: real studies through the whole flow, tables of what was done, and an end that leaves nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_the_demonstration(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lethe.node", "demo", "--once"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.split())
    counts = re.search(r"(\d+) objects received: (\d+) de-identified, (\d+) quarantined; (\d+) delivered", text)
    received, clean, quarantined, delivered = map(int, counts.groups())
    assert received == clean + quarantined
    assert delivered == clean > 5
    assert quarantined > 5
    for word in ("patient now", "removed", "replaced", " kept ", "cannot be decoded", "/dicom-web/studies"):
        assert word in text
    folder = Path(re.search(r"folder (/\S+)", text).group(1))
    assert not folder.exists()
