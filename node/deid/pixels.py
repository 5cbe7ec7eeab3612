"""Tells whether an object may carry text that identifies somebody outside its header, in pixels, pages or film.

What frames show is looked for in the frames themselves (`node/burned`); what lies beside them is refused here. For one
who cannot look, what may carry text is refused as well: the header's word that there is none is trusted only where the
kind of object makes it likely.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from pydicom.dataset import Dataset

from .elements import said
from .profile import Option
from .registry import class_name

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
    "1.2.840.10008.5.1.4.1.1.77.1.1.1": "Video Endoscopic",
    "1.2.840.10008.5.1.4.1.1.77.1.2.1": "Video Microscopic",
    "1.2.840.10008.5.1.4.1.1.77.1.4.1": "Video Photographic",
}
_CAPTURE_MODALITIES = frozenset({"US", "SC", "XC", "ES", "OT", "IVUS", "BDUS", "EPS", "HC", "DOC", "SMR", "GM"})
_REPORT_PREFIX = "1.2.840.10008.5.1.4.1.1.88."
_VIDEO_CLASSES = frozenset(f"1.2.840.10008.5.1.4.1.1.77.1.{number}.1" for number in (1, 2, 4))
_SOUND_CLASSES = frozenset(f"1.2.840.10008.5.1.4.1.1.9.4.{number}" for number in (1, 2))
# MPEG-2, MPEG-4 and HEVC (PS3.5 A.4.5 to A.4.11) and SMPTE ST 2110 (A.7).
_VIDEO_SYNTAXES = re.compile(r"1\.2\.840\.10008\.1\.2\.(4\.10\d|7)(\.\d+)*")
_SCREEN_WORDS = frozenset({"SCREEN SAVE", "SCREENSHOT", "OVERVIEW", "SECONDARY_CAPTURE"})
SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""VL Whole Slide Microscopy Image Storage."""
_DOCUMENT_PREFIX = "1.2.840.10008.5.1.4.1.1.104."
_CONTENT_SEQUENCE, _WAVEFORMS = 0x0040A730, 0x54000100
_SPEECH = frozenset({"MB", "AB"})
READS = (
    0x00080008,  # Image Type
    0x00080016,  # SOP Class UID
    0x00080060,  # Modality
    0x00080064,  # Conversion Type
    0x00280010,  # Rows
    0x00280301,  # Burned In Annotation
    0x0040A730,  # Content Sequence
    0x00480010,  # Specimen Label in Image
    0x54000100,  # Waveform Sequence
)
"""The attributes that `may_carry_text` looks at, beside overlays."""


def may_carry_text(header: Dataset, transfer_syntax: str, options: Collection[Option] = ()) -> str | None:
    """Why the object may carry identifying text beside its header, or None where nothing says so or one of the options
    takes care of it. Raises CannotClean where the header cannot be read."""
    return beside_frames(header, transfer_syntax, options) or in_frames(header, transfer_syntax, options)


def beside_frames(header: Dataset, _transfer_syntax: str, options: Collection[Option] = ()) -> str | None:
    """The same of what nobody sees who looks at the frames: all that holds when a person has found them clean."""
    sop_class = "".join(_words(header, "SOPClassUID"))
    is_report = sop_class.startswith(_REPORT_PREFIX) or _CONTENT_SEQUENCE in header
    if is_report and Option.CLEAN_STRUCTURED_CONTENT not in options:
        return "a structured report: its text is cleaned only by an option of the project"
    if sop_class in _SOUND_CLASSES or _speaks(header):
        return "a sound recording: what is said in it cannot be cleaned"
    image_type = _words(header, "ImageType")
    if "LABEL" in image_type or "YES" in _words(header, "SpecimenLabelInImage"):
        return "an image of a slide's label"
    if sop_class == SLIDE and "OVERVIEW" in image_type:
        return "an image of a whole slide, its label included"
    return None


def _speaks(header: Dataset) -> bool:
    """Whether samples are compressed as speech is (PS3.3 C.10.9.1.5), whatever the object is called."""
    items = header[_WAVEFORMS].value if _WAVEFORMS in header else ()
    return any(_SPEECH.intersection(_words(item, "WaveformSampleInterpretation")) for item in items)


def is_video(transfer_syntax: str) -> bool:
    """Whether pixel data in that transfer syntax are a film, and no frames one by one."""
    return bool(_VIDEO_SYNTAXES.fullmatch(transfer_syntax))


def in_frames(header: Dataset, transfer_syntax: str, options: Collection[Option] = ()) -> str | None:
    """The same of the frames and what lies over them, for one who cannot look at them."""
    sop_class = "".join(_words(header, "SOPClassUID"))
    if sop_class in _VIDEO_CLASSES or is_video(transfer_syntax):
        return "video: nobody looks at its frames"
    if sop_class.startswith(_DOCUMENT_PREFIX) and "Rows" not in header:
        return None  # its pages are no pixels, and are made anew
    if Option.CLEAN_GRAPHICS not in options and _has_overlays(header):
        return "it has overlays (60xx), which may hold text"
    if "YES" in _words(header, "BurnedInAnnotation"):
        return "Burned In Annotation (0028,0301) is YES"
    if _words(header, "BurnedInAnnotation") == ["NO"]:
        return None
    kind = screen_kind(header)
    return f"{kind} may carry burned-in text, and (0028,0301) is not NO" if kind else None


def screen_kind(header: Dataset) -> str | None:
    """What the object is, if its frames are made of, or routinely carry, screen text; None for others. What the header
    says of burned-in text plays no part."""
    sop_class = "".join(_words(header, "SOPClassUID"))
    if not _has_pixels(header, sop_class):
        return None
    if sop_class in _CAPTURE_CLASSES:
        return f"{_CAPTURE_CLASSES[sop_class]} images"
    if _CAPTURE_MODALITIES.intersection(_words(header, "Modality")):
        return "images of this modality"
    if _words(header, "ConversionType") or _SCREEN_WORDS.intersection(_words(header, "ImageType")):
        return "a capture of a screen, film or label"
    return None


def _has_overlays(header: Dataset) -> bool:
    return any(tag.group & 0xFF00 == 0x6000 for tag in header.keys())  # noqa: SIM118 - iterating a Dataset decodes it


def _has_pixels(header: Dataset, sop_class: str) -> bool:
    """Whether the object is an image; the modality of a plan, a waveform or a registration says nothing here."""
    name = class_name(sop_class)
    return "Rows" in header or "Image" in name or "Capture" in name or not name


def _words(header: Dataset, keyword: str) -> list[str]:
    """The values of a code string, in capitals."""
    return [text.upper() for text in said(header, keyword)]
