"""Lists the presentation contexts we accept: every storage SOP Class of the standard in every transfer syntax."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, register_uid
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import Verification, uid_to_service_class  # type: ignore[attr-defined]

from ..deid.registry import is_storage_class, is_transfer_syntax, known_uids

# Not encodings of stored objects: MIME, XML, and the SMPTE ST 2110 flows of real-time video.
_NOT_STORED = ("1.2.840.10008.1.2.6", "1.2.840.10008.1.2.7")
VERIFICATION_SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]


def storage_classes() -> list[str]:
    """The UIDs of all storage SOP Classes of PS3.4 B.5, GG.3 and their retired predecessors."""
    return [uid for uid in known_uids() if is_storage_class(uid)]


def transfer_syntaxes() -> list[str]:
    """The UIDs of all transfer syntaxes of PS3.5 in which an object may be stored, the retired ones included."""
    return [uid for uid in known_uids() if is_transfer_syntax(uid) and not uid.startswith(_NOT_STORED)]


def support_storage(ae: AE, private: Iterable[str] = ()) -> None:
    """Make an AE accept verification, all of storage and what is private."""
    ae.add_supported_context(Verification, VERIFICATION_SYNTAXES)
    syntaxes = transfer_syntaxes()
    for uid in (*storage_classes(), *private):
        if uid_to_service_class(uid) is not StorageServiceClass:
            register_uid(uid, UID(uid).keyword or f"Storage{uid.replace('.', '')}", StorageServiceClass)
        # Both roles for who asks for both: what is got by C-GET is stored to the one who gets it (PS3.4 C.5.3).
        ae.add_supported_context(uid, syntaxes, scu_role=True, scp_role=True)


def narrow_to_one(
    asked: Iterable[PresentationContext], supported: Mapping[str, Collection[str]], stored: Collection[str]
) -> None:
    """Leave of the transfer syntaxes that a peer lists for a context only one that is supported for that SOP Class:
    pynetdicom would choose in our order. The first, for the peer has put first what it has, or wants; but of what is
    `stored` Explicit rather than Implicit VR Little Endian: what private attributes are would be lost on the way."""
    for context in asked:
        sop_class = str(context.abstract_syntax)
        ours = supported.get(sop_class, ())
        both = [syntax for syntax in context.transfer_syntax if syntax in ours]
        explicit = [syntax for syntax in both if syntax == ExplicitVRLittleEndian]
        if explicit and both[0] == ImplicitVRLittleEndian and sop_class in stored:
            both = explicit
        if both:
            context.transfer_syntax = [both[0]]
