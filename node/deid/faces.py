"""Tells whether an object may show a face, or let one be rebuilt from it (PS3.15 E.3.2), and refuses it then.

By what kind of object it is and which part of the body: it may, unless a code of the body part says that the head is
elsewhere. What people wrote can only add to the suspicion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from .elements import decoded, items, said, texts, vr_of
from .errors import CannotClean
from .part10 import Part10

FaceRule = Callable[[BinaryIO, Part10], Part10]
"""Given an object's file and what was read of it: the same, showing no face. Raises CannotClean."""

_CLASSES = "1.2.840.10008.5.1.4.1.1."
# CT, MR and PET, enhanced, converted and legacy ones: a face can be rebuilt from thin slices.
_VOLUMES = frozenset(f"{_CLASSES}{one}" for one in "2 2.1 2.2 4 4.1 4.3 4.4 128 128.1 130 13.1.2".split())
_VOLUME_MODALITIES = frozenset({"CT", "MR", "PT"})
# VL photographs, still and moving, and dermoscopic ones.
_PHOTOGRAPHS = frozenset(f"{_CLASSES}{one}" for one in "77.1 77.1.4 77.1.4.1 77.1.7".split())
_STRUCTURE_SET, _SEGMENTATIONS = f"{_CLASSES}481.3", frozenset(f"{_CLASSES}66.{one}" for one in (4, 5, 7))
_HEAD = frozenset(
    """
    HEAD HEADNECK BRAIN CEREBELLUM CEREBRAL CEREBRUM CRANIAL CRANIUM CRANIOFACIAL NEURO NEUROCRANIUM SKULL FACE FACIAL
    ORBIT ORBITS EYE EYES EYELID NOSE NASAL SINUS SINUSES PARANASAL JAW JAWZONE MANDIBLE MAXILLA MAXILLOFACIAL MOUTH
    TONGUE TMJ DENTAL TEETH TOOTH EAR EARS IAC TEMPORAL MASTOID CHEEK BUCCAL SCALP ZYGOMA PITUITARY SELLA STROKE NECK
    HNECK CSPINE CERVICAL CAROTID PAROTID PHARYNX LARYNX THYROID WHOLEBODY WHOLE WB KOPF SCHÄDEL GEHIRN HALS TÊTE CRÂNE
    CERVEAU CABEZA CRÁNEO CEREBRO TESTA CRANIO ENCEFALO HOOFD HERSENEN
    """.split()
)
_ELSEWHERE = frozenset(
    """
    ABDOMEN ABDOMENPELVIS ABDOMINAL ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BREAST BRONCHUS BUTTOCK CALCANEUS CALF
    CHEST CHESTABDOMEN CHESTABDPELVIS CLAVICLE COCCYX COLON CORONARYARTERY CORONARY DUODENUM ELBOW ESOPHAGUS EXTREMITY
    FEMUR FIBULA FINGER FOOT FOREARM GALLBLADDER HAND HEART HIP HUMERUS ILEUM ILIUM JEJUNUM KIDNEY KNEE LEG LIVER LSPINE
    LUMBAR LUNG MEDIASTINUM OVARY PANCREAS PATELLA PELVIS PENIS PROSTATE RADIUS RECTUM RIB SACRUM SCAPULA SCROTUM
    SHOULDER SIJOINT SPLEEN SSPINE STERNUM STOMACH TESTIS THIGH THORACIC THORAX THUMB TIBIA TLSPINE TOE TSPINE ULNA
    URETER URETHRA UTERUS VAGINA WRIST
    """.split()
)
_SURFACES = frozenset("BODY EXTERNAL FACE HEAD SKIN OUTLINE PATIENT".split())
# Body Part Examined; below them, Code Meaning: Anatomic Region, Frame Anatomy, Primary Anatomic Structure.
_BODY_PART, _CODE_MEANING = Tag(0x00180015), Tag(0x00080104)
_REGIONS = (Tag(0x00082218), Tag(0x00082228))
_FUNCTIONAL_GROUPS = (Tag(0x52009229), Tag(0x52009230), Tag(0x00209071))
# Study, Series and Procedure Step Description, Requested Procedure Description, Protocol Name, Image Comments.
_WRITTEN = tuple(Tag(tag) for tag in (0x00081030, 0x0008103E, 0x00400254, 0x00321060, 0x00181030, 0x00204000))
_ROI_TYPE, _OBSERVATIONS = Tag(0x300600A4), Tag(0x30060080)
_SEGMENTS, _SEGMENT_LABEL, _PROPERTY = Tag(0x00620002), Tag(0x00620005), Tag(0x0062000F)
_SOP_CLASS, _MODALITY = Tag(0x00080016), Tag(0x00080060)
_FEATURES = Tag(0x00280302)


