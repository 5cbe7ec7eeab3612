"""Text that no look at a whole range of values shows: one step above its ground, or by a table of the object's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
import pydicom
import pytest
from burned_objects import EXPLICIT, Kind, file_of
from burned_screens import CINE, CT, SCREEN, Pixels, frames_of, is_gone, screen, words
from pydicom.dataset import Dataset

from lethe.node.burned.box import Box
from lethe.node.burned.review import NotProven
from lethe.node.burned.whispers import whispers_in
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.projects import Project, projects_of
from lethe.storage.archive import Archive

DOSE, MR = "1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.4.1"
WIDE, DEEP = Kind(allocated=16, stored=16), Kind(allocated=32, stored=32)
SIGNED = Kind(allocated=16, stored=16, signed=True)
Clean = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    archive = Archive(tmp_path_factory.mktemp("whispers"))
    yield projects_of(Config(projects=(ProjectConfig("one"),)), archive.files)["one"]
    archive.close()


@pytest.fixture(scope="module")
def clean(project: Project) -> Clean:
    return lambda raw: b"".join(project.clean(BytesIO(raw)).chunks())


def slice_in_air(seed: int = 0) -> Pixels:
    """A body of 1000 and more, with noise, in air that is 0 throughout."""
    down, across = np.mgrid[:400, :640]
    inside = ((across - 320) / 200) ** 2 + ((down - 250) / 110) ** 2 < 1
    noisy = 1040 + np.random.default_rng(seed).normal(0, 12, inside.shape)
    noisy[(across - 250) ** 2 + (down - 250) ** 2 < 900] += 1800
    return np.where(inside, noisy, 0).astype(np.int64)


def ink() -> tuple[Pixels, list[Box]]:
    picture, boxes = words(ground=0, ink=255)
    return picture > 128, boxes


@pytest.mark.parametrize("sop_class", [CT, SCREEN])
@pytest.mark.parametrize(
    ("kind", "scale", "lowest", "step"),
    [(WIDE, 1, 0, 1), (WIDE, 1, 0, 3), (SIGNED, 1, -2000, 1), (DEEP, 20_000, 0, 1)],
    ids=["one step", "three steps", "signed", "32 bits"],
)
def test_text_a_step_above_the_air_is_covered(
    clean: Clean, sop_class: str, kind: Kind, scale: int, lowest: int, step: int
) -> None:
    written, boxes = ink()
    frame = slice_in_air() * scale + lowest
    frame[written] += step
    done = frames_of(clean(screen(frame, kind, SOPClassUID=sop_class)))[0]
    assert all(is_gone(done, box, most=0) for box in boxes)


def test_and_in_the_frames_of_a_cine(clean: Clean) -> None:
    written, boxes = ink()
    frames = np.stack([slice_in_air(seed) for seed in range(8)])
    frames[3:6, written] += 2
    done = frames_of(clean(screen(frames, WIDE, SOPClassUID=CINE)))
    assert all(is_gone(frame, box, most=0) for frame in done for box in boxes)


def test_and_keeps_a_dose_back(clean: Clean) -> None:
    written, _ = ink()
    with pytest.raises(NotProven, match="words can be read"):
        clean(screen(slice_in_air() * 100 + written, DEEP, SOPClassUID=DOSE))


def test_a_frame_without_any_is_not_looked_at_and_stays(clean: Clean) -> None:
    frame = slice_in_air()
    grain = np.random.default_rng(2).integers(0, 3, frame.shape)
    assert whispers_in(frame) is None and whispers_in(frame + grain) is None
    assert np.array_equal(frames_of(clean(screen(frame, WIDE, SOPClassUID=CT)))[0], frame)


def one_value_in_noise() -> tuple[Pixels, list[Box]]:
    """Text in a value that nothing else has, among others that are just as usual."""
    written, boxes = ink()
    frame = np.random.default_rng(1).integers(900, 1100, written.shape)
    frame[frame == 1000] = 1001
    frame[written] = 1000
    return frame, boxes


def with_table(raw: bytes, name: str) -> bytes:
    """The object with a table in which 1000 is white, and all else black."""
    ds, item = pydicom.dcmread(BytesIO(raw)), Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [4096, 0, 16], "US"
    item.add_new("LUTData", "OW", np.where(np.arange(4096) == 1000, 65535, 0).astype("<u2").tobytes())
    setattr(ds, name, [item])
    return file_of(ds, EXPLICIT)


@pytest.mark.parametrize("name", ["ModalityLUTSequence", "VOILUTSequence"])
def test_text_that_a_table_of_the_object_shows_is_covered(clean: Clean, name: str) -> None:
    frame, boxes = one_value_in_noise()
    done = frames_of(clean(with_table(screen(frame, WIDE, SOPClassUID=SCREEN), name)))[0]
    assert all(np.mean(done[box.rows, box.columns] == 1000) < 0.02 for box in boxes)


def test_and_what_a_supplemental_palette_shows(clean: Clean) -> None:
    """Values from 4096 on are colours: odd ones red, even ones black."""
    written, boxes = ink()
    frame = slice_in_air()
    frame[:100] = np.random.default_rng(3).integers(2048, 2060, (100, 640)) * 2
    frame[written] += 1
    ds = pydicom.dcmread(BytesIO(screen(frame, WIDE, SOPClassUID=MR)))
    ds.PixelPresentation = "COLOR"
    for name, most in (("Red", 65535), ("Green", 0), ("Blue", 0)):
        ds.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [40, 4096, 16])
        setattr(ds, f"{name}PaletteColorLookupTableData", (np.arange(40) % 2 * most).astype("<u2").tobytes())
    done = frames_of(clean(file_of(ds, EXPLICIT)))[0]
    assert all(np.mean(done[box.rows, box.columns][written[box.rows, box.columns]] % 2) < 0.02 for box in boxes)
