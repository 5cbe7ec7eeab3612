"""Before and after, element by element: what became of each, by which rule, and what cannot be told is not told."""

from __future__ import annotations

import hashlib
import re
from io import BytesIO
from typing import Any

import pydicom
import pytest
from builders import PHI, bundled, ct
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from lethe.node.burned.devices import DeviceRules
from lethe.node.burned.engine import FrameCleaner
from lethe.node.choices import Fill, PixelPolicy
from lethe.node.comparison import Comparison, Row, element_name
from lethe.node.deid.deidentify import deidentify, pass_pixels, pass_through
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.frames import FrameRule, leave_frames
from lethe.node.deid.part10 import MOST_KEPT, read_part10
from lethe.node.deid.profile import APPLIED, Option, Profile
from lethe.node.deid.pseudonyms import Pseudonyms
from lethe.node.reasons import Became
from lethe.node.samples import samples

OPTIONS = (Option.CLEAN_DESCRIPTORS, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES)


def rich() -> pydicom.FileDataset:
    """A CT with something for every fate."""
    ds = ct(StudyDescription="Thorax of FEATHERSTONE", PatientSex="F", SliceThickness="2.5")
    item = Dataset()
    item.PatientID, item.PatientName = PHI["PatientID"], PHI["PatientName"]
    ds.OriginalAttributesSequence = [item]
    inner = Dataset()
    inner.ReferencedSOPClassUID, inner.ReferencedSOPInstanceUID = ds.SOPClassUID, "1.2.3.4.5"
    ds.SourceImageSequence = [inner, inner]
    ds.ReferencedSeriesSequence = []  # an object that lists what it refers to keeps its references
    ds.private_block(0x0071, "KUMQUATSON", create=True).add_new(0x01, "OB", bytes(range(50)))
    return ds


def compared(
    ds: pydicom.FileDataset,
    *,
    original: bool = True,
    options: tuple[Option, ...] = OPTIONS,
    frame_rule: FrameRule = leave_frames,
) -> Comparison:
    """The comparison of an object with what the engine makes of it."""
    file = BytesIO()
    ds.save_as(file)
    return compared_bytes(file.getvalue(), original=original, options=options, frame_rule=frame_rule)


def compared_bytes(
    data: bytes,
    *,
    original: bool = True,
    options: tuple[Option, ...] = OPTIONS,
    frame_rule: FrameRule = leave_frames,
) -> Comparison:
    """The same for a file, its original header read as it would be kept."""
    file = BytesIO(data)
    cleaned = deidentify(file, Profile(options), Pseudonyms(b"k" * 32), pass_pixels, frame_rule=frame_rule)
    result = BytesIO(b"".join(cleaned.chunks()))
    before = cleaned.before()
    assert before is not None
    implicit, little = cleaned.source.header.original_encoding
    kept = read_dataset(BytesIO(before), bool(implicit), bool(little)) if original else None
    return Comparison(cleaned.receipt, read_part10(result).header, kept)


def by_place(comparison: Comparison) -> dict[str, Row]:
    return {row.place: row for row in comparison.rows()}


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return by_place(compared(rich()))


@pytest.mark.parametrize(
    ("place", "became", "before", "after", "rule", "reason"),
    [
        ("(0008,0080)", "removed", PHI["InstitutionName"], None, "Basic Profile (113100): X/Z/D", "type"),
        ("(0008,0090)", "emptied", PHI["ReferringPhysicianName"], "", "Basic Profile (113100): Z", "empty it"),
        ("(0010,0040)", "emptied", "F", "", "Basic Profile (113100): Z", "empty it"),
        ("(0010,0020)", "replaced", None, None, "Basic Profile (113100): Z/D", "a pseudonym"),
        ("(0008,0020)", "replaced", None, None, "retain-longitudinal-modified-dates (113107): C", "move dates"),
        ("(0008,0060)", "kept", "CT", "CT", "outside Table E.1-1", "standard attribute"),
        ("(0008,1030)", "replaced", "Thorax of FEATHERSTONE", "Thorax of", "clean-descriptors (113105): C", "clean"),
        ("(0008,0030)", "kept", None, None, "retain-longitudinal-modified-dates (113107): C", "nothing had to go"),
        ("(0018,0050)", "kept", "2.5", "2.5", "outside Table E.1-1", "standard"),
        ("(0012,0062)", "added", None, "YES", "PS3.15 E.1.1", "de-identified|done"),
        ("(0012,0064)[1]>(0008,0100)", "added", None, "113100", "PS3.15 E.1.1", "done"),
        ("(0071,0010)", "removed", "KUMQUATSON", None, "Basic Profile (113100)", "private"),
        ("(0400,0561)", "removed", "1 item", None, "Basic Profile (113100): X", "remove it"),
        (
            "(0400,0561)[1]>(0010,0020)",
            "removed",
            PHI["PatientID"],
            None,
            "Basic Profile (113100): X",
            r"went with the sequence \(0400,0561\)",
        ),
        ("(0008,2112)", "kept", "2 items", "2 items", "Basic Profile (113100): X/Z/U*", "items was treated"),
    ],
)
def test_each_fate(
    rows: dict[str, Row], place: str, became: str, before: str | None, after: str | None, rule: str, reason: str
) -> None:
    row = rows[place]
    assert (row.became, row.rule) == (became, rule)
    if before is not None or became == "added":
        assert (row.before, row.after) == (before, after)
    assert re.search(reason, row.reason), row.reason


