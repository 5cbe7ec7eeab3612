"""How much is covered of the text that somebody wrote into public slices, in letters of 4 to 15 pixels."""

import json
import sys
from pathlib import Path

import pytest
from programs import SHARED

from lethe.node.choices import PixelPolicy
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.projects import projects_of
from lethe.storage.archive import Archive

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from pixel_score import COVERED, GONE, score

pytestmark = pytest.mark.shared


def test_small_text_in_genuine_slices_is_covered_and_all_are_released(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")
    project = projects_of(Config(projects=(ProjectConfig("one", pixel_policy=PixelPolicy.ALL),)), archive.files)["one"]
    truth = json.loads((SHARED / "data" / "ground_truth" / "burned_in.json").read_text(encoding="utf-8"))["files"]
    gone, out = list[bool](), tmp_path / "out.dcm"
    for name in (name for name in truth if name.startswith("jsl/")):
        source = SHARED / "data" / name
        with source.open("rb") as file:
            out.write_bytes(b"".join(project.clean(file).chunks()))
        items = [
            {
                "phi": one["phi"],
                "bbox": [one["left"], one["top"], one["left"] + one["width"], one["top"] + one["height"]],
            }
            for one in truth[name]["boxes"]
        ]
        gone += [
            string.gone >= GONE or string.covered >= COVERED
            for string in score(source, out, items).strings
            if string.item["phi"]
        ]
    archive.close()
    assert len(gone) == 89
    assert sum(gone) >= 0.95 * len(gone)
