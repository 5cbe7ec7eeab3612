"""Overlay planes: text goes out of them, arrows stay, and what cannot be looked at goes as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from burned_objects import Kind, native
from burned_pictures import drawn
from burned_screens import CT, SCREEN, WORDS, patient
from numpy.typing import NDArray
from programs import SHARED
from pydicom.dataset import Dataset
from pydicom.overlays import numpy_handler
from pydicom.sequence import Sequence

from lethe.node.burned.box import Box
from lethe.node.choices import PixelPolicy
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.deid.profile import Option
from lethe.node.projects import projects_of
from lethe.storage.archive import Archive

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
Bits = NDArray[np.uint8]
Clean = Callable[..., tuple[Dataset, dict[str, Any]]]
TECHNICAL = ("W 400  L 40", 30, 360)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clean]:
    archive = Archive(tmp_path_factory.mktemp("overlays"))
    graphics = (Option.CLEAN_DESCRIPTORS, Option.CLEAN_GRAPHICS)
    configs = [ProjectConfig(str(one), pixel_policy=one, options=graphics) for one in PixelPolicy]
    projects = projects_of(Config(projects=(*configs, ProjectConfig("without"))), archive.files)

    def clean(raw: bytes, project: str = "auto") -> tuple[Dataset, dict[str, Any]]:
        cleaned = projects[project].clean(BytesIO(raw))
        return pydicom.dcmread(BytesIO(b"".join(cleaned.chunks()))), cleaned.receipt

    yield clean
    archive.close()


def plane(*texts: Any) -> Bits:
    """Bits with an arrow and an outline, and those texts."""
    bits = (drawn(texts, ground=0, ink=255)[0] > 127).astype(np.uint8)
    bits[120:300, 250] = bits[120:300, 500] = 1
    bits[120, 250:500] = bits[300, 250:501] = 1
    for step in range(60):
        bits[200 + step, 60 + step] = 1
    return bits


def with_overlay(
    bits: Bits, *, group: int = 0x6000, syntax: str = EXPLICIT, sop_class: str = SCREEN, **elements: Any
) -> bytes:
    """An object with a flat image of 640 x 400 and that plane, or those planes, over it."""
    raw = patient(native(Kind(), np.zeros((1, 400, 640), np.uint8), syntax), SOPClassUID=sop_class)
    ds = pydicom.dcmread(BytesIO(raw))
    base, frames = group << 16, bits if bits.ndim == 3 else bits[None]
    data = np.packbits(frames.ravel(), bitorder="little")
    data = data.view(np.uint16).byteswap() if syntax == BIG else data
    for element, vr, value in (
        (0x10, "US", frames.shape[1]),
        (0x11, "US", frames.shape[2]),
        (0x15, "IS", len(frames)),
        (0x22, "LO", "drawn by Featherstone"),
        (0x40, "CS", "G"),
        (0x50, "SS", [1, 1]),
        (0x100, "US", 1),
        (0x102, "US", 0),
        (0x1500, "LO", "MRN-7741-AZF"),
        (0x3000, "OW", data.tobytes()),
        (0x4000, "LT", "Antonia"),
    ):
        given = elements.get(f"x{element:04x}", value)
        if given is not None:
            ds.add_new(base | element, vr, given)
    buffer = BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def bits_of(ds: Dataset, group: int = 0x6000) -> Bits:
    shown: Bits = numpy_handler.get_overlay_array(ds, group)
    return shown


def boxes(*texts: Any) -> list[Box]:
    return [box.grown(-3, -3) for box in drawn(texts)[1]]


def groups_of(ds: Dataset) -> set[int]:
    return {tag.group for tag in ds.keys() if tag.group >> 8 == 0x60}  # noqa: SIM118 - iterating decodes it


class TestPlane:
    @pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
    @pytest.mark.parametrize("group", [0x6000, 0x601E])
    def test_loses_its_text_and_keeps_arrow_and_outline(self, clean: Clean, syntax: str, group: int) -> None:
        ds, receipt = clean(with_overlay(plane(*WORDS), group=group, syntax=syntax))
        if syntax == BIG:
            ds[group << 16 | 0x3000].value = (
                np.frombuffer(ds[group << 16 | 0x3000].value, np.uint16).byteswap().tobytes()
            )
        left = bits_of(ds, group)
        assert not any(left[box.rows, box.columns].any() for box in boxes(*WORDS))
        assert np.array_equal(left[110:], plane()[110:])
        assert receipt["pixels"]["overlays"] == {"kept": 1, "removed": 0, "covered": 3}
        assert "113103" in receipt["codes"]

    def test_keeps_no_word_beside_its_bits(self, clean: Clean) -> None:
        ds, _ = clean(with_overlay(plane(*WORDS)))
        assert "eatherstone" not in str(ds) and "7741" not in str(ds) and "Antonia" not in str(ds)
        assert (ds[0x60000010].value, ds[0x60000011].value, ds[0x60000040].value) == (400, 640, "G")

    def test_keeps_technical_text_with_phi_and_loses_it_with_all(self, clean: Clean) -> None:
        raw = with_overlay(plane(*WORDS, TECHNICAL), sop_class=CT)
        (box,) = boxes(TECHNICAL)
        assert bits_of(clean(raw, "phi")[0])[box.rows, box.columns].any()
        assert not bits_of(clean(raw, "all")[0])[box.rows, box.columns].any()
        assert not any(bits_of(clean(raw, "phi")[0])[one.rows, one.columns].any() for one in boxes(*WORDS))

    def test_without_text_stays_bit_by_bit(self, clean: Clean) -> None:
        ds, receipt = clean(with_overlay(plane()))
        assert np.array_equal(bits_of(ds), plane()) and receipt["pixels"]["overlays"]["covered"] == 0

    def test_of_several_frames_is_cleaned_in_each(self, clean: Clean) -> None:
        frames = np.stack([plane(WORDS[0]), plane(), plane(WORDS[2]), plane(WORDS[0])])
        left = bits_of(clean(with_overlay(frames))[0])
        assert left.shape == frames.shape
        assert not any(left[at][box.rows, box.columns].any() for at in range(4) for box in boxes(WORDS[0], WORDS[2]))
        assert all(np.array_equal(one[110:], plane()[110:]) for one in left)

    def test_goes_without_the_option_and_where_nobody_looks(self, clean: Clean) -> None:
        raw = with_overlay(plane())
        assert not groups_of(clean(raw, "without")[0]) and not groups_of(clean(raw, "none")[0])

    @pytest.mark.parametrize(
        "elements",
        [
            {"x0010": 401},
            {"x0010": 0},
            {"x0011": None},
            {"x0015": 2},
            {"x0100": 8},
            {"x0102": 3},
            {"x3000": b"FEATHERSTONE " * 2500},
            {"x3000": None},
            {"x0010": 65535, "x0011": 65535},
        ],
        ids=lambda given: next(iter(given)) + str(len(given)),
    )
    def test_that_cannot_be_read_for_certain_goes(self, clean: Clean, elements: dict[str, Any]) -> None:
        ds, receipt = clean(with_overlay(plane(), **elements))
        assert not groups_of(ds) and not receipt["pixels"].get("overlays", {}).get("kept")

    def test_what_follows_its_last_bit_goes(self, clean: Clean) -> None:
        data = np.packbits(plane().ravel(), bitorder="little").tobytes()
        ds, _ = clean(with_overlay(plane(), x3000=data + b"FEATHERSTONE"))
        assert ds[0x60003000].value == data

    def test_with_more_rows_than_it_says_goes(self, clean: Clean) -> None:
        """Its text is slanted to nothing in the columns that it says it has."""
        ds, _ = clean(with_overlay(plane(*WORDS), x0011=632))
        assert groups_of(ds) == set()

    def test_in_unused_bits_of_the_pixel_data_becomes_one_of_its_own(self, clean: Clean) -> None:
        kind = Kind(allocated=16, stored=12)
        image = np.full((1, 400, 640), 700, np.uint16)
        image[0] += np.random.default_rng(4).integers(0, 40, (400, 640), np.uint16)
        image[0, 150:250, 100:200] += 800
        raw = native(kind, image | plane(*WORDS).astype(np.uint16) << 14, EXPLICIT)
        ds = pydicom.dcmread(BytesIO(patient(raw, SOPClassUID=CT)))
        for element, vr, value in (
            (0x10, "US", 400),
            (0x11, "US", 640),
            (0x40, "CS", "G"),
            (0x50, "SS", [1, 1]),
            (0x100, "US", 16),
            (0x102, "US", 14),
        ):
            ds.add_new(0x60000000 | element, vr, value)
        buffer = BytesIO()
        ds.save_as(buffer)
        done, _ = clean(buffer.getvalue())
        assert np.array_equal(done.pixel_array, image[0])
        assert not np.any(np.frombuffer(done.PixelData, np.uint16) >> 12)
        left = bits_of(done)
        assert np.array_equal(left[110:], plane()[110:])
        assert not any(left[box.rows, box.columns].any() for box in boxes(*WORDS))
        assert (done[0x60000100].value, done[0x60000102].value) == (1, 0)

    @pytest.mark.parametrize(
        "name", ["pydicom-data/MR-SIEMENS-DICOM-WithOverlays.dcm", "pydicom/test_files/examples_overlay.dcm"]
    )
    def test_of_a_genuine_scanner_stays(self, clean: Clean, name: str) -> None:
        path = SHARED / "data" / name
        if not path.exists():
            pytest.skip("../shared is not there")
        before = pydicom.dcmread(path)
        ds, receipt = clean(path.read_bytes())
        assert receipt["pixels"]["overlays"]["kept"] == 1
        assert bits_of(ds).sum() <= bits_of(before).sum()


@pytest.mark.parametrize("project", ["auto", "phi", "all", "none"])
def test_icons_go_whatever_the_project_says(clean: Clean, project: str) -> None:
    ds = pydicom.dcmread(BytesIO(with_overlay(plane())))
    icon = Dataset()
    icon.Rows, icon.Columns, icon.BitsAllocated, icon.SamplesPerPixel = 8, 8, 8, 1
    icon.PixelData = b"FEATHERSTONE" * 4
    inner = Dataset()
    inner.IconImageSequence, inner.ScheduledProcedureStepDescription = Sequence([icon]), "chest"
    ds.IconImageSequence, ds.RequestAttributesSequence = Sequence([icon]), Sequence([inner])
    buffer = BytesIO()
    ds.save_as(buffer)
    done, _ = clean(buffer.getvalue(), project)
    assert not [element for element in done.iterall() if element.keyword == "IconImageSequence"]