def test_items_are_matched_by_position(rows: dict[str, Row]) -> None:
    for number in (1, 2):
        row = rows[f"(0008,2112)[{number}]>(0008,1155)"]
        assert (row.became, row.before) == (Became.REPLACED, "1.2.3.4.5")
        assert row.after is not None and row.after.startswith("2.25.")
    assert rows["(0008,2112)[1]>(0008,1155)"].after == rows["(0008,2112)[2]>(0008,1155)"].after


def test_bytes_are_told_by_length_and_digest(rows: dict[str, Row]) -> None:
    row = rows["(0071,1001)"]
    assert row.before == f"50 bytes, SHA-256 {hashlib.sha256(bytes(range(50))).hexdigest()[:16]}…"
    assert (row.vr, row.name) == ("OB", "private or unknown element")


def test_rows_come_in_the_order_of_the_file_a_sequence_before_what_is_in_it(rows: dict[str, Row]) -> None:
    places = list(rows)
    assert places.index("(0008,2112)") < places.index("(0008,2112)[1]>(0008,1150)") < places.index("(0010,0010)")
    tops = [place for place in places if ">" not in place]
    assert tops == sorted(tops)


def test_every_element_of_both_headers_has_its_row(rows: dict[str, Row]) -> None:
    ds = rich()
    expected = {f"({tag.group:04X},{tag.element:04X})" for tag in ds.keys() if tag < 0x7FE00000}  # noqa: SIM118
    assert expected <= rows.keys()
    assert [place for place, row in rows.items() if row.before is None and row.after is None] == []
    assert [place for place, row in rows.items() if not row.rule or not row.reason] == []


def test_what_became_of_an_element_agrees_with_its_values(rows: dict[str, Row]) -> None:
    for row in rows.values():
        if row.became == Became.REMOVED:
            assert row.after is None, row.place
        elif row.became == Became.ADDED:
            assert row.before is None, row.place
        elif row.became == Became.KEPT:
            assert row.before == row.after, row.place
        elif row.became == Became.EMPTIED:
            assert row.after in ("", "0 items"), row.place
        elif row.vr != "SQ":
            assert row.before != row.after, row.place


def test_without_the_original_nothing_of_it_is_told() -> None:
    comparison = compared(rich(), original=False)
    found = by_place(comparison)
    assert {row.before for row in found.values()} == {None}
    text = repr(list(found.values()))
    for value in [*PHI.values(), "KUMQUATSON", "1.2.3.4.5"]:
        assert value not in text
    assert found["(0008,0080)"].became == Became.REMOVED and found["(0008,0080)"].after is None
    assert found["(0012,0062)"].became == Became.ADDED
    assert found["(0008,0060)"].became == Became.KEPT
    assert found["(0010,0020)"].became == Became.REPLACED
    assert "(0400,0561)[1]>(0010,0020)" not in found


def test_portions_and_counts() -> None:
    comparison = compared(rich())
    everything = comparison.rows()
    assert comparison.count() == len(everything) == sum(comparison.count((fate,)) for fate in Became)
    changed = (Became.REMOVED, Became.REPLACED)
    wanted = [row for row in everything if row.became in changed]
    portions = [row for start in range(0, len(wanted), 7) for row in comparison.rows(changed, offset=start, limit=7)]
    assert portions == wanted and not comparison.is_cut_short


def test_the_number_of_elements_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lethe.node.comparison.MOST_ELEMENTS", 20)
    comparison = compared(rich())
    assert comparison.is_cut_short


def test_long_values_are_cut_and_still_compared_whole() -> None:
    before, after = Dataset(), Dataset()
    before.ImageComments, after.ImageComments = "a" * 300 + "b", "a" * 300 + "c"
    row = by_place(Comparison({}, after, before))["(0020,4000)"]
    assert row.became == Became.REPLACED
    assert row.before == row.after == "a" * 200 + "…"


def test_many_numbers_and_persons() -> None:
    ds = Dataset()
    ds.ImagePositionPatient = [1.5, -2, 3]
    ds.OperatorsName = ["A^B", "C^D"]
    ds.Rows, ds.PatientID = 512, None
    found = by_place(Comparison({"profile": "none"}, ds, ds))
    assert found["(0020,0032)"].after == "1.5\\-2.0\\3.0"
    assert found["(0008,1070)"].after == "A^B\\C^D"
    assert (found["(0028,0010)"].after, found["(0010,0020)"].after) == ("512", "")


