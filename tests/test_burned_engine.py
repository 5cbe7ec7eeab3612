"""Frames from end to end: objects with text drawn into them go through a project, and what comes out is looked at."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from builders import PHI, bundled, ct
from burned_objects import BASELINE, EXTENDED, RLE, Kind, compressed, encoded, jpeg, native
from burned_pictures import Text
from burned_screens import (
    CINE,
    CT,
    EXPLICIT,
    SCREEN,
    ULTRASOUND,
    WORDS,
    Pixels,
    as_ybr,
    frames_of,
    in_colour,
    is_gone,
    page,
    patient,
    screen,
    words,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from lethe.node.burned.box import Box
from lethe.node.burned.devices import DeviceRule
from lethe.node.burned.review import NotProven, Reviewed
from lethe.node.choices import Fill, PixelPolicy
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.deid.errors import CannotClean
from lethe.node.logs import start_logging
from lethe.node.projects import Projects, projects_of
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.intake import Origin
from lethe.storage.jobs import State
from lethe.storage.query import Level, Query

TECHNICAL: Text = ("W 400  L 40", 30, 360)
DEEP = Kind(allocated=16, stored=12)
SIGNED = Kind(allocated=16, stored=16, signed=True)


@dataclass(frozen=True)
class Done:
    """What came of an object."""

    raw: bytes
    receipt: dict[str, Any]

    @property
    def frames(self) -> list[Pixels]:
        return frames_of(self.raw)

    @property
    def header(self) -> Dataset:
        return pydicom.dcmread(BytesIO(self.raw))

    @property
    def pixels(self) -> dict[str, Any]:
        found: dict[str, Any] = self.receipt["pixels"]
        return found


Clean = Callable[..., Done]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projects]:
    archive = Archive(tmp_path_factory.mktemp("engine"))
    configs = [ProjectConfig(str(policy), pixel_policy=policy) for policy in PixelPolicy]
    configs.append(ProjectConfig("contrast", fill=Fill.CONTRAST))
    configs.append(ProjectConfig("tesseract", text_finders=("tesseract",)))
    configs.append(ProjectConfig("both", text_finders=("rapidocr", "tesseract")))
    yield projects_of(Config(projects=tuple(configs)), archive.files)
    archive.close()


@pytest.fixture(scope="module")
def clean(projects: Projects) -> Clean:
    def clean(raw: bytes, project: str = "auto", reviewed: Reviewed | None = None) -> Done:
        cleaned = projects[project].clean(BytesIO(raw), reviewed)
        return Done(b"".join(cleaned.chunks()), cleaned.receipt)

    return clean


class TestPolicy:
    @pytest.mark.parametrize(
        ("project", "sop_class", "keeps"),
        [
            ("auto", SCREEN, False),
            ("auto", ULTRASOUND, False),
            ("auto", CT, True),
            ("all", CT, False),
            ("phi", SCREEN, True),
        ],
    )
    def test_says_what_is_covered(self, clean: Clean, project: str, sop_class: str, keeps: bool) -> None:
        picture, boxes = words([*WORDS, TECHNICAL])
        done = clean(screen(picture, SOPClassUID=sop_class), project)
        (frame,) = done.frames
        assert all(is_gone(frame, box) for box in boxes[:-1])
        assert is_gone(frame, boxes[-1]) != keeps
        assert done.pixels["policy"] == ("phi" if keeps else "all")
        assert (done.pixels["kept"] > 0) == keeps
        covered = np.zeros(frame.shape, bool)
        for one in done.pixels["boxes"]:
            covered[Box(*one["box"]).rows, Box(*one["box"]).columns] = True
        assert np.array_equal(frame[~covered], picture[~covered]), "nothing else is touched"

    def test_none_touches_nothing_and_claims_nothing(self, clean: Clean) -> None:
        picture, _ = words()
        done = clean(screen(picture), "none")
        assert np.array_equal(done.frames[0], picture) and "pixels" not in done.receipt
        assert "113101" not in done.receipt["codes"] and "BurnedInAnnotation" not in done.header

    def test_regions_covers_the_banner_and_nothing_else(self, clean: Clean) -> None:
        picture, boxes = words([*WORDS, TECHNICAL])
        banner = Box(0, 0, 640, 100)
        item = Dataset()
        item.RegionLocationMinX0, item.RegionLocationMinY0 = 0, 100
        item.RegionLocationMaxX1, item.RegionLocationMaxY1 = 639, 399
        raw = screen(picture, SOPClassUID=ULTRASOUND, SequenceOfUltrasoundRegions=Sequence([item]))
        done = clean(raw, "regions")
        (frame,) = done.frames
        assert is_gone(frame, banner) and np.array_equal(frame[100:], picture[100:])
        assert [one["why"] for one in done.pixels["boxes"]] == ["device rule"] and done.pixels["kept"] == 1
        assert all(is_gone(clean(raw).frames[0], box) for box in boxes), "auto covers all"

    def test_regions_refuses_text_that_stands_elsewhere_with_its_boxes(self, clean: Clean) -> None:
        picture, boxes = words()
        with pytest.raises(NotProven) as refusal:
            clean(screen(picture), "regions")
        assert "no rule for the device" in str(refusal.value)
        found = refusal.value.found
        assert (found.frames, found.rows, found.columns) == (1, 400, 640)
        assert all(any(box.shared(one.box).area > 0.8 * box.area for one in found.suspects) for box in boxes)
        assert not [value for value in PHI.values() if value in json.dumps(refusal.value.details)]

    def test_a_device_rule_is_carried_out_whatever_is_seen(self, clean: Clean, projects: Projects) -> None:
        rule = DeviceRule("Acme", {"Manufacturer": {"is": "Acme"}, "Rows": 400}, (Box(100, 200, 300, 250),))
        project = projects.varied("phi")
        object.__setattr__(project, "device_rules", project.device_rules.and_also([rule]))
        random = np.random.default_rng(3).integers(0, 60, (400, 640))
        for manufacturer, covered in (("Acme", True), ("Other", False)):
            cleaned = project.clean(BytesIO(screen(random, SOPClassUID=CT, Manufacturer=manufacturer)))
            (frame,) = frames_of(b"".join(cleaned.chunks()))
            assert is_gone(frame, Box(100, 200, 300, 250), most=0) == covered
            if covered:
                assert cleaned.receipt["pixels"]["boxes"][0]["why"] == "device rule"

    @pytest.mark.parametrize("project", ["auto", "contrast"])
    def test_the_fill_is_the_background_or_its_contrast(self, clean: Clean, project: str) -> None:
        picture, boxes = words()
        (frame,) = clean(screen(picture), project).frames
        fills = {int(np.median(frame[box.rows, box.columns])) for box in boxes}
        assert fills == ({20} if project == "auto" else {230}), "the lightest that the frame has"

    @pytest.mark.peer
    def test_tesseract_finds_as_well(self, clean: Clean) -> None:
        picture, boxes = words(size=24)
        done = clean(screen(picture), "tesseract")
        assert all(is_gone(done.frames[0], box) for box in boxes)
        assert done.pixels["engines"][0].startswith("tesseract")


def in_form(grey: Pixels, kind: Kind) -> Pixels:
    """A picture from 0 to 255 as values of that kind."""
    if kind.photometric == "MONOCHROME1":
        return 255 - grey
    if kind.photometric.startswith("YBR"):
        return as_ybr(grey)
    if kind.samples == 3:
        return in_colour(grey)
    return grey * 16 if kind is DEEP else grey * 200 - 20_000 if kind is SIGNED else grey


FORMS = {
    "inverted": (Kind("MONOCHROME1"), "1.2.840.10008.1.2.1"),
    "colour by plane": (Kind("RGB", planar=1), "1.2.840.10008.1.2.1"),
    "ybr 422": (Kind("YBR_FULL_422"), BASELINE),
    "deep": (DEEP, "1.2.840.10008.1.2.2"),
    "deep, run lengths": (DEEP, RLE),
    "signed": (SIGNED, "1.2.840.10008.1.2"),
    "lossless": (Kind("RGB"), jpeg(70)),
    "jpeg 2000": (DEEP, jpeg(90)),
    "jpeg-ls": (Kind(), jpeg(80)),
    "high throughput": (Kind(), jpeg(201)),
}


class TestForm:
    @pytest.mark.parametrize("name", FORMS)
    def test_is_kept_and_the_text_gone(self, clean: Clean, name: str) -> None:
        kind, syntax = FORMS[name]
        picture, boxes = words()
        raw = screen(in_form(picture, kind), kind, syntax)
        done, before = clean(raw), pydicom.dcmread(BytesIO(raw))
        assert all(is_gone(done.frames[0], box, most=20 if kind is SIGNED else 8) for box in boxes)
        for keyword in ("PhotometricInterpretation", "BitsStored", "PixelRepresentation", "SamplesPerPixel"):
            assert done.header[keyword].value == before[keyword].value
        assert done.header.file_meta.TransferSyntaxUID == syntax == done.pixels["transfer_syntax_after"]
        far = np.s_[300:]
        assert np.array_equal(done.frames[0][far], frames_of(raw)[0][far])

    def test_of_a_palette_is_kept(self, clean: Clean) -> None:
        kind = Kind("PALETTE COLOR")
        picture, boxes = words()
        ds = pydicom.dcmread(BytesIO(native(kind, (picture > 100).astype(np.uint8)[None], "1.2.840.10008.1.2.1")))
        ramp = (np.arange(256) * 60_000 % 65_536).astype("<u2")
        ramp[:2] = 0, 65_535
        for name in ("Red", "Green", "Blue"):
            setattr(ds, f"{name}PaletteColorLookupTableData", ramp.tobytes())
        buffer = BytesIO()
        ds.save_as(buffer)
        done = clean(patient(buffer.getvalue()))
        assert all(is_gone(done.frames[0], box, most=0) for box in boxes)
        assert done.header.PhotometricInterpretation == "PALETTE COLOR"
        assert done.header.RedPaletteColorLookupTableData == ramp.tobytes()

    def test_text_outside_the_window_is_seen(self, clean: Clean) -> None:
        grey, boxes = words()
        picture = np.random.default_rng(7).integers(0, 1000, grey.shape)
        picture[grey > 100] += 3000
        raw = screen(picture, DEEP, SOPClassUID=CT, WindowCenter=500, WindowWidth=1000)
        (frame,) = clean(raw).frames
        assert all(is_gone(frame, box, most=1100) and frame[box.rows, box.columns].max() < 1100 for box in boxes)

    @pytest.mark.parametrize(("noise", "size"), [(5, 20), (20, 14), (20, 20)])
    def test_text_that_is_faint_beside_a_bright_body_is_seen(self, clean: Clean, noise: int, size: int) -> None:
        """Ten times the noise; with little of it, a twentieth of the range: it hardly shows in the usual window."""
        grey, boxes = words([("FEATHERSTONE ANTONIA", 30, 20), ("MRN-7741-AZF", 30, 80)], size=size)
        down, across = np.mgrid[:400, :640]
        body = ((down - 250) / 120) ** 2 + ((across - 320) / 200) ** 2 < 1
        picture = np.random.default_rng(1).normal(1000, noise, grey.shape) + 800 * body
        picture += (grey > 100) * 10 * noise
        (frame,) = clean(screen(picture.clip(0, 4095), DEEP, SOPClassUID=CT)).frames
        assert all(is_gone(frame, box.grown(0, -1), most=9 * noise) for box in boxes)

    def test_what_hides_beside_the_bits_stored_is_cleared(self, clean: Clean) -> None:
        grey, _ = words()
        picture = np.full(grey.shape, 77) + (grey > 100) * 0x4000
        raw = native(Kind(allocated=16, stored=16), picture.astype(np.uint16)[None], "1.2.840.10008.1.2.1")
        done = clean(patient(raw, SOPClassUID=CT, BitsStored=12, HighBit=11))
        assert set(np.frombuffer(done.header.PixelData, "<u2")) == {77}


class TestCine:
    def picture(self, at: int) -> Pixels:
        """A frame of noise, another one each time."""
        return np.random.default_rng(at).integers(0, 40, (400, 640))

    def cine(self, texts: list[list[Text]]) -> tuple[bytes, list[list[Box]]]:
        frames, boxes = [], []
        for at, some in enumerate(texts):
            ink, found = words(some, ground=0)
            frames.append(np.maximum(self.picture(at), ink))
            boxes.append(found)
        return screen(np.stack(frames), SOPClassUID=CINE), boxes

    def test_with_text_in_one_frame_only(self, clean: Clean) -> None:
        raw, boxes = self.cine([[], [], [], list(WORDS), [], []])
        done = clean(raw)
        assert all(is_gone(done.frames[3], box, most=45) for box in boxes[3])

    def test_with_text_that_changes(self, clean: Clean) -> None:
        names = ["FEATHERSTONE ANTONIA", "MRN-7741-AZF", "born 1958-03-17", "VANDERQUIST HOLGER"]
        raw, boxes = self.cine([[(name, 40, 30)] for name in names])
        done = clean(raw)
        for frame, some in zip(done.frames, boxes, strict=True):
            assert all(is_gone(frame, box.grown(0, -1), most=45) for box in some), "but for the tail of a Q"

    @pytest.mark.parametrize("project", ["all", "phi"])
    def test_with_text_that_moves(self, clean: Clean, project: str) -> None:
        """It is nowhere twice, and so in no picture of many frames."""
        raw, boxes = self.cine([[("VANDERQUIST HOLGER", 20 + 9 * at, 20 + 6 * at)] for at in range(28)])
        done = clean(raw, project)
        left = [
            at
            for at, (frame, some) in enumerate(zip(done.frames, boxes, strict=True))
            if not all(is_gone(frame, box.grown(0, -1), most=45) for box in some)
        ]
        assert left == []

    @pytest.mark.parametrize(("project", "sop_class"), [("all", SCREEN), ("auto", ULTRASOUND), ("phi", CT)])
    @pytest.mark.parametrize("ink", [(20, 230), (230, 20)])
    def test_whose_frames_are_pages(self, clean: Clean, project: str, sop_class: str, ink: tuple[int, int]) -> None:
        """What is written on one hides, in every picture of many, what is written on others."""
        pages = [page(seed, ground=ink[0], ink=ink[1]) for seed in range(10)]
        done = clean(screen(np.stack([one for one, _ in pages]), SOPClassUID=sop_class), project)
        for frame, (_, boxes) in zip(done.frames, pages, strict=True):
            assert all(is_gone(frame, box.grown(0, -1), most=45) for box in boxes), "but for the tail of a Q"

    def test_of_pages_that_look_alike(self, clean: Clean) -> None:
        """As screens of one program do: what is under the text is the same, and stronger than it."""
        down, across = np.mgrid[:400, :640]
        under = 60 * (down // 40 % 2) + across // 8
        pages = [page(seed, ground=0, ink=255) for seed in range(9)]
        frames = np.stack([np.where(one > 127, 255, under) for one, _ in pages])
        done = clean(screen(frames), "all")
        for frame, (one, _) in zip(done.frames, pages, strict=True):
            assert float((frame[one > 200] == 255).mean()) < 0.1

    @pytest.mark.parametrize("project", ["all", "phi", "auto"])
    def test_with_text_in_one_frame_among_noise(self, clean: Clean, project: str) -> None:
        text, boxes = words(size=20)
        noise = [np.random.default_rng(at).integers(0, 255, (400, 640)) for at in range(9)]
        done = clean(screen(np.stack([*noise[:4], text, *noise[4:]])), project)
        assert all(is_gone(done.frames[4], box, most=45) for box in boxes)

    def test_of_equal_frames_is_looked_at_once(self, clean: Clean) -> None:
        picture, boxes = words()
        done = clean(screen(np.stack([picture] * 5), SOPClassUID=CINE))
        assert done.pixels["looks"] == 1 and done.pixels["changed"] == 5
        assert all(is_gone(frame, box) for frame in done.frames for box in boxes)


class TestRecord:
    @pytest.mark.parametrize("flag", ["NO", "YES", "", "ALTHOUGH"])
    def test_the_flag_is_never_trusted(self, clean: Clean, flag: str) -> None:
        picture, boxes = words()
        done = clean(screen(picture, BurnedInAnnotation=flag))
        assert all(is_gone(done.frames[0], box) for box in boxes)
        assert done.header.BurnedInAnnotation == "NO"

    def test_says_what_was_done_and_nothing_that_stood_there(
        self, clean: Clean, capsys: pytest.CaptureFixture[str]
    ) -> None:
        start_logging("worker", "DEBUG")
        logging.getLogger("lethe").debug("listening")
        picture, boxes = words([*WORDS, ("Zebrafish unknown to the header", 30, 200)])
        done = clean(screen(picture))
        log = capsys.readouterr()
        assert "listening" in log.err
        told = json.dumps(done.pixels) + log.err + log.out
        for word in ("FEATHER", "ANTONIA", "7741", "AZF", "1958", "ebrafish"):
            assert word not in told
        assert done.pixels["covered"] == len(done.pixels["boxes"]) >= len(boxes)
        assert {one["why"] for one in done.pixels["boxes"]} == {"text"}
        assert [one["frames"] for one in done.pixels["boxes"]] == [[1]] * done.pixels["covered"]
        assert done.pixels["frames"] == done.pixels["changed"] == 1
        assert any("rapidocr" in edition for edition in done.pixels["engines"])
        codes = [item.CodeValue for item in done.header.DeidentificationMethodCodeSequence]
        assert codes == done.receipt["codes"] and "113101" in codes

    @pytest.mark.parametrize(
        ("kind", "syntax"),
        [
            (Kind(), BASELINE),
            (Kind("YBR_FULL_422"), BASELINE),
            (Kind("YBR_FULL_422"), EXPLICIT),
            (Kind("RGB"), EXPLICIT),
        ],
        ids=["blocks", "blocks with colours of two pixels", "colours of two pixels", "pixels"],
    )
    @pytest.mark.parametrize("fill", ["auto", "contrast"])
    def test_has_boxes_outside_of_which_nothing_changed(self, clean: Clean, kind: Kind, syntax: str, fill: str) -> None:
        picture, _ = words()
        raw = screen(np.stack([picture if kind.samples == 1 else as_ybr(picture)] * 2), kind, syntax)
        done = clean(raw, fill)
        for number, (before, after) in enumerate(zip(frames_of(raw), done.frames, strict=True), 1):
            outside = np.ones(picture.shape, bool)
            for one in done.pixels["boxes"]:
                box = Box(*one["box"])
                outside[box.rows, box.columns] &= number not in one["frames"] and one["frames"] != "all"
            same = before == after
            same = same if same.ndim == 2 else same.all(-1)
            assert same[outside].all() and not same.all()

    def test_of_a_slice_without_text_says_so_and_its_pixels_are_what_they_were(self, clean: Clean) -> None:
        original = ct()
        buffer = BytesIO()
        original.save_as(buffer)
        done = clean(buffer.getvalue())
        assert done.header.PixelData == original.PixelData
        assert (done.pixels["covered"], done.pixels["changed"], done.pixels["looks"]) == (0, 0, 1)
        assert "113101" in done.receipt["codes"] and done.header.BurnedInAnnotation == "NO"

    def test_of_an_object_with_overlays_is_without_them(self, clean: Clean) -> None:
        original = ct()
        for tag, vr, value in (
            (0x60000010, "US", 128),
            (0x60000011, "US", 128),
            (0x60000022, "LO", "FEATHERSTONE"),
            (0x60000040, "CS", "G"),
            (0x60003000, "OW", b"\xff" * 2048),
        ):
            original.add_new(tag, vr, value)
        buffer = BytesIO()
        original.save_as(buffer)
        done = clean(buffer.getvalue())
        assert not [element for element in done.header if element.tag.group >> 8 == 0x60]
        assert done.header.PixelData == original.PixelData

    def test_of_what_is_no_image_claims_nothing(self, clean: Clean) -> None:
        buffer = BytesIO()
        bundled("rtplan.dcm").save_as(buffer)
        done = clean(buffer.getvalue())
        assert "pixels" not in done.receipt and "113101" not in done.receipt["codes"]
        assert "BurnedInAnnotation" not in done.header

    def test_names_comments_that_were_blanked(self, clean: Clean) -> None:
        frame = encoded(Kind(), words()[0].astype(np.uint8), BASELINE)
        telling = frame[:2] + b"\xff\xfe\0\x16FEATHERSTONE ANTONIA" + frame[2:]
        for project in ("auto", "phi"):
            done = clean(patient(compressed(Kind(), [telling], (400, 640), BASELINE)), project)
            assert done.pixels["comments"] == 1 and b"ANTONIA" not in done.raw

    @pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", BASELINE, jpeg(90)])
    def test_and_bytes_are_the_same_when_done_again(self, projects: Projects, clean: Clean, syntax: str) -> None:
        raw = screen(words()[0], syntax=syntax)
        first, again = clean(raw), projects.varied("auto").clean(BytesIO(raw))
        assert (first.raw, first.receipt) == (b"".join(again.chunks()), again.receipt)


def twelve_bits() -> bytes:
    frame = bytes(imagecodecs.jpeg8_encode(DEEP.some(1, 16, 16)[0], bitspersample=12))
    return compressed(DEEP, [frame], (16, 16), EXTENDED)


def claiming(**attributes: object) -> bytes:
    return patient(native(Kind(), Kind().some(1, 40, 40), "1.2.840.10008.1.2.1"), **attributes)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "12-bit JPEG Extended": (lambda: patient(twelve_bits()), "12 bits"),
    "no JPEG at all": (lambda: patient(compressed(Kind(), [bytes(90)], (16, 16), BASELINE)), "a frame"),
    "zero frames": (lambda: claiming(NumberOfFrames=0), "Number of Frames"),
    "too many frames": (lambda: claiming(NumberOfFrames=7), "shorter"),
    "more rows than bytes": (lambda: claiming(Rows=4000), "shorter"),
    "fewer rows than bytes": (lambda: claiming(Rows=3), "go on"),
    "no rows": (lambda: claiming(Rows=0), "Rows"),
    "another depth": (lambda: claiming(BitsAllocated=16, BitsStored=16, HighBit=15), "shorter"),
    "20,000 x 20,000 in a few bytes": (lambda: claiming(Rows=20_000, Columns=20_000), "larger than"),
}


class TestOdd:
    @pytest.mark.parametrize("name", REFUSED)
    @pytest.mark.parametrize("project", ["auto", "phi", "regions"])
    def test_is_refused_with_a_reason_that_names_nobody(self, clean: Clean, name: str, project: str) -> None:
        make, why = REFUSED[name]
        with pytest.raises(CannotClean, match=why) as refusal:
            clean(make(), project)
        assert not [value for value in PHI.values() if value in str(refusal.value)]

    @pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 3), (300, 1), (9, 9), (40, 400)], ids=str)
    @pytest.mark.parametrize("project", ["auto", "phi"])
    def test_small_and_flat_frames_are_done(self, clean: Clean, size: tuple[int, int], project: str) -> None:
        for kind in (Kind(), SIGNED, Kind("RGB"), Kind(allocated=1, stored=1)):
            flat = np.zeros((1, *size, *([3] if kind.samples == 3 else [])))
            raw = patient(native(kind, flat.astype(kind.dtype), "1.2.840.10008.1.2.1"))
            done = clean(raw, project)
            assert done.pixels["covered"] == 0 and not np.any(done.frames[0])

    @pytest.mark.parametrize("project", ["auto", "tesseract", "both"])
    @pytest.mark.parametrize("size", [(40, 17_000), (17_000, 40), (1, 40_000)], ids=str)
    def test_frames_longer_than_an_engine_can_take_are_done(
        self, clean: Clean, project: str, size: tuple[int, int]
    ) -> None:
        assert clean(screen(np.full(size, 20)), project).pixels["covered"] == 0

    def test_20_000_by_20_000_is_refused_without_being_read(self, projects: Projects, tmp_path: Path) -> None:
        path, length = tmp_path / "huge.dcm", 20_000 * 20_000
        small = patient(native(Kind(), Kind().some(1, 4, 4), "1.2.840.10008.1.2.1"), Rows=20_000, Columns=20_000)
        at = small.rindex(b"\xe0\x7f\x10\x00") + 8
        path.write_bytes(small[:at] + length.to_bytes(4, "little"))
        os.truncate(path, at + 4 + length)
        with path.open("rb") as file, pytest.raises(CannotClean, match="larger than"):
            projects["auto"].clean(file)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        keyword=st.sampled_from(
            "Rows Columns BitsAllocated BitsStored HighBit SamplesPerPixel PixelRepresentation PlanarConfiguration "
            "NumberOfFrames".split()
        ),
        value=st.integers(0, 70),
    )
    def test_contradictions_are_refused_or_done(self, clean: Clean, keyword: str, value: int) -> None:
        try:
            done = clean(claiming(**{keyword: value}))
        except CannotClean as refusal:
            assert str(refusal)
        else:
            assert done.receipt["pixels"]["frames"] >= 1


class TestReviewed:
    def test_boxes_are_covered_and_the_rest_still_looked_at(self, clean: Clean) -> None:
        picture, boxes = words()
        drawn = Reviewed(everywhere=(Box(500, 300, 600, 350),))
        picture[300:350, 500:600] = np.arange(100)
        done = clean(screen(picture), "auto", drawn)
        (frame,) = done.frames
        assert is_gone(frame, Box(500, 300, 600, 350), most=0) and all(is_gone(frame, box) for box in boxes)
        assert done.pixels["reviewed"] == drawn.as_document()
        with pytest.raises(NotProven):
            clean(screen(picture), "regions", drawn)

    def test_through_the_worker_from_refusal_to_publication(self, tmp_path: Path) -> None:
        archive = Archive(tmp_path / "data")
        config = Config(projects=(ProjectConfig("default", pixel_policy=PixelPolicy.REGIONS),))
        worker = Worker(archive, projects_of(config, archive.files), "worker-1")
        picture, boxes = words([*WORDS, TECHNICAL])
        path = archive.files.incoming() / "one.dcm"
        path.write_bytes(screen(np.stack([picture] * 2)))
        archive.accept(path, "1.2.3", Origin("US01"), ["default"])
        assert worker.step()
        (job,) = archive.jobs.find()
        assert job.state == State.QUARANTINED and "no rule for the device" in job.reason
        details = archive.reviews.details(job.id)
        assert (details["frames"], details["rows"], details["columns"]) == (2, 400, 640)
        assert len(details["boxes"]) >= len(WORDS) and all(one[0] is None for one in details["boxes"])

        somewhere = {"frame": 1, "box": [10, 200, 60, 220]}
        decision = {"boxes": [{"frame": None, "box": list(box)} for box in boxes[:-1]] + [somewhere]}
        archive.review(job.id, decision | {"accepts_rest": True}, Actor("admin"), {})
        assert worker.step()
        (entry,) = archive.index.find(Query(Level.INSTANCE))
        first, second = frames_of(archive.files.path("clean", entry.file).read_bytes())
        for frame in (first, second):
            assert all(is_gone(frame, box, most=0) for box in boxes[:-1])
            assert np.array_equal(frame[300:], picture[300:]), "what he accepts stays"
        receipt = archive.index.receipt(entry.sop_uid)
        assert receipt["reviewed"] == {"boxes": 4, "accepts_rest": True}
        assert {one["why"] for one in receipt["pixels"]["boxes"]} == {"reviewer"}
        archive.close()
