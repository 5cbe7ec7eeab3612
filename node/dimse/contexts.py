"""Lists the presentation contexts we accept: every storage SOP Class of the standard in every transfer syntax."""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import AE, register_uid
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import Verification, uid_to_service_class  # type: ignore[attr-defined]

_SYNTAX_ROOT = "1.2.840.10008.1.2"
# Not encodings of stored objects: MIME, XML, and the SMPTE ST 2110 flows of real-time video.
_NOT_STORED = ("1.2.840.10008.1.2.6", "1.2.840.10008.1.2.7")
_NOT_COMPOSITE = ("Storage Commitment", "Media Storage Directory", "Storage Management", "Inventory")
VERIFICATION_SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]


def storage_classes() -> list[str]:
    """The UIDs of all storage SOP Classes of PS3.4 B.5, GG.3 and their retired predecessors."""
    return [
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and not name.startswith(_NOT_COMPOSITE)
    ]


def transfer_syntaxes() -> list[str]:
    """The UIDs of all transfer syntaxes of PS3.5 in which an object may be stored, the retired ones included."""
    return [
        uid
        for uid, (_, kind, *_) in UID_dictionary.items()
        if kind == "Transfer Syntax" and uid.startswith(_SYNTAX_ROOT) and not uid.startswith(_NOT_STORED)
    ]


def support_storage(ae: AE) -> None:
    """Make an AE accept verification and all of storage; what is negotiated first by the peer is taken, as sent."""
    ae.add_supported_context(Verification, VERIFICATION_SYNTAXES)
    syntaxes = transfer_syntaxes()
    for uid in storage_classes():
        if uid_to_service_class(uid) is not StorageServiceClass:
            register_uid(uid, UID(uid).keyword or f"Storage{uid.replace('.', '')}", StorageServiceClass)
        ae.add_supported_context(uid, syntaxes)
