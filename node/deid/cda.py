"""Makes an encapsulated CDA document anew: an allow-list of HL7 CDA R2, whose header names nobody and whose sections
keep their codes, titles and text, cleaned.

Whoever a header must name (CDA R2 4.2.2) is masked (nullFlavor MSK). Everything else is left out: entries, pictures,
links, style sheets, foreign namespaces, attributes that are not on the list.
"""

from __future__ import annotations

import re
from collections import Counter
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml.ElementTree import fromstring

from .errors import CannotClean
from .narrative import HL7, Narrative, flat
from .pseudonyms import Pseudonyms, shifted
from .rewritten import Rewritten
from .terms import Kind, TermBank
from .text import Dates, TextCleaner

_MASKED = "MSK"
_PATIENT_NAME, _BIRTH_DATE, _ADDRESS, _INSTITUTION = 0x00100010, 0x00100030, 0x00101040, 0x00080080
_LARGEST, _DEEPEST, _MOST_ELEMENTS, _MOST_CHARACTERS = 16 << 20, 100, 200_000, 1_000_000
# Vocabularies and templates of HL7 (LOINC, SNOMED CT and others are registered there), DICOM and IHE; other
# roots may be a hospital's own.
_REGISTERED = re.compile(r"(?:2\.16\.840\.1\.113883\.(?:5|6|10|11)|1\.2\.840\.10008|1\.3\.6\.1\.4\.1\.19376)(?:\.\d+)*")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,31}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
_EDITION = re.compile(r"\d{4}-\d\d-\d\d")
# Elements in which somebody is named, in the header or a section.
_PARTICIPANTS = (
    "recordTarget dataEnterer author informant custodian informationRecipient legalAuthenticator authenticator "
    "participant performer documentationOf componentOf inFulfillmentOf authorization subject"
).split()


class Cda:
    """A CDA document. Raises CannotClean where it is none, is malformed, or has no sections."""

    def __init__(self, data: bytes) -> None:
        self._root = _parsed(data)
        self._body = self._root.find(f"{HL7}component/{HL7}structuredBody")
        if self._root.find(f"{HL7}component/{HL7}nonXMLBody") is not None:
            raise CannotClean("the CDA document has a body that is not XML (nonXMLBody)")
        if self._body is None:
            raise CannotClean("the CDA document has no structured body")

    def note_names(self, terms: TermBank) -> None:
        """Names, identifiers, contacts and birth dates of the participants."""
        for element in (below for name in _PARTICIPANTS for one in self._root.iter(HL7 + name) for below in one.iter()):
            kind = element.tag.removeprefix(HL7)
            for name in element.findall(f"{HL7}name"):
                is_person = kind.endswith("Person") or kind in ("patient", "subject")
                terms.add(_PATIENT_NAME if is_person else _INSTITUTION, "PN" if is_person else "LO", [flat(name)])
            if kind in ("streetAddressLine", "city"):
                terms.add(_ADDRESS, "LO", [flat(element)])
            elif kind == "id":
                terms.note(Kind.IDENTIFIER, element.get("extension", ""))
            elif kind == "telecom":
                terms.note(Kind.IDENTIFIER, element.get("value", "").rpartition(":")[2])
            elif kind == "birthTime":
                terms.add(_BIRTH_DATE, "DA", [element.get("value", "")[:8]])

    def rewritten(self, text: TextCleaner, pseudonyms: Pseudonyms) -> Rewritten:
        """The document of its allowed parts. Raises CannotClean where nothing would be left."""
        assert self._body is not None
        maker = _Maker(text, pseudonyms)
        root = maker.header(self._root)
        body = SubElement(SubElement(root, "component"), "structuredBody")
        maker.sections(self._body, body)
        if not len(body):
            raise CannotClean("the CDA document has no section")
        root.set("xmlns", HL7[1:-1])
        data = tostring(root, encoding="utf-8", xml_declaration=True)
        counts = {**maker.counts, "elements_left_out": sum(1 for _ in self._root.iter()) - sum(1 for _ in root.iter())}
        return Rewritten(data, "text/XML", counts, words_of, maker.instance)


def words_of(data: bytes) -> str:
    """The words of a document made here: texts, names of codes, times."""
    root = _parsed(data)
    named = (one.get(name, "") for one in root.iter() for name in ("displayName", "code", "value", "root"))
    return "\n".join([*root.itertext(), *named])


