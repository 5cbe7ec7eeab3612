"""What the gate suspects, what it clears, and when it is not asked."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from burned_pictures import FONT
from burned_screens import CT, SCREEN, ULTRASOUND, screen
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.data import get_testdata_file

from lethe.node.burned.engines import eyes_of
from lethe.node.burned.frames import open_frames
from lethe.node.burned.gate import WEIGHTS, Gate
from lethe.node.burned.sights import Sight, sights_of
from lethe.node.burned.views import picture_of
from lethe.node.deid.part10 import read_part10

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from made_frames import body

Wide = NDArray[np.float32]
NOISE = 40.0


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


def slice_of(seed: int, noise: float = NOISE) -> Wide:
    """A body of about 1,000 values, and more noise."""
    random = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(random.normal(0, 1, (512, 512)).astype(np.float32), (0, 0), 0.7)
    return (body(512, seed) * 1000 + grain / grain.std() * noise + 200).astype(np.float32)


def ink(text: str, size: int, at: tuple[int, int] = (150, 220), turned: float = 0) -> Wide:
    canvas = Image.new("L", (512, 512), 0)
    ImageDraw.Draw(canvas).text(at, text, 255, ImageFont.truetype(FONT, size))
    if turned:
        canvas = canvas.rotate(turned, center=(256, 256))
    return np.asarray(canvas, np.float32) / 255


def suspects(gate: Gate, frame: Wide) -> bool:
    return not gate.clears(picture_of(frame.round().clip(0).astype(np.uint16)))


@pytest.mark.parametrize("size", [8, 10, 14, 20, 40, 80])
@pytest.mark.parametrize("value", [1200, 3000, 0])
def test_text_of_any_size_is_suspected(gate: Gate, size: int, value: int) -> None:
    drawn = ink("OKSANEN", size, (60, 20) if value else (180, 240))
    assert suspects(gate, slice_of(1) * (1 - drawn) + value * drawn)


@pytest.mark.parametrize("text", ["Ärmölä Žofia", "Смирнова Анна", "Παπαδοπούλου", "4711998", "17.03.1958"])
@pytest.mark.parametrize("turned", [0, 90, 30])
def test_any_script_is_suspected_at_any_angle(gate: Gate, text: str, turned: int) -> None:
    drawn = ink(text, 16, turned=turned)
    assert suspects(gate, slice_of(2) * (1 - drawn) + 1500 * drawn)


@pytest.mark.parametrize("size", [10, 12, 16, 20])
@pytest.mark.parametrize("times", [5, 7, 10, -7])
@pytest.mark.parametrize("at", [(20, 20), (180, 240), (330, 470)])
def test_faint_text_is_suspected(gate: Gate, size: int, times: int, at: tuple[int, int]) -> None:
    assert suspects(gate, slice_of(3) + ink("HARGROVE M", size, at) * times * NOISE)


def test_text_of_which_no_window_shows_anything_is_suspected(gate: Gate) -> None:
    frame = slice_of(4)
    drawn = ink("OKSANEN TUULA", 16, (20, 20))
    frame[200:204, 200:204] = 60_000
    assert suspects(gate, frame + drawn * 400)


def test_small_text_in_a_large_frame_is_suspected(gate: Gate) -> None:
    frame = cv2.resize(slice_of(5), (2600, 2400), interpolation=cv2.INTER_CUBIC)
    frame[1200:1712, 1100:1612] += ink("HARGROVE", 14) * 700
    assert suspects(gate, frame)


def test_slices_without_text_are_cleared(gate: Gate) -> None:
    assert not suspects(gate, np.zeros((512, 512), np.float32))
    cleared = [not suspects(gate, body(512, 100 + seed) * 4095) for seed in range(10)]
    assert sum(cleared) >= 9


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_slices_of_scanners_are_cleared(gate: Gate, name: str) -> None:
    path = get_testdata_file(name, download=False)
    assert gate.clears(picture_of(pydicom.dcmread(str(path)).pixel_array))


@pytest.mark.parametrize(("sop_class", "modality"), [(SCREEN, "OT"), (ULTRASOUND, "US"), (CT, "US")])
def test_screens_are_always_looked_at(sop_class: str, modality: str) -> None:
    (sight,) = seen(sop_class, modality)
    assert not any("gate" in engine for engine in sight.engines)
    assert any("rapidocr" in engine for engine in sight.engines)


def test_what_is_cleared_is_not_looked_at(gate: Gate) -> None:
    (sight,) = seen(CT, "CT")
    assert sight.engines == (gate.edition,)


def seen(sop_class: str, modality: str) -> list[Sight]:
    raw = screen(np.full((128, 128), 20), SOPClassUID=sop_class, Modality=modality)
    source = read_part10(BytesIO(raw))
    return list(sights_of(open_frames(source), source.header, eyes_of(("rapidocr",))))


@pytest.mark.parametrize("harm", ["missing", "empty", "changed"])
def test_without_its_own_weights_nothing_is_cleared(tmp_path: Path, harm: str) -> None:
    weights = bytearray(WEIGHTS.read_bytes())
    weights[len(weights) // 2] ^= 1
    path = tmp_path / "gate.onnx"
    if harm != "missing":
        path.write_bytes(b"" if harm == "empty" else bytes(weights))
    harmed = Gate(path)
    flat = picture_of(np.zeros((128, 128), np.uint16))
    assert not harmed.clears(flat)
    assert harmed.edition == "no gate"
    assert Gate().clears(flat)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (40, 900), (64, 64), (65, 4000), (1153, 77)])
def test_frames_of_any_size_can_be_asked_about(gate: Gate, rows: int, columns: int) -> None:
    cleared = gate.clears(np.full((rows, columns, 3), 128, np.uint8))
    assert cleared == (min(rows, columns) >= 64)
