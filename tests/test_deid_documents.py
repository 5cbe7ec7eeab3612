"""Encapsulated documents are made anew from their cleaned text, or refused; nothing else of them leaves."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pydicom
import pytest
from deid_objects import BASIC, EVERYTHING, KEY, MODIFIED_DATES, clean_bytes, cleaned, ct, raw_of
from document_files import CDA, CDA_CLASS, encapsulated, pdf
from programs import SHARED
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject

from lethe.node.deid.deidentify import Cleaned, deidentify
from lethe.node.deid.documents import refuse_documents
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.pages import MOST_PAGES, read_pages
from lethe.node.deid.paper import write_pdf
from lethe.node.deid.profile import Profile

PLANTED = ["featherstone", "antonia", "mrn7741", "vanderquist", "holger", "acc9920771", "example.org", "19580317"]
HL7 = "{urn:hl7-org:v3}"


def words(result: Cleaned) -> list[str]:
    return [page.text for page in read_pages(result.header.EncapsulatedDocument)]


def document(result: Cleaned) -> bytes:
    return bytes(result.header.EncapsulatedDocument[: result.header.EncapsulatedDocumentLength])


def nothing_is_left(result: Cleaned, *more: str) -> None:
    written = b"".join(result.chunks()).lower()
    for planted in [*PLANTED, *more]:
        assert planted.encode() not in written
        assert planted.encode("utf-16-be") not in written


REPORT = [
    "Saint Corbinian Infirmary",
    "Patient:",
    "Antonia Featherstone, born 17.03.1958",
    "MRN 7741, accession ACC9920771",
    "Compared with 03.05.2012.",
    "FINDINGS: 5 mm nodule in the right upper lobe, stable. No pleural effu-",
    "sion. Discussed with Dr.",
    "Jonathan Baker, who saw the patient. Feather-",
    "stone has no pain. F E A T H E R S T O N E",
    "IMPRESSION: stable nodule.",
]


@pytest.mark.parametrize("profile", [BASIC, MODIFIED_DATES, EVERYTHING], ids=["basic", "modified dates", "options"])
def test_a_pdf_keeps_its_words_and_loses_who_it_is_about(profile: Profile) -> None:
    result = cleaned(encapsulated(pdf(REPORT, ["Spleen normal."], pictures=2, drawing=True)), profile)
    first, second = words(result)
    for kept in ("FINDINGS: 5 mm nodule in the right upper lobe, stable.", "No pleural effusion", "IMPRESSION"):
        assert kept in first
    assert second.strip() == "Spleen normal."
    nothing_is_left(result, "corbinian", "baker", "jonathan", "feather")
    assert ("Compared with 03.05.2012" in first) is False
    assert bool(re.search(r"Compared with \d\d\.\d\d\.\d{4}", first)) == (profile is not BASIC)


def test_the_header_says_what_the_document_is_now() -> None:
    ds = encapsulated(pdf(REPORT), MIMETypeOfEncapsulatedDocument="text/Featherstone", ListOfMIMETypes="image/png")
    header = pydicom.dcmread(BytesIO(clean_bytes(ds, EVERYTHING)))
    assert header.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert header.BurnedInAnnotation == "NO"
    assert header.VerificationFlag == "UNVERIFIED"
    assert header.DocumentTitle == "CT report of"
    assert "ListOfMIMETypes" not in header
    assert len(header.EncapsulatedDocument) - header.EncapsulatedDocumentLength in (0, 1)
    assert PdfReader(BytesIO(header.EncapsulatedDocument[: header.EncapsulatedDocumentLength])).pages


def test_a_new_pdf_has_text_and_nothing_else() -> None:
    result = cleaned(encapsulated(pdf(REPORT, pictures=1)))
    reader = PdfReader(BytesIO(document(result)))
    assert set((reader.metadata or {}).values()) <= {"", "/False", "D:20000101000000+00'00'"}
    assert set(reader.trailer["/Root"]) == {"/PageMode", "/Pages", "/Type"}
    for page in reader.pages:
        assert "/Annots" not in page and not page.images
    assert reader.xmp_metadata is None and not reader.attachments and not reader.outline and not reader.get_fields()


def test_what_is_left_out_is_named_on_its_page_and_counted() -> None:
    result = cleaned(encapsulated(pdf(["Liver normal."], [], ["Spleen normal."], pictures=3, drawing=True)))
    notes = ["[3 pictures removed]", "[drawing removed]", "[annotation removed]"]
    assert words(result)[0].splitlines() == ["Liver normal.", *notes]
    assert [text.strip() for text in words(result)[1:]] == ["", "Spleen normal."]
    assert result.receipt["document"] == {
        "pages": 3,
        "pictures_removed": 3,
        "drawings_removed": 1,
        "annotations_removed": 1,
        "pages_removed": 0,
        "characters_not_drawn": 0,
    }


def test_a_page_without_text_among_others_is_replaced_by_a_note() -> None:
    writer = PdfWriter()
    for data in (pdf(["Liver normal."]), pdf([], pictures=1)):
        writer.append(BytesIO(data))
    buffer = BytesIO()
    writer.write(buffer)
    result = cleaned(encapsulated(buffer.getvalue()))
    assert [text.splitlines()[0] for text in words(result)] == ["Liver normal.", "[page without text removed]"]
    assert result.receipt["document"]["pages_removed"] == 1


def test_greek_and_cyrillic_stay_and_what_no_font_has_is_counted() -> None:
    """Words no vocabulary knows are cut, so what can be seen of a script are its signs."""
    text = "Δ 5 mm; µ < 3 Ω; Ж 7 — № 3; \u4e00"
    original = write_pdf([[text.replace("\u4e00", "")]])
    result = cleaned(encapsulated(original))
    assert "Δ 5 mm; µ < 3 Ω; Ж 7" in words(result)[0]
    from lethe.node.deid.paper import NOT_DRAWN, drawable

    assert drawable("A\u4e00 Ω") == (f"A{NOT_DRAWN} Ω", 1)


@pytest.mark.parametrize("name", ["Щербаков^Родион", "Παπαδόπουλος^Νίκος", "Müller^Jürgen"])
def test_names_in_any_alphabet_are_cut(name: str) -> None:
    family, given = name.split("^")
    original = write_pdf([[f"{given} {family.upper()}: nodule, stable"]])
    assert family.upper() in read_pages(original)[0].text
    result = cleaned(encapsulated(original, PatientName=name), EVERYTHING)
    assert "nodule, stable" in words(result)[0]
    assert family.casefold() not in words(result)[0].casefold()


def test_the_same_document_gives_the_same_bytes() -> None:
    for pages in ([REPORT, ["Spleen"]], [["Ω Ж"]]):
        assert clean_bytes(encapsulated(write_pdf(pages))) == clean_bytes(encapsulated(write_pdf(pages)))


def test_a_pdf_whose_table_of_objects_is_lost_is_read_by_its_objects() -> None:
    whole = pdf(["Liver normal."])
    result = cleaned(encapsulated(whole[: whole.rindex(b"startxref")] + b"%%EOF"))
    assert words(result)[0].splitlines()[0] == "Liver normal."


def test_text_that_is_only_drawn_or_filled_in_does_not_come_through() -> None:
    data = pdf(["Liver normal."])
    assert b"Antonia Featherstone" in data
    nothing_is_left(cleaned(encapsulated(data)))


def unreadable_font(kind: str) -> bytes:
    """A PDF whose font does not say what its glyphs mean."""
    writer = PdfWriter()
    writer.append(BytesIO(pdf(["Ihdwkhuvwrqh dqwrqld"])))
    font = writer.pages[0]["/Resources"]["/Font"]["/F1"].get_object()
    font[NameObject("/Subtype")] = NameObject(kind)
    font[NameObject("/Encoding")] = NameObject("/Identity-H")
    buffer = BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_text_in_a_font_that_does_not_say_what_it_shows_is_not_taken_for_text() -> None:
    with pytest.raises(CannotClean, match="no text that can be read"):
        cleaned(encapsulated(unreadable_font("/Type3")))


def encrypted() -> bytes:
    writer = PdfWriter()
    writer.append(BytesIO(pdf(["Liver normal."])))
    writer.encrypt("", "owner", algorithm="RC4-128")
    buffer = BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (encrypted(), "encrypted"),
        (pdf([], pictures=1), "pages are pictures or empty"),
        (pdf([]), "pages are pictures or empty"),
        (b"GIF89a" + bytes(20), "no PDF"),
        (b"%PDF-1.7\n" + bytes(64), "cannot be read"),
        (pdf(*[[] for _ in range(MOST_PAGES + 1)]), f"more than {MOST_PAGES} pages"),
        (pdf(REPORT)[:900], "cannot be read|pages are pictures or empty"),
    ],
    ids=["encrypted", "scan", "empty", "no PDF", "broken", "pages", "cut short"],
)
def test_what_cannot_be_read_for_certain_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(CannotClean, match=said):
        cleaned(encapsulated(data))


def test_a_page_that_holds_more_than_a_page_can_is_refused() -> None:
    with pytest.raises(CannotClean, match="more text than a page can hold"):
        write_pdf([["liver"] * 2000])


def test_a_project_may_refuse_all_documents() -> None:
    with pytest.raises(CannotClean, match='documents = "refuse"'):
        deidentify(BytesIO(raw_of(encapsulated(pdf(REPORT)))), BASIC, KEY, document_rule=refuse_documents)


@pytest.mark.parametrize("number", ["104.3", "104.4", "104.5"])
def test_models_are_refused(number: str) -> None:
    with pytest.raises(CannotClean, match="model of the patient's anatomy"):
        cleaned(encapsulated(b"solid Featherstone", f"1.2.840.10008.5.1.4.1.1.{number}"))


def test_a_document_where_none_belongs_or_none_where_one_does() -> None:
    with pytest.raises(CannotClean, match="does not provide for"):
        cleaned(ct(EncapsulatedDocument=pdf(REPORT)))
    ds = encapsulated(pdf(REPORT))
    del ds.EncapsulatedDocument
    with pytest.raises(CannotClean, match="encapsulates no document"):
        cleaned(ds)
    with pytest.raises(CannotClean, match="empty"):
        cleaned(encapsulated(b""))


@pytest.mark.shared
def test_the_shared_pdf() -> None:
    result = cleaned(Path(SHARED / "data" / "generated" / "encapsulated_pdf_phi.dcm"), EVERYTHING)
    assert "Findings: none." in words(result)[0]
    assert not re.search("(?i)paula|paper|1958|GEN0002", words(result)[0])


def cda(text: str = CDA, **attributes: object) -> pydicom.FileDataset:
    values = {"MIMETypeOfEncapsulatedDocument": "text/XML", "HL7InstanceIdentifier": "1.2.3^REP-5512", **attributes}
    return encapsulated(text.encode(), CDA_CLASS, **values)


def tree(result: Cleaned) -> ElementTree.Element:
    return ElementTree.fromstring(document(result))


def test_a_cda_keeps_its_sections() -> None:
    result = cleaned(cda(), EVERYTHING)
    section = tree(result).find(f"{HL7}component/{HL7}structuredBody/{HL7}component/{HL7}section")
    assert section is not None
    assert section.find(f"{HL7}code").attrib == {  # type: ignore[union-attr]
        "code": "59776-5",
        "codeSystem": "2.16.840.1.113883.6.1",
        "displayName": "Findings",
    }
    text = "\n".join(section.itertext())
    for kept in ("in the right upper lobe is stable", "No pleural effusion", "5 mm nodule", "Liver: normal", "Spleen"):
        assert kept in text
    assert section.find(f"{HL7}component/{HL7}section/{HL7}title").text == "Impression"  # type: ignore[union-attr]
    assert section.find(f".//{HL7}td[@colspan='2']").text == "Spleen"  # type: ignore[union-attr]
    assert result.receipt["document"]["sections"] == 2
    assert result.receipt["document"]["pictures_removed"] == 1


@pytest.mark.parametrize("profile", [BASIC, MODIFIED_DATES, EVERYTHING], ids=["basic", "modified dates", "options"])
def test_nothing_of_the_patient_is_left_in_a_cda(profile: Profile) -> None:
    left = "zenobia corbinian infirmary baker px-660142 rep-5512 doc-4471 larkspur quillborough 010-7788 9999 pacs. xsl"
    result = cleaned(cda(), profile)
    nothing_is_left(result, *left.split(), "1.2.276.0.76", "entry", "urn:x")


def test_who_a_cda_must_name_is_masked() -> None:
    root = tree(cleaned(cda()))
    order = [child.tag.removeprefix(HL7) for child in root]
    assert order == [
        *("typeId", "templateId", "id", "code", "title", "effectiveTime", "confidentialityCode", "languageCode"),
        *("recordTarget", "author", "custodian", "component"),
    ]
    organization = "custodian/assignedCustodian/representedCustodianOrganization"
    for path in ("recordTarget/patientRole", "author/assignedAuthor", organization):
        element = root.find("/".join(HL7 + name for name in path.split("/")))
        assert element is not None
        assert [child.attrib for child in element] == [{"nullFlavor": "MSK"}]


def test_identifiers_and_dates_of_a_cda_follow_the_header() -> None:
    result = cleaned(cda(), MODIFIED_DATES)
    root = tree(result)
    instance = root.find(f"{HL7}id").get("root")  # type: ignore[union-attr]
    assert result.header.HL7InstanceIdentifier == instance == KEY.uid("1.2.826.0.1.3680043.2.1.99^REP-5512")
    assert root.find(f"{HL7}effectiveTime").get("value")[:8] == result.header.StudyDate  # type: ignore[union-attr,index]
    assert tree(cleaned(cda())).find(f"{HL7}effectiveTime").attrib == {"nullFlavor": "MSK"}  # type: ignore[union-attr]
    assert result.header.MIMETypeOfEncapsulatedDocument == "text/XML"


def test_who_is_named_in_a_cda_is_looked_for_in_the_header_as_well() -> None:
    header = cleaned(cda(DocumentTitle="CT chest, Zenobia"), EVERYTHING).header
    assert header.DocumentTitle == "CT chest"


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
FOREIGN = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CDA.replace("?>\n", f"?>\n{BOMB}", 1), "declares entities"),
        (CDA.replace("?>\n", f"?>\n{FOREIGN}", 1), "declares entities"),
        (CDA[:-30], "not well-formed"),
        ("<html/>", "no CDA document"),
        (re.sub(r"<structuredBody>.*</structuredBody>", "<nonXMLBody><text>UERG</text></nonXMLBody>", CDA, flags=re.S),
         "not XML"),
        (re.sub(r"<structuredBody>.*</structuredBody>", "", CDA, flags=re.S), "no structured body"),
        (re.sub(r"<structuredBody>.*</structuredBody>", "<structuredBody/>", CDA, flags=re.S), "no section"),
        (CDA.replace("The nodule", "nodule " * 200_000), "more than"),
        (CDA.replace("<title>Findings</title>", "<a>" * 200 + "</a>" * 200), "nested too deeply"),
        (CDA.replace("<title>Findings</title>", "<a>" * 100_000 + "</a>" * 100_000), "nested too deeply|not well"),
    ],
    ids=["bomb", "foreign", "cut", "html", "not xml", "no body", "no section", "long", "deep", "very deep"],
)  # fmt: skip
def test_a_cda_that_cannot_be_cleaned_is_refused(text: str, said: str) -> None:
    with pytest.raises(CannotClean, match=said) as refusal:
        cleaned(cda(text))
    assert not re.search("(?i)featherstone|zenobia|passwd", str(refusal.value))


def test_a_cell_is_cleaned_by_its_row_and_by_what_heads_its_column() -> None:
    table = (
        "<table><thead><tr><th>Finding</th><th>Radiologist</th><th>Date</th></tr></thead><tbody>"
        "<tr><td>nodule, stable</td><td>Baker</td><td>03.05.2012</td></tr>"
        "<tr><td>Radiologist</td><td>Baker</td><td/></tr>"
        "<tr><td>Baker cyst</td><td/><td>12</td></tr></tbody></table>"
    )
    root = tree(cleaned(cda(CDA.replace("The nodule", table)), MODIFIED_DATES))
    rows = [[cell.text or "" for cell in row] for row in root.iter(f"{HL7}tr")][1:4]
    date = rows[0].pop()
    assert rows == [["nodule, stable", ""], ["Radiologist", "", ""], ["Baker cyst", "", "12"]]
    assert re.fullmatch(r"\d\d\.\d\d\.\d{4}", date) and date != "03.05.2012"


def test_a_cda_is_the_same_each_time() -> None:
    assert clean_bytes(cda(), EVERYTHING) == clean_bytes(cda(), EVERYTHING)
