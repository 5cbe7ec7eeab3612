"""An association ends, whatever happens to its connection or within it; who sends over it never waits for ever."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import ct, saved
from commitment_peers import PUSH_MODEL, WELL_KNOWN, action, new_uid
from dimse_wire import ACCEPT, CT, LITTLE, Wire
from programs import free_port, wait_for
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.events import Event

from lethe.node.config import Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.association import PromptAssociation
from lethe.node.dimse.calling import associate
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.scu import Destination
from lethe.node.dimse.signals import Bell
from lethe.node.dimse.standstill import Standstill
from lethe.node.routing import always
from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable

CONTEXT = (CT, LITTLE)


@pytest.fixture
def receiver(archive: Archive) -> Iterator[Receiver]:
    receiver = Receiver(archive, Admission("LETHE", (), trust_loopback=True), always("default"))
    yield receiver
    receiver.stop(0.0)


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[threading.ExceptHookArgs]:
    """What ended a thread."""
    seen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    return seen


def echo(port: int) -> int:
    return Destination(Peer("lethe", "LETHE", "127.0.0.1", port), "MODALITY").echo()


def test_who_waits_for_an_answer_hears_of_the_end_although_the_reactor_looks_as_well() -> None:
    for _ in range(30):
        association = PromptAssociation(AE(), "requestor", longest_pdu=16_384)
        association.dimse_timeout = None  # as while a peer sends what was asked for
        messages, heard = association.dimse, list[object]()
        waiter = threading.Thread(target=lambda: heard.append(messages.get_msg(block=True)), daemon=True)  # noqa: B023
        waiter.start()
        wait_for(lambda: messages.msg_queue.not_empty._waiters, what="it waits")  # type: ignore[attr-defined]  # noqa: B023
        messages.end()
        messages.get_msg(block=False)
        waiter.join(10)
        assert heard == [(None, None)]
        association.dul._bell.close()


def test_a_peer_never_waits_for_a_delayed_acknowledgement(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepting, asking, wait = list[int](), list[int](), Bell.wait
    port = receiver.start("127.0.0.1", 0)

    def watched(bell: Bell, other: int, seconds: float | None) -> bool:
        if other >= 0:
            with socket.socket(fileno=os.dup(other)) as sock:
                end = accepting if sock.getsockname()[1] == port else asking
                end.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))
        return wait(bell, other, seconds)

    monkeypatch.setattr(Bell, "wait", watched)
    with Destination(Peer("lethe", "LETHE", "127.0.0.1", port), "MODALITY") as destination:
        for _ in range(10):  # from the first answer on, Linux takes it for a conversation and delays
            destination.open([CONTEXT])
            assert destination.deliver(saved(ct(), tmp_path), CONTEXT).status == 0x0000
    assert len(accepting) >= 10
    assert all(accepting)
    assert sum(asking) > len(asking) / 2  # another thread may send just after it was asked for


def test_a_connection_that_closes_before_its_association_runs_is_a_normal_ending(
    receiver: Receiver, failures: list[threading.ExceptHookArgs]
) -> None:
    port = receiver.start("127.0.0.1", 0)

    def close(event: Event) -> None:
        closed = socket.socket()
        closed.close()
        connection = event.assoc.dul.socket
        connection.hang_up()
        event.assoc.dul.join(60)
        connection.socket = closed  # as for a moment while it is being closed

    receiver._ae._servers[0].bind(evt.EVT_ESTABLISHED, close)
    for _ in range(5):
        with Wire(port) as wire:
            assert wire.associate()[0] in (ACCEPT, 0)
            assert wire.read() == (0, b"")
    wait_for(lambda: not receiver._ae.active_associations, seconds=60, what="all associations have ended")
    assert not failures
    receiver._ae._servers[0].unbind(evt.EVT_ESTABLISHED, close)
    assert echo(port) == 0x0000


def test_a_failure_within_an_association_ends_it_and_no_other(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, failures: list[threading.ExceptHookArgs], tmp_path: Path
) -> None:
    port = receiver.start("127.0.0.1", 0)
    with Destination(Peer("lethe", "LETHE", "127.0.0.1", port), "ORDERLY") as orderly, monkeypatch.context() as patch:
        orderly.open([CONTEXT])
        patch.setattr(receiver._services, "serve", lambda *_: 1 / 0)
        with pytest.raises(Unavailable):
            echo(port)
        wait_for(lambda: len(receiver._ae.active_associations) == 1, seconds=60, what="the association has ended")
        assert orderly.send(saved(ct(), tmp_path), CONTEXT) == 0x0000
    assert not failures


@pytest.mark.parametrize("when", ["before the answer", "after the answer", "long before the release"])
def test_a_release_waits_until_the_peer_has_its_answer(when: str) -> None:
    """A peer reports on the association on which it was asked. It got no answer where ours was released at once, and
    where its report had just been taken, ours waited for ever."""
    sent, answered, heard, releasing = (threading.Event() for _ in range(4))
    told: list[Dataset] = []

    def ask_back(event: Event) -> tuple[int, None]:
        def report() -> None:
            if when != "before the answer":
                answered.wait(60)
            told.append(event.assoc.send_n_event_report(event.action_information, 1, PUSH_MODEL, WELL_KNOWN)[0])

        event.assoc.bind(evt.EVT_DIMSE_SENT, lambda _: sent.set())
        threading.Thread(target=report, daemon=True).start()
        if when == "before the answer":
            sent.wait(60)
        return 0x0000, None

    def hear(_event: Event) -> tuple[int, None]:
        heard.set()
        if when == "after the answer":
            releasing.wait(60)
        time.sleep(0.1)  # so that the release is likely to have begun
        return 0x0000, None

    peer, port = AE("ARCHIVE"), free_port()
    peer.add_supported_context(PUSH_MODEL)
    peer.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_ACTION, ask_back)])
    try:
        association = associate(
            AE("LETHE"),
            ("127.0.0.1", port),
            ae_title="ARCHIVE",
            contexts=[build_context(PUSH_MODEL)],
            handlers=[(evt.EVT_N_EVENT_REPORT, hear)],
        )
        assert (
            association.send_n_action(action(new_uid(), (CT, new_uid())), 1, PUSH_MODEL, WELL_KNOWN)[0].Status == 0x0000
        )
        answered.set()
        assert heard.wait(60)
        wait_for(lambda: told or when != "long before the release", seconds=60, what="the report is answered")
        releasing.set()
        association.release()
        assert association.is_released
        wait_for(lambda: told, seconds=60, what="the peer has its answer")
        assert told[0].Status == 0x0000
    finally:
        peer.shutdown()


def run(target: object) -> None:
    thread = threading.Thread(target=target)  # type: ignore[arg-type]
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_who_sends_is_let_in_when_the_reactor_has_ended() -> None:
    standstill = Standstill()
    run(standstill.go_on)  # it died in the middle of something
    standstill.stand()
    standstill.clear()
    assert not standstill.is_set()
    standstill.set()
    assert standstill.is_set()


def test_who_sends_does_not_wait_for_ever() -> None:
    standstill = Standstill(patience=0.05)
    with pytest.raises(RuntimeError, match="busy"):
        standstill.clear()  # no reactor was ever seen
    standstill.stand()
    held, done = threading.Event(), threading.Event()

    def send() -> None:
        standstill.clear()
        held.set()
        done.wait(60)
        standstill.set()

    other = threading.Thread(target=send)
    other.start()
    assert held.wait(60)
    with pytest.raises(RuntimeError, match="busy"):
        standstill.clear()
    done.set()
    other.join(60)
    standstill.clear()


def test_a_sender_that_died_is_not_waited_for() -> None:
    standstill = Standstill()
    standstill.stand()
    run(standstill.clear)
    standstill.go_on()
    standstill.clear()  # the reactor itself, in the middle of an answer
    standstill.stand()
