"""Ultrasound regions: what lies outside all of them is banner, and what cannot be true says nothing."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import SHARED
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from lethe.node.burned.box import Box
from lethe.node.burned.regions import outside, us_banner

US = "1.2.840.10008.5.1.4.1.1.6.1"


def header(*corners: tuple[object, object, object, object], sop_class: str = US) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID = sop_class
    ds.SequenceOfUltrasoundRegions = []
    for left, top, right, bottom in corners:
        item = Dataset()
        item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
        item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
        ds.SequenceOfUltrasoundRegions.append(item)
    return ds


def test_a_header_with_one_region_leaves_the_rest_as_banner() -> None:
    assert us_banner(header((0, 60, 799, 599)), 600, 800) == [Box(0, 0, 800, 60)]


def test_two_regions_side_by_side_leave_few_boxes() -> None:
    found = us_banner(header((0, 50, 399, 599), (400, 50, 799, 499)), 600, 800)
    assert found == [Box(0, 0, 800, 50), Box(400, 500, 800, 600)]


def test_a_last_pixel_that_is_told_as_the_first_one_behind_is_understood() -> None:
    assert us_banner(header((0, 60, 800, 600)), 600, 800) == [Box(0, 0, 800, 60)]


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0, 799, 599)],
        [(0, 0, 399, 599), (400, 0, 799, 599)],
        [(0, 60, 900, 599)],
        [(0, 60, 799, 700)],
        [(700, 60, 100, 599)],
        [(0, 599, 799, 60)],
        [(0, 60, 0, 599)],
        [(0, 60, 799, 599), (0, 0, 4_000_000_000, 599)],
        [(0, 0, 20, 20)],
        [],
        [(0, 60, 799, 599)] * 65,
    ],
    ids=str,
)
def test_what_cannot_be_a_description_of_the_frame_says_nothing(corners: list[tuple[int, int, int, int]]) -> None:
    assert us_banner(header(*corners), 600, 800) is None


def test_a_region_without_a_corner_says_nothing() -> None:
    ds = header((0, 60, 799, 599))
    del ds.SequenceOfUltrasoundRegions[0].RegionLocationMaxX1
    assert us_banner(ds, 600, 800) is None


def test_values_that_are_no_numbers_say_nothing() -> None:
    ds = header((0, 60, 799, 599))
    ds.SequenceOfUltrasoundRegions[0].RegionLocationMinX0 = [0, 1]
    assert us_banner(ds, 600, 800) is None
    ds.SequenceOfUltrasoundRegions[0]["RegionLocationMinX0"].value = None
    assert us_banner(ds, 600, 800) is None


def test_regions_are_believed_of_ultrasound_only() -> None:
    assert us_banner(header((0, 60, 799, 599), sop_class="1.2.840.10008.5.1.4.1.1.7"), 600, 800) is None


@pytest.mark.parametrize("size", [(0, 800), (600, 0), (-1, -1), (1, 1)])
def test_a_frame_of_no_size_has_no_banner(size: tuple[int, int]) -> None:
    assert us_banner(header((0, 60, 799, 599)), *size) is None


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "examples_palette.dcm"])
def test_a_cropped_picture_whose_header_still_tells_the_old_regions_says_nothing(name: str) -> None:
    ds = pydicom.dcmread(get_testdata_file(name))
    assert "SequenceOfUltrasoundRegions" in ds
    assert us_banner(ds, ds.Rows, ds.Columns) is None


@pytest.mark.shared
def test_a_genuine_scan_has_its_banner() -> None:
    (path,) = (SHARED / "data").rglob("GREYSCALE_IMAGE.dcm")
    ds = pydicom.dcmread(path)
    banner = us_banner(ds, ds.Rows, ds.Columns)
    assert banner is not None and Box(0, 0, 1024, 38) in banner


edges = st.integers(-3, 30)


@given(st.lists(st.builds(Box, edges, edges, edges, edges), max_size=6), st.integers(1, 24), st.integers(1, 24))
def test_what_is_outside_is_exactly_what_no_box_holds(kept: list[Box], rows: int, columns: int) -> None:
    covered = np.zeros((rows, columns), int)
    for box in kept:
        within = box.within(columns, rows)
        covered[within.rows, within.columns] = 1
    found = np.zeros((rows, columns), int)
    for box in outside(kept, rows, columns):
        found[box.rows, box.columns] += 1
    assert (found == 1 - covered).all(), "each pixel outside in one box, and none inside"
