"""Words that somebody drew with lines over an image, in a presentation state: refused; outlines and arrows stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np
import pydicom
import pytest
from deid_objects import ct, raw_of
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from lethe.node.choices import PixelPolicy
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.deid.errors import CannotClean
from lethe.node.projects import Projects, projects_of
from lethe.storage.archive import Archive

GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
STROKES = {  # of a square of 4 by 6
    "V": "00 26 40",
    "O": "00 40 46 06 00",
    "N": "06 00 46 40",
    "K": "00 06/40 03 46",
    "L": "00 06 46",
    "E": "40 00 06 46/03 33",
    "T": "00 40/20 26",
}
Lines = Sequence[Sequence[tuple[float, float]]]


def written(word: str) -> Lines:
    strokes = [(at, one) for at, letter in enumerate(word) for one in STROKES[letter].split("/")]
    return [[(100 + 40 * at + 6 * int(x), 50 + 6 * int(y)) for x, y in one.split()] for at, one in strokes]


def outlines() -> Lines:
    """Lesions, arrows and a ruler."""
    random, turns = np.random.default_rng(4), np.linspace(0, 2 * np.pi, 30)
    round_ones = [
        [(x + 20 * size * np.cos(turn), y + 15 * size * np.sin(turn)) for turn in turns]
        for x, y, size in random.uniform((50, 50, 0.5), (460, 460, 2), (6, 3))
    ]
    arrows = [[(x, y), (x + 60, y + 40), (x + 50, y + 40)] for x, y in random.uniform(50, 400, (6, 2))]
    return [*round_ones, *arrows, *([(20, 40 * tick), (30, 40 * tick)] for tick in range(1, 11))]


def state(lines: Lines) -> bytes:
    ds, layer = ct(SOPClassUID=GSPS, Modality="PR"), Dataset()
    for name in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel"):
        delattr(ds, name)
    layer.GraphicLayer, layer.GraphicObjectSequence = "ONE", Items()
    for line in lines:
        item = Dataset()
        item.GraphicAnnotationUnits, item.GraphicDimensions, item.GraphicFilled = "PIXEL", 2, "N"
        item.NumberOfGraphicPoints, item.GraphicType = len(line), "POLYLINE"
        item.GraphicData = [float(one) for point in line for one in point]
        layer.GraphicObjectSequence.append(item)
    ds.GraphicAnnotationSequence = Items([layer])
    return raw_of(ds)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projects]:
    archive = Archive(tmp_path_factory.mktemp("drawn"))
    configs = ProjectConfig("one"), ProjectConfig("none", pixel_policy=PixelPolicy.NONE)
    yield projects_of(Config(projects=configs), archive.files)
    archive.close()


def lines_of(raw: bytes) -> list[list[float]]:
    (layer,) = pydicom.dcmread(BytesIO(raw)).GraphicAnnotationSequence
    return [list(item.GraphicData) for item in layer.GraphicObjectSequence]


def test_a_name_is_refused(projects: Projects) -> None:
    with pytest.raises(CannotClean, match="words can be read in the lines"):
        projects["one"].clean(BytesIO(state(written("NOVOTKEL"))))


def test_and_leaves_where_nobody_looks(projects: Projects) -> None:
    raw = state(written("NOVOTKEL"))
    assert lines_of(b"".join(projects["none"].clean(BytesIO(raw)).chunks())) == lines_of(raw)


def test_outlines_arrows_and_rulers_stay(projects: Projects) -> None:
    raw = state(outlines())
    assert lines_of(b"".join(projects["one"].clean(BytesIO(raw)).chunks())) == lines_of(raw)


def test_numbers_that_are_none_are_refused(projects: Projects) -> None:
    with pytest.raises(CannotClean, match="than can be looked at"):
        projects["one"].clean(BytesIO(state([*outlines(), [(1.0, 1.0), (float("nan"), 2.0)]])))