def _parsed(data: bytes) -> Element:
    if len(data) > _LARGEST:
        raise CannotClean(f"the CDA document is larger than {_LARGEST >> 20} MiB")
    try:
        root: Element = fromstring(data.rstrip(b"\0"), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except Exception as error:
        raise CannotClean(
            f"the CDA document is not well-formed XML, or declares entities ({type(error).__name__})"
        ) from None
    if root.tag != f"{HL7}ClinicalDocument":
        raise CannotClean("the document is no CDA document (ClinicalDocument of urn:hl7-org:v3)")
    _refuse_beyond_limits(root)
    if sum(len(text) for narrative in root.iter(f"{HL7}text") for text in narrative.itertext()) > _MOST_CHARACTERS:
        raise CannotClean(f"the CDA document has more than {_MOST_CHARACTERS} characters")
    return root


def _refuse_beyond_limits(root: Element) -> None:
    level, depth, count = [root], 0, 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > _DEEPEST or count > _MOST_ELEMENTS:
            raise CannotClean("the CDA document is nested too deeply or has too many elements")
        level = [child for one in level for child in one]


class _Maker:
    """Builds the new document. Names of elements stand without namespace, which is that of the root."""

    def __init__(self, text: TextCleaner, pseudonyms: Pseudonyms) -> None:
        self._text = text
        self._pseudonyms = pseudonyms
        self.counts: Counter[str] = Counter(sections=0, pictures_removed=0)
        self.instance = ""

    def header(self, old: Element) -> Element:
        """The header in the order of the schema."""
        new = Element("ClinicalDocument")
        SubElement(new, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
        self._templates(old, new)
        self._identifier(old.find(f"{HL7}id"), SubElement(new, "id"))
        self._code(old, new, needed=True)
        self._title(old, new)
        self._time(old, SubElement(new, "effectiveTime"))
        SubElement(new, "confidentialityCode", nullFlavor=_MASKED)
        language = old.find(f"{HL7}languageCode")
        if language is not None and _LANGUAGE.fullmatch(language.get("code", "")):
            SubElement(new, "languageCode", code=language.get("code", ""))
        for path in ("recordTarget/patientRole", "author/assignedAuthor",
                     "custodian/assignedCustodian/representedCustodianOrganization"):  # fmt: skip
            self._masked(new, path)
        return new

    def sections(self, old: Element, new: Element) -> None:
        """The sections below a body or a section, with those within them."""
        for component in old.findall(f"{HL7}component"):
            for section in component.findall(f"{HL7}section"):
                made = SubElement(SubElement(new, "component"), "section")
                self.counts["sections"] += 1
                self._templates(section, made)
                self._code(section, made, needed=False)
                self._title(section, made)
                narrative = section.find(f"{HL7}text")
                if narrative is not None:
                    self.counts["pictures_removed"] += sum(1 for _ in narrative.iter(f"{HL7}renderMultiMedia"))
                    Narrative(self._text).write(narrative, SubElement(made, "text"))
                self.sections(section, made)

    def _masked(self, new: Element, path: str) -> None:
        """Somebody whom the schema demands, with nothing but what it demands of him."""
        outer, *inner = path.split("/")
        element = SubElement(new, outer, nullFlavor=_MASKED)
        if outer == "author":
            SubElement(element, "time", nullFlavor=_MASKED)
        for name in inner:
            element = SubElement(element, name)
        SubElement(element, "id", nullFlavor=_MASKED)

    def _templates(self, old: Element, new: Element) -> None:
        for one in old.findall(f"{HL7}templateId"):
            root, edition = one.get("root", ""), one.get("extension", "")
            if _REGISTERED.fullmatch(root):
                SubElement(
                    new, "templateId", {"root": root, **({"extension": edition} if _EDITION.fullmatch(edition) else {})}
                )

    def _identifier(self, old: Element | None, new: Element) -> None:
        if old is None or not old.get("root"):
            new.set("nullFlavor", _MASKED)
            return
        self.instance = self._pseudonyms.uid("^".join(filter(None, (old.get("root"), old.get("extension")))))
        new.set("root", self.instance)

    def _code(self, old: Element, new: Element, *, needed: bool) -> None:
        """The code, if it is of a registered vocabulary, with its name, if that names nobody."""
        code = old.find(f"{HL7}code")
        value, system = ("", "") if code is None else (code.get("code", ""), code.get("codeSystem", ""))
        if (
            code is None
            or not _CODE.fullmatch(value)
            or not _REGISTERED.fullmatch(system)
            or self._text.terms.finds(value)
        ):
            if needed:
                SubElement(new, "code", nullFlavor=_MASKED)
            return
        name = self._text.check(code.get("displayName", ""))
        SubElement(new, "code", {"code": value, "codeSystem": system, **({"displayName": name} if name else {})})

    def _title(self, old: Element, new: Element) -> None:
        title = old.find(f"{HL7}title")
        cleaned = self._text.clean(flat(title)) if title is not None else ""
        if cleaned:
            SubElement(new, "title").text = cleaned

    def _time(self, old: Element, new: Element) -> None:
        """When the document was made, as the profile treats dates."""
        time = old.find(f"{HL7}effectiveTime")
        value = time.get("value", "") if time is not None else ""
        after = shifted(value, "DT", 0 if self._text.dates is Dates.KEEP else self._text.days)
        if after is None or self._text.dates is Dates.REMOVE:
            new.set("nullFlavor", _MASKED)
        else:
            new.set("value", after)
