"""What hides where no screen shows it: in masks and doses, beside the bits stored, between frames, in colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from struct import pack, unpack_from

import cv2
import numpy as np
import pydicom
import pytest
from burned_objects import BASELINE, RLE, Kind, arrays, compressed, encoded, file_of, items
from burned_screens import CINE, ULTRASOUND, Pixels, frames_of, is_gone, patient, screen, words
from numpy.typing import NDArray

from lethe.node.burned.review import NotProven, Reviewed
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.deid.errors import CannotClean
from lethe.node.projects import Project, projects_of
from lethe.storage.archive import Archive

ROOT = "1.2.840.10008.5.1.4.1.1"
SEGMENTS, DOSE, MAP = f"{ROOT}.66.4", f"{ROOT}.481.2", f"{ROOT}.30"
COMPUTED = (SEGMENTS, DOSE, MAP, f"{ROOT}.66.7")
SECRET = b"OSTERMANN 19610203"
GREY, BIT = Kind(), Kind(allocated=1, stored=1)
WIDE = Kind(allocated=16, stored=12)
Clean = Callable[..., bytes]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    archive = Archive(tmp_path_factory.mktemp("hidden"))
    yield projects_of(Config(projects=(ProjectConfig("one"),)), archive.files)["one"]
    archive.close()


@pytest.fixture(scope="module")
def clean(project: Project) -> Clean:
    return lambda raw, reviewed=None: b"".join(project.clean(BytesIO(raw), reviewed).chunks())


def lesion() -> Pixels:
    """A mask as a program makes it: round, and with a hole."""
    down, across = np.mgrid[:400, :640]
    away = np.hypot(down - 200, across - 300)
    return ((away < 90) & (away > 20)).astype(np.int64)


def with_element(raw: bytes, change: Callable[[bytes], bytes]) -> bytes:
    ds = pydicom.dcmread(BytesIO(raw))
    ds.PixelData = change(ds.PixelData)
    if ds.file_meta.TransferSyntaxUID.is_encapsulated:
        ds["PixelData"].is_undefined_length = True
    return file_of(ds, str(ds.file_meta.TransferSyntaxUID))


class TestWhatAProgramComputed:
    @pytest.mark.parametrize(("sop_class", "kind"), [(SEGMENTS, BIT), (SEGMENTS, GREY), (DOSE, WIDE), (MAP, WIDE)])
    def test_is_kept_back_with_the_boxes_where_it_holds_words(self, clean: Clean, sop_class: str, kind: Kind) -> None:
        picture, boxes = words(ground=0, ink=255)
        values = (picture > 128) * kind.some(1, 1, 1).dtype.type(1) * (1 if kind is BIT else 200)
        raw = screen(np.stack([lesion(), values, lesion()]), kind, SOPClassUID=sop_class)
        with pytest.raises(NotProven, match="words can be read") as refused:
            clean(raw)
        suspects = refused.value.found.suspects
        assert {suspect.frame for suspect in suspects} == {1}
        assert all(any(suspect.box.touches(box) for suspect in suspects) for box in boxes)

    def test_loses_what_a_reviewer_marked(self, clean: Clean) -> None:
        picture, boxes = words(ground=0, ink=255)
        raw = screen(picture > 128, BIT, SOPClassUID=SEGMENTS)
        done = clean(raw, Reviewed(tuple(boxes), accepts_rest=True))
        assert all(is_gone(frames_of(done)[0], box) for box in boxes)

    @pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", RLE])
    def test_stays_as_it_is_where_it_holds_none(self, clean: Clean, syntax: str) -> None:
        if syntax == RLE:
            packed = np.packbits(lesion().astype(np.uint8).ravel(), bitorder="little").reshape(1, -1)
            frame = encoded(GREY, packed, RLE)
            raw = patient(compressed(BIT, [frame], (400, 640), RLE), SOPClassUID=SEGMENTS)
        else:
            raw = screen(lesion(), BIT, SOPClassUID=SEGMENTS)
        assert pydicom.dcmread(BytesIO(clean(raw))).PixelData == pydicom.dcmread(BytesIO(raw)).PixelData

    @pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2), (300, 1), (1, 40000), (5, 70), (64, 64)])
    @pytest.mark.parametrize("kind", [BIT, WIDE])
    def test_may_have_any_size(self, clean: Clean, kind: Kind, shape: tuple[int, int]) -> None:
        raw = screen(kind.some(1, *shape)[0], kind, SOPClassUID=SEGMENTS)
        assert np.array_equal(frames_of(clean(raw))[0], frames_of(raw)[0])

    @pytest.mark.parametrize("sop_class", COMPUTED)
    def test_has_nothing_beside_its_values(self, clean: Clean, sop_class: str) -> None:
        raw = screen(lesion()[:64, :64], GREY, SOPClassUID=sop_class)
        with pytest.raises(CannotClean, match="go on after the last frame"):
            clean(with_element(raw, lambda data: data + SECRET))
        raw = screen(lesion()[:64, :64], WIDE, SOPClassUID=sop_class)
        done = clean(with_element(raw, lambda data: (np.frombuffer(data, "<u2") | 0x5000).tobytes()))
        assert (np.frombuffer(pydicom.dcmread(BytesIO(done)).PixelData, "<u2") < 0x1000).all()


class TestBetweenFrames:
    @pytest.mark.parametrize("syntax", [RLE, BASELINE])
    def test_an_offset_table_that_does_not_fit_is_made_anew(self, clean: Clean, syntax: str) -> None:
        frames = [encoded(GREY, one, syntax) for one in GREY.some(2, 24, 30)]
        raw = patient(compressed(GREY, frames, (24, 30), syntax))
        lying = with_element(raw, lambda data: data[:4] + pack("<L", 20) + SECRET + b"\0\0" + data[16:])
        done = clean(lying)
        assert SECRET not in done and items(done) == items(raw)
        data = pydicom.dcmread(BytesIO(done)).PixelData
        assert unpack_from("<LLL", data, 4) == (8, 0, 8 + len(items(raw)[0]))
        assert all(np.array_equal(a, b) for a, b in zip(arrays(done), arrays(raw), strict=True))

    @pytest.mark.parametrize("place", ["table", "gap"])
    def test_bytes_that_no_run_needs_are_refused(self, clean: Clean, place: str) -> None:
        frame = encoded(GREY, GREY.some(1, 24, 30)[0], RLE)
        if place == "table":
            frame = frame[:16] + SECRET + frame[16 + len(SECRET) :]
        else:
            frame = pack("<LL", 1, 64 + len(SECRET)) + frame[8:64] + SECRET + frame[64:]
        with pytest.raises(CannotClean, match=r"before its first segment|between its header"):
            clean(patient(compressed(GREY, [frame], (24, 30), RLE)))


class TestHalvedColours:
    def test_with_zeros_behind_them_are_read_as_halved(self, clean: Clean) -> None:
        """As many bytes as full colours would have: read so, words are stripes that nobody can read."""
        picture, boxes = words(ground=20, ink=230)
        colours = np.dstack([picture, np.full_like(picture, 128), np.full_like(picture, 128)])
        raw = screen(colours, Kind("YBR_FULL_422"), SOPClassUID=ULTRASOUND)
        whole = pydicom.dcmread(BytesIO(raw)).PixelData
        padded = with_element(raw, lambda data: data + bytes(len(data) // 2))
        done = pydicom.dcmread(BytesIO(clean(padded))).PixelData
        assert len(whole) * 3 // 2 == picture.size * 3
        pairs = np.frombuffer(done[: len(whole)], np.uint8).reshape(400, 320, 4)
        luma = pairs[..., :2].reshape(400, 640)
        assert all(is_gone(luma, box) for box in boxes)


def indexed(colours: NDArray[np.uint16], indices: Pixels) -> bytes:
    """An image of 256 colours."""
    ds = pydicom.dcmread(BytesIO(screen(indices, Kind("PALETTE COLOR"))))
    for number, name in enumerate(("Red", "Green", "Blue")):
        setattr(ds, f"{name}PaletteColorLookupTableData", colours[:, number].astype("<u2").tobytes())
    return file_of(ds, "1.2.840.10008.1.2.1")


class TestColours:
    @pytest.mark.parametrize("step", [0, 100])
    def test_that_no_screen_tells_apart_hide_nothing(self, clean: Clean, step: int) -> None:
        """Index 11 is as dark as index 10, or lighter by less than a screen shows."""
        picture, boxes = words(ground=0, ink=255)
        colours = (np.arange(256, dtype=np.uint16) * 257)[:, None].repeat(3, axis=1)
        colours[11] = colours[10] + step
        done = frames_of(clean(indexed(colours, np.where(picture > 128, 11, 10))))[0]
        assert all(is_gone(done, box, most=0) for box in boxes)

    @pytest.mark.parametrize(
        ("kind", "tint"),
        [
            *((Kind("RGB"), tint) for tint in ((8, -4, 0), (0, -4, 20))),
            (Kind("RGB", 32, 32), (8, -4, 0)),
            (Kind("YBR_FULL"), (0, 6, 0)),
        ],
    )
    def test_that_are_as_light_as_their_ground_hide_nothing(
        self, clean: Clean, kind: Kind, tint: tuple[int, int, int]
    ) -> None:
        share, boxes = words(ground=0, ink=255)
        ground = np.array([120, 128, 128])
        done = frames_of(clean(screen(ground + np.rint(share[..., None] / 255 * np.array(tint)), kind)))[0]
        assert all(is_gone(done, box, most=1) for box in boxes)

    @pytest.mark.parametrize(
        ("ink", "ground"),
        [
            ((150, 0, 0), (0, 150, 0)),
            ((255, 0, 0), (85, 85, 85)),
            ((0, 0, 160), (160, 0, 0)),
            ((255, 0, 0), (0, 130, 0)),
        ],
    )
    def test_that_are_the_same_grey_are_told_apart_in_a_cine(
        self, clean: Clean, ink: tuple[int, ...], ground: tuple[int, ...]
    ) -> None:
        """Six frames of speckle under a coloured banner, in which red counts for as much as green."""
        share, boxes = words(ground=0, ink=255)
        banner = np.array(ground) + (share[..., None] / 255) * (np.array(ink) - ground)
        chance = np.random.default_rng(4)
        still = cv2.GaussianBlur(chance.normal(0, 1, (400, 640)).astype(np.float32), (0, 0), 12)
        still = still / still.std() * 40 + 100
        frames = np.stack([(still + chance.normal(0, 6, still.shape))[..., None].repeat(3, axis=2) for _ in range(6)])
        frames[:, :110] = banner[:110]
        raw = screen(frames.clip(0, 255), Kind("RGB"), SOPClassUID=CINE)
        for frame in frames_of(clean(raw)):
            assert all(is_gone(frame, box) for box in boxes)
