"""What the tests of C-FIND, C-MOVE and C-GET share: a receiver over published samples, and pynetdicom asking it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role
from pynetdicom.association import Association

from lethe.node.choices import Queries
from lethe.node.config import Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.finding import query_service
from lethe.node.dimse.getting import get_service
from lethe.node.dimse.moving import move_service
from lethe.node.dimse.scp import Receiver
from lethe.node.routing import always
from lethe.storage.archive import Archive

PATIENT_FIND, PATIENT_MOVE, PATIENT_GET = (f"1.2.840.10008.5.1.4.1.2.1.{number}" for number in (1, 2, 3))
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))


@contextmanager
def answering(
    archive: Archive,
    peers: Sequence[Peer] = (),
    *,
    most: int = 1000,
    trust: bool = True,
    queries: Queries = Queries.RELATIONAL,
    answer_seconds: float = 60,
) -> Iterator[int]:
    """The port of a receiver that answers queries and retrievals."""
    admission = Admission("LETHE", peers, trust_loopback=trust)
    services = (
        query_service(archive, "LETHE", most=most, queries=queries),
        move_service(archive, peers, "LETHE", None, queries, answer_seconds=answer_seconds, callers=admission.peers),
        get_service(archive, queries),
    )
    receiver = Receiver(archive, admission, always(), services=services)
    try:
        yield receiver.start("127.0.0.1", 0)
    finally:
        receiver.stop(0.5)


@contextmanager
def asking(
    port: int,
    *sop_classes: str,
    syntax: str = ExplicitVRLittleEndian,
    stored: Sequence[tuple[str, str]] = (),
    caller: str = "WS",
    **arguments: Any,
) -> Iterator[Association]:
    """An association that proposes these SOP Classes, and those of `stored` for a C-GET."""
    ae = AE(caller)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    contexts = [build_context(sop_class, syntax) for sop_class in sop_classes]
    contexts += [build_context(sop_class, own) for sop_class, own in stored]
    roles = [build_role(sop_class, scp_role=True) for sop_class in dict(stored)]
    arguments["ext_neg"] = [*roles, *arguments.get("ext_neg", ())]
    association = ae.associate("127.0.0.1", port, contexts, "LETHE", **arguments)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def identifier(level: str = "", **keys: Any) -> Dataset:
    ds = Dataset()
    if level:
        ds.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    return ds


def found(association: Association, ds: Dataset, model: str = STUDY_FIND) -> tuple[list[Dataset], list[int]]:
    """The identifiers and all statuses of a C-FIND."""
    results, statuses = [], []
    for status, result in association.send_c_find(ds, model):
        statuses.append(int(status.Status))
        if result is not None:
            results.append(result)
    return results, statuses
