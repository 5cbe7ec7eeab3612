"""Peers of the tests for storage commitment, made with pynetdicom: a modality that asks, an archive that is asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.events import Event

from lethe.node.config import Peer
from lethe.node.dimse.contexts import support_storage

PUSH_MODEL, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


def action(uid: str, *references: tuple[str, str]) -> Dataset:
    """Action Information of a request."""
    ds = Dataset()
    ds.TransactionUID = uid
    ds.ReferencedSOPSequence = []
    for sop_class, sop_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_uid
        ds.ReferencedSOPSequence.append(item)
    return ds


def answer_at_once(event: Event) -> None:
    """Do not wait for the delayed acknowledgement of the other side (Nagle)."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Modality:
    """Asks for commitment, and listens for the results where `listening`."""

    def __init__(self, port: int, title: str = "CT01") -> None:
        self.port = port
        self.reports: list[tuple[int, Dataset]] = []
        self.roles: list[tuple[bool, bool]] = []
        self.answers: list[int] = []
        self._ae = AE(title)
        self._ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
        self._ae.add_requested_context(PUSH_MODEL)

    @property
    def peer(self) -> Peer:
        return Peer("ct", self._ae.ae_title, "127.0.0.1", self.port)

    @contextmanager
    def listening(self) -> Iterator[None]:
        handlers = [(evt.EVT_N_EVENT_REPORT, self._hear), (evt.EVT_CONN_OPEN, answer_at_once)]
        server = self._ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        try:
            yield
        finally:
            assert server is not None
            server.shutdown()

    def ask(self, node: int, ds: Dataset, *, kind: int = 1, instance: str = WELL_KNOWN, keep: float = 0.0) -> int:
        """The status of the request; the association is kept open until a report came, for `keep` seconds at most."""
        heard = len(self.reports)
        assoc = self._ae.associate(
            "127.0.0.1", node, ae_title="LETHE", evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._hear)]
        )
        assert assoc.is_established
        status, _ = assoc.send_n_action(ds, kind, PUSH_MODEL, instance)
        while keep > 0 and len(self.reports) == heard:
            keep -= 0.1
            assoc.join(0.1)
        assoc.release()
        return int(status.Status)

    def _hear(self, event: Event) -> tuple[int, None]:
        answer = self.answers.pop(0) if self.answers else 0x0000
        context = next(iter(event.assoc._accepted_cx.values()))
        self.roles.append((context.as_scu, context.as_scp))
        if answer == 0x0000:
            self.reports.append((event.event_type, event.event_information))
        return answer, None


class Committer:
    """An archive that stores all and commits all but what the test names in `lacking`; it answers on an association of
    its own, on that of the request, or not at all."""

    def __init__(self, port: int, node: int, how: str = "new") -> None:
        self.port, self.node, self.how = port, node, how
        self.stored: list[str] = []
        self.asked: list[list[str]] = []
        self.lacking: dict[str, int] = {}
        self.contradicts_itself = False
        self.open: list[Dataset] = []
        self._ae = AE("ARCHIVE")
        support_storage(self._ae)
        self._ae.add_supported_context(PUSH_MODEL)
        self._server = self._ae.start_server(
            ("127.0.0.1", port),
            block=False,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, answer_at_once),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_N_ACTION, self._take),
            ],
        )

    @property
    def peer(self) -> Peer:
        return Peer("archive", "ARCHIVE", "127.0.0.1", self.port, commits=True)

    def stop(self) -> None:
        self._ae.shutdown()

    def answer(self, ds: Dataset) -> int:
        """Report on an association of our own."""
        ae = AE("ARCHIVE")
        assoc = ae.associate(
            "127.0.0.1",
            self.node,
            [build_context(PUSH_MODEL)],
            ae_title="LETHE",
            ext_neg=[build_role(PUSH_MODEL, scp_role=True)],
        )
        assert assoc.is_established
        kind, report = self._report(ds)
        status, _ = assoc.send_n_event_report(report, kind, PUSH_MODEL, WELL_KNOWN)
        assoc.release()
        return int(status.Status)

    def _store(self, event: Event) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _take(self, event: Event) -> tuple[int, None]:
        ds = event.action_information
        self.asked.append([str(item.ReferencedSOPInstanceUID) for item in ds.ReferencedSOPSequence])
        if self.how == "refuse":
            return 0x0110, None
        if self.how == "new":
            Thread(target=self.answer, args=(ds,)).start()
        if self.how == "same":
            kind, report = self._report(ds)
            arguments = (report, kind, PUSH_MODEL, WELL_KNOWN)
            Thread(target=event.assoc.send_n_event_report, args=arguments).start()
        if self.how == "later":
            self.open.append(ds)
        return 0x0000, None

    def _report(self, ds: Dataset) -> tuple[int, Dataset]:
        report = Dataset()
        report.TransactionUID = ds.TransactionUID
        failed = [item for item in ds.ReferencedSOPSequence if item.ReferencedSOPInstanceUID in self.lacking]
        given = [item for item in ds.ReferencedSOPSequence if item not in failed or self.contradicts_itself]
        if given:
            report.ReferencedSOPSequence = given
        if failed:
            report.FailedSOPSequence = failed
            for item in failed:
                item.FailureReason = self.lacking[item.ReferencedSOPInstanceUID]
        return (2 if failed else 1), report


def new_uid() -> str:
    return str(generate_uid())
