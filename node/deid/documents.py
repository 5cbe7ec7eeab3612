"""Chooses by SOP Class how an encapsulated document is cleaned: made anew from its text, or refused.

What is encapsulated leaves as it came in no case (PS3.15 Table E.1-1, Encapsulated Document (0042,0011): D).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from .cda import Cda
from .elements import decoded
from .errors import CannotClean
from .pages import Page, read_pages
from .pdf import Pdf
from .registry import class_name
from .rewritten import Document, Rewritten

DocumentRule = Callable[[str, bytes], Document]
"""Given a SOP Class and what is encapsulated: the document, read. Raises CannotClean where it is not to be cleaned."""

ENCAPSULATED_DOCUMENT = Tag(0x00420011)
_DOCUMENT_CLASSES = "1.2.840.10008.5.1.4.1.1.104."
_PDF, _CDA = f"{_DOCUMENT_CLASSES}1", f"{_DOCUMENT_CLASSES}2"
_LARGEST = 64 << 20


def refuse_documents(_sop_class: str, _data: bytes) -> Document:
    """The rule of a project that says `documents = "refuse"`. Raises CannotClean."""
    raise CannotClean('an encapsulated document, and the project says documents = "refuse"')


class RewriteDocuments:
    """The rule of a project that says `documents = "text"`. `read` reads the pages of a PDF."""

    def __init__(self, read: Callable[[bytes], Sequence[Page]] = read_pages) -> None:
        self._read = read

    def __call__(self, sop_class: str, data: bytes) -> Document:
        """The document, read. Raises CannotClean for what has no text of its own, such as a model of the anatomy."""
        if len(data) > _LARGEST:
            raise CannotClean(f"the encapsulated document is larger than {_LARGEST >> 20} MiB")
        if sop_class == _PDF:
            return Pdf(self._read(data))
        if sop_class == _CDA:
            return Cda(data)
        name = class_name(sop_class).removesuffix(" Storage") or "a document of an unknown kind"
        if sop_class.startswith(_DOCUMENT_CLASSES):
            raise CannotClean(f"{name}: a model of the patient's anatomy may show who it is, and cannot be cleaned")
        raise CannotClean("it has an encapsulated document (0042,0011), which its SOP Class does not provide for")


def opened_document(header: Dataset, sop_class: str, rule: DocumentRule) -> Document | None:
    """The object's document, taken out of its header; None where there is none. Raises CannotClean."""
    if ENCAPSULATED_DOCUMENT not in header:
        if sop_class.startswith(_DOCUMENT_CLASSES):
            raise CannotClean("it encapsulates no document (0042,0011)")
        return None
    data = decoded(header, ENCAPSULATED_DOCUMENT, ()).value
    if not isinstance(data, bytes) or not data:
        raise CannotClean("its encapsulated document (0042,0011) is empty or cannot be read")
    document = rule(sop_class, data)
    del header[ENCAPSULATED_DOCUMENT]
    return document


def put_document(header: Dataset, made: Rewritten) -> None:
    """Put the new document into the clean header, and what the header says of it right (PS3.3 C.24.2)."""
    header.EncapsulatedDocument = made.data + b"\0" * (len(made.data) % 2)
    header.EncapsulatedDocumentLength = len(made.data)
    header.MIMETypeOfEncapsulatedDocument = made.mime_type
    header.BurnedInAnnotation = "NO"
    if "ListOfMIMETypes" in header:
        del header.ListOfMIMETypes
    if "VerificationFlag" in header:
        header.VerificationFlag = "UNVERIFIED"  # who signed the document signed another
    if made.instance:
        header.HL7InstanceIdentifier = made.instance