def may_show_face(header: Dataset) -> str | None:
    """Why the object may show a face, or None where its kind or a code of its body part rules that out. Raises
    CannotClean where the header cannot be read."""
    features = _words(header, _FEATURES)
    if "YES" in features:
        return "Recognizable Visual Features (0028,0302) is YES"
    kind = _kind(header)
    if kind is None or "NO" in features:
        return None
    if _HEAD.intersection(_coded(header)) or any(_HEAD.intersection(_words(header, tag)) for tag in _WRITTEN):
        return f"{kind} of the head or neck"
    return None if _ELSEWHERE.intersection(_coded(header)) else f"{kind} of no known part of the body"


def refuse_faces(_file: BinaryIO, source: Part10) -> Part10:
    """The rule of a project without a step that removes faces. Raises CannotClean for what may show one."""
    why = may_show_face(source.header)
    if why:
        raise CannotClean(f"{why} may show a face: it needs a defacing step; configure `deface` and [[steps]]")
    return source


def _kind(header: Dataset) -> str | None:
    """What the object is, if it is of a kind that can show a face."""
    sop_class = "".join(said(header, _SOP_CLASS))
    if sop_class == _STRUCTURE_SET:
        types = {word for item in _items(header, _OBSERVATIONS) for word in _words(item, _ROI_TYPE)}
        return "contours of the skin" if "EXTERNAL" in types else None
    if sop_class in _SEGMENTATIONS:
        segments = _items(header, _SEGMENTS)
        named = {word for one in segments for word in (*_words(one, _SEGMENT_LABEL), *_meanings(one, _PROPERTY))}
        return "a segmentation of the skin" if _SURFACES & named else None
    modality = set(_words(header, _MODALITY))
    if sop_class in _PHOTOGRAPHS or "XC" in modality:
        return "a photograph"
    if sop_class in _VOLUMES or ("Rows" in header and modality & _VOLUME_MODALITIES):
        return "a slice or volume (CT, MR, PT)"
    return None


def _coded(header: Dataset) -> set[str]:
    """The words of all codes for parts of the body, in the object and in its functional groups."""
    words = set(_words(header, _BODY_PART))
    for tag in _REGIONS:
        words.update(_meanings(header, tag))
    for tag in _FUNCTIONAL_GROUPS:
        for item in _items(header, tag):
            words |= _coded(item)
    return words


def _meanings(header: Dataset, tag: BaseTag) -> Iterator[str]:
    for item in _items(header, tag):
        yield from _words(item, _CODE_MEANING)


def _items(header: Dataset, tag: BaseTag) -> list[Dataset]:
    return [item for _, item in items(decoded(header, tag, ()), (), int(tag))] if tag in header else []


def _words(header: Dataset, tag: BaseTag) -> list[str]:
    """The words of an element's values, in capitals."""
    if tag not in header or vr_of(header, tag) == "SQ":
        return []
    return re.findall(r"[^\W\d_]+", " ".join(texts(decoded(header, tag, ()))).upper())
