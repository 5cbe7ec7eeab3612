"""The benchmark's own measure: what it says of a copy, of an exact fill, and of one that leaves a string."""

import json
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from made_frames import drawn_set, save_set
from pixel_score import GONE, KEPT, Score, score


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    save_set(folder, [one for one in drawn_set() if one.name in ("ct_corners", "us_screen")])
    return folder


def filled(drawn: Path, name: str, out: Path, *, but: int | None = None) -> Score:
    """The score of a file in which every string is filled, but one."""
    items = json.loads((drawn / "truth.json").read_text())["files"][name]["items"]
    ds = pydicom.dcmread(drawn / name)
    pixels = ds.pixel_array.copy()
    for at, item in enumerate(items):
        left, top, right, bottom = item["bbox"]
        if at != but:
            pixels[top:bottom, left:right] = 0
    ds.PixelData = pixels.tobytes()
    ds.save_as(out)
    return score(drawn / name, out, items)


NAMES = pytest.mark.parametrize("name", ["000_ct_corners.dcm", "001_us_screen.dcm"])


@NAMES
def test_a_copy_loses_nothing(name: str, drawn: Path) -> None:
    items = json.loads((drawn / "truth.json").read_text())["files"][name]["items"]
    seen = score(drawn / name, drawn / name, items)
    assert len(seen.strings) >= 9
    assert all(one.gone == one.covered == 0 for one in seen.strings)
    assert (seen.over, seen.touched) == (0, False)


@NAMES
def test_an_exact_fill_loses_all_and_nothing_beside(name: str, drawn: Path, tmp_path: Path) -> None:
    seen = filled(drawn, name, tmp_path / "filled.dcm")
    assert all(one.gone >= GONE for one in seen.strings)
    assert (seen.over, seen.touched) == (0, True)


@NAMES
def test_one_string_left_is_seen(name: str, drawn: Path, tmp_path: Path) -> None:
    seen = filled(drawn, name, tmp_path / "left.dcm", but=2)
    assert [at for at, one in enumerate(seen.strings) if one.gone < KEPT] == [2]


def test_what_changes_far_from_text_counts(drawn: Path, tmp_path: Path) -> None:
    name = "000_ct_corners.dcm"
    ds = pydicom.dcmread(drawn / name)
    pixels = ds.pixel_array.copy()
    pixels[200:264, 200:264] += 1
    ds.PixelData = pixels.tobytes()
    ds.save_as(tmp_path / "changed.dcm")
    items = json.loads((drawn / "truth.json").read_text())["files"][name]["items"]
    assert np.isclose(score(drawn / name, tmp_path / "changed.dcm", items).over, 64 * 64 / 512**2)
