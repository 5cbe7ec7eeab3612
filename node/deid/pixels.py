"""Tells whether an object may carry text that identifies somebody outside its header, in pixels, pages or film.

Until such text can be found and removed, what may carry it is refused: the header's word that there is none is trusted
only where the kind of object makes it likely.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import UID

# Storage SOP Classes whose images are made of, or routinely carry, screen text (PS3.4 B.5).
_CAPTURE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.3": "Ultrasound Multi-frame (retired)",
    "1.2.840.10008.5.1.4.1.1.3.1": "Ultrasound Multi-frame",
    "1.2.840.10008.5.1.4.1.1.6": "Ultrasound (retired)",
    "1.2.840.10008.5.1.4.1.1.6.1": "Ultrasound",
    "1.2.840.10008.5.1.4.1.1.6.2": "Enhanced US Volume",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.1": "Multi-frame Single Bit Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.2": "Multi-frame Grayscale Byte Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.3": "Multi-frame Grayscale Word Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.77.1": "Visible Light (draft)",
    "1.2.840.10008.5.1.4.1.1.77.1.1": "VL Endoscopic",
    "1.2.840.10008.5.1.4.1.1.77.1.4": "VL Photographic",
}
_CAPTURE_MODALITIES = frozenset({"US", "SC", "XC", "ES", "OT", "IVUS", "BDUS", "EPS", "HC", "DOC", "SMR", "GM"})
_DOCUMENT_PREFIX = "1.2.840.10008.5.1.4.1.1.104."
_REPORT_PREFIX = "1.2.840.10008.5.1.4.1.1.88."
_SCREEN_WORDS = frozenset({"SCREEN SAVE", "SCREENSHOT", "LABEL", "OVERVIEW", "SECONDARY_CAPTURE"})


def may_carry_text(header: Dataset, transfer_syntax: str) -> str | None:
    """Why the object may carry identifying text beside its header, or None where nothing says so."""
    sop_class = str(header.get("SOPClassUID", ""))
    if sop_class.startswith(_DOCUMENT_PREFIX) or 0x00420011 in header:
        return "an encapsulated document: its pages cannot be cleaned yet"
    if sop_class.startswith(_REPORT_PREFIX):
        return "a structured report: its text cannot be cleaned yet"
    if _is_video(sop_class, transfer_syntax):
        return "video: its frames cannot be cleaned yet"
    if any(tag.group & 0xFF00 == 0x6000 for tag in header.keys()):  # noqa: SIM118 - iterating a Dataset decodes it
        return "it has overlays (60xx), which may hold text"
    annotation = _word(header, "BurnedInAnnotation")
    if annotation == "YES":
        return "Burned In Annotation (0028,0301) is YES"
    if annotation == "NO" or not _has_pixels(sop_class):
        return None
    if sop_class in _CAPTURE_CLASSES:
        return f"{_CAPTURE_CLASSES[sop_class]} images may carry burned-in text, and (0028,0301) is not NO"
    if _word(header, "Modality") in _CAPTURE_MODALITIES:
        return "images of this modality may carry burned-in text, and (0028,0301) is not NO"
    if _word(header, "ConversionType") or _SCREEN_WORDS & {str(word).upper() for word in _words(header, "ImageType")}:
        return "a capture of a screen, film or label may carry burned-in text, and (0028,0301) is not NO"
    return None


def _is_video(sop_class: str, transfer_syntax: str) -> bool:
    """Video by transfer syntax (MPEG-2, MPEG-4, HEVC: 1.2.840.10008.1.2.4.100 to .108) or by SOP Class."""
    number = transfer_syntax.removeprefix("1.2.840.10008.1.2.4.")
    return (number.split(".")[0].isdigit() and 100 <= int(number.split(".")[0]) <= 108) or sop_class in (
        "1.2.840.10008.5.1.4.1.1.77.1.1.1",
        "1.2.840.10008.5.1.4.1.1.77.1.2.1",
        "1.2.840.10008.5.1.4.1.1.77.1.4.1",
    )


def _has_pixels(sop_class: str) -> bool:
    """Whether the class is one of images; the modality of a plan, a waveform or a registration says nothing here."""
    name = UID(sop_class).name
    return "Image" in name or "Capture" in name or "Volume" in name or name == sop_class


def _word(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip().upper()


def _words(header: Dataset, keyword: str) -> list[str]:
    value = header.get(keyword) or []
    return [value] if isinstance(value, str) else list(value)
