"""Reads the Native DICOM Model (PS3.19 A.1, PS3.18 F) into the DICOM JSON model."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from lethe.storage.entries import DicomJson, first_text
from lethe.storage.errors import Refused

_DEEPEST = 64
_WHOLE = {"US", "SS", "UL", "SL", "UV", "SV"}
_REAL = {"FL", "FD"}
_NAME = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def read(text: bytes) -> DicomJson:
    """The attributes that the XML holds. Raises Refused."""
    parser = XMLParser(target=_Builder())  # noqa: S314 - the builder refuses what could expand
    try:
        parser.feed(text)
        root = parser.close()
        if _local(root) != "NativeDicomModel":
            raise Refused("the XML is not a NativeDicomModel")
        return _attributes(root, 0)
    except (ParseError, ValueError, LookupError):
        raise Refused("the XML cannot be read") from None


class _Builder(TreeBuilder):
    """A document type may declare entities; none is needed here."""

    def doctype(self, _name: str, _pubid: str | None, _system: str | None) -> None:
        raise Refused("XML with a document type is not read")


def _attributes(parent: Element, depth: int) -> DicomJson:
    if depth > _DEEPEST:
        raise Refused("its sequences are nested too deeply")
    found: DicomJson = {}
    private: list[tuple[str, str, Element]] = []
    for child in parent:
        if _local(child) == "DicomAttribute":
            tag, creator = child.attrib["tag"].upper(), child.attrib.get("privateCreator", "").strip()
            if creator and tag[4:6] == "00":
                private.append((tag, creator, child))
            else:
                found[tag] = _attribute(child, depth)
    blocks: dict[tuple[str, str], str] = {}
    for tag, creator, child in private:
        if (of := (tag[:4], creator)) not in blocks:
            blocks[of] = _block(found, *of)
        found[f"{tag[:4]}{blocks[of]}{tag[6:]}"] = _attribute(child, depth)
    return found


def _block(found: DicomJson, group: str, creator: str) -> str:
    """The block of that creator, which XML leaves out of the tag (PS3.19 A.1.6); a new one if it has none yet."""
    names = {number: first_text(found, f"{group}00{number:02X}") for number in range(0x10, 0x100)}
    blocks = [number for number, name in names.items() if name == creator] or [
        number for number in names if f"{group}00{number:02X}" not in found
    ]
    if not blocks:
        raise Refused("there are more private creators than a group can have")
    found[f"{group}00{blocks[0]:02X}"] = {"vr": "LO", "Value": [creator]}
    return f"{blocks[0]:02X}"


def _attribute(element: Element, depth: int) -> dict[str, Any]:
    vr = element.attrib["vr"]
    read: dict[str, Any] = {"vr": vr}
    for child in sorted(element, key=lambda one: int(one.attrib.get("number", "0"))):
        kind = _local(child)
        if kind == "BulkData":
            read["BulkDataURI"] = child.attrib.get("uri") or child.attrib.get("uuid") or ""
        elif kind == "InlineBinary":
            read["InlineBinary"] = "".join((child.text or "").split())
        elif kind == "Item":
            read.setdefault("Value", []).append(_attributes(child, depth + 1))
        elif kind == "PersonName":
            read.setdefault("Value", []).append(_name_of(child))
        elif kind == "Value":
            read.setdefault("Value", []).append(_value(vr, child.text or ""))
    return read


def _value(vr: str, text: str) -> Any:
    """A value as JSON has it; what is no number stays text, which is for whoever takes the object to judge."""
    try:
        return int(text) if vr in _WHOLE else float(text) if vr in _REAL else text
    except ValueError:
        return text


def _name_of(element: Element) -> dict[str, str]:
    groups = {}
    for group in element:
        parts = {_local(part): part.text or "" for part in group}
        groups[_local(group)] = "^".join(parts.get(name, "") for name in _NAME).rstrip("^")
    return {name: groups[name] for name in _GROUPS if groups.get(name)}


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