def test_values_in_another_script_are_read() -> None:
    ds = ct(SpecificCharacterSet="ISO_IR 192", PatientName="Мюллер^Ольга")
    assert by_place(compared(ds))["(0010,0010)"].before == "Мюллер^Ольга"


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "MR_small_implicit.dcm", "rtplan.dcm", "deflated"])
def test_every_encoding_is_read(name: str) -> None:
    ds = bundled(name) if name.endswith("dcm") else ct()
    ds.PatientName = PHI["PatientName"]
    if name == "deflated":
        ds.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    found = by_place(compared(ds))
    assert found["(0010,0010)"].before == PHI["PatientName"]
    assert [place for place, row in found.items() if "cannot be shown" in (row.before, row.after)] == []


def test_what_cannot_be_read_is_said_to_be_so() -> None:
    broken = read_dataset(
        BytesIO(b"\x28\x00\x10\x00US\x03\x00abc\x08\x00\x40\x11SQ\x00\x00\x04\x00\x00\x00abcd"), False, True
    )
    found = by_place(Comparison({}, Dataset(), broken))
    assert found["(0028,0010)"].before == "cannot be shown"
    assert found["(0028,0010)"].became == Became.REMOVED


def test_group_lengths_go() -> None:
    before = Dataset()
    before[0x00080000] = DataElement(0x00080000, "UL", 10)
    row = by_place(Comparison({}, Dataset(), before))["(0008,0000)"]
    assert (row.became, row.rule) == (Became.REMOVED, "PS3.5 7.2")


def test_an_object_that_was_de_identified_before() -> None:
    row = by_place(compared(ct(PatientIdentityRemoved="YES", DeidentificationMethod="by hand")))
    assert (row["(0012,0062)"].became, row["(0012,0062)"].rule) == (Became.KEPT, "PS3.15 E.1.1")
    assert (row["(0012,0063)"].became, row["(0012,0063)"].before) == (Became.REPLACED, "by hand")


@pytest.mark.parametrize("original", [True, False])
@pytest.mark.parametrize("flag", ["YES", "NO", None])
def test_what_the_frames_were_found_to_be_is_a_mark(flag: str | None, original: bool) -> None:
    look = FrameCleaner(PixelPolicy.PHI, Fill.BACKGROUND, ("rapidocr",), DeviceRules())
    ds = ct() if flag is None else ct(BurnedInAnnotation=flag)
    row = by_place(compared(ds, original=original, frame_rule=look))["(0028,0301)"]
    became = Became.KEPT if original and flag == "NO" else Became.REPLACED if original and flag else Became.ADDED
    assert (row.became, row.after, row.rule) == (became, "NO", "PS3.15 E.3.1") and row.reason


@pytest.mark.parametrize("options", [OPTIONS, tuple(set(APPLIED) - {Option.RETAIN_LONGITUDINAL_FULL_DATES})])
def test_receipt_and_headers_agree_for_every_sample(options: tuple[Option, ...]) -> None:
    looked_at = 0
    for sample in samples():
        try:
            rows = compared_bytes(sample.path.read_bytes(), options=options).rows()
        except CannotClean:
            continue
        looked_at += 1
        for row in rows:
            agrees = {
                Became.REMOVED: row.after is None,
                Became.EMPTIED: row.after in ("", "0 items"),
                Became.REPLACED: row.before != row.after or row.vr == "SQ",
                Became.KEPT: row.before == row.after,
                Became.ADDED: row.before is None and row.rule == "PS3.15 E.1.1",
            }
            assert agrees[row.became] and row.rule and row.reason, (sample.path.name, row.place)
    assert looked_at > 40


def test_an_object_that_passed_through_is_all_kept() -> None:
    file = BytesIO()
    rich().save_as(file)
    file.seek(0)
    cleaned = pass_through(file)
    assert cleaned.before() is None
    comparison = Comparison(cleaned.receipt, cleaned.header, cleaned.header)
    assert comparison.count((Became.KEPT,)) == comparison.count()
    assert {row.reason for row in comparison.rows()} == {"passed through unchanged"}


def test_rules_of_another_edition_are_not_guessed_at() -> None:
    ds = Dataset()
    ds.Modality = "CT"
    receipt: dict[str, Any] = {
        "profile": "basic",
        "profile_digest": "another",
        "options": [],
        "codes": ["113100"],
        "elements": {"removed": [["(0010,0020)", "basic"]]},
    }
    found = by_place(Comparison(receipt, ds))
    assert (found["(0008,0060)"].rule, found["(0008,0060)"].reason) == ("", "")
    assert found["(0010,0020)"].rule == "Basic Profile (113100)"


def test_a_header_beyond_reason_is_not_kept() -> None:
    ds = ct(ExtendedCodeMeaning="x")
    ds.add_new(0x00081190, "UT", "a " * (MOST_KEPT // 2))
    file = BytesIO()
    ds.save_as(file)
    file.seek(0)
    assert deidentify(file, Profile(OPTIONS), Pseudonyms(b"k" * 32)).before() is None


def test_names_of_elements() -> None:
    assert element_name("(0010,0020)") == "Patient ID"
    assert element_name("(0040,0275)[1]>(0040,0007)") == "Scheduled Procedure Step Description"
    assert element_name("(0009,1001)") == "private or unknown element"
