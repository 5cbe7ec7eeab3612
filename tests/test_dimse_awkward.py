"""Peers whose requests are not as PS3.7 and PS3.8 have them, or as pynetdicom wants them: what can be understood is
answered, and what cannot is refused with the reason for it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from builders import ct, saved
from dicomweb_archive import publish
from dimse_wire import (
    ABORT,
    ACCEPT,
    CT,
    LITTLE,
    P_DATA,
    REJECT,
    RELEASE_RP,
    RELEASE_RQ,
    Wire,
    association_request,
    fragment,
    padded,
    status_of,
    store_request,
)
from pynetdicom import AE, build_context
from query_peer import STUDY_FIND, STUDY_MOVE

from lethe.node.choices import Ability
from lethe.node.config import Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.commands import elements_of
from lethe.node.dimse.finding import query_service
from lethe.node.dimse.moving import move_service
from lethe.node.dimse.performed import PERFORMED_STEP, performed_steps
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.scu import Destination
from lethe.node.logs import start_logging
from lethe.node.routing import always
from lethe.storage.archive import Archive
from lethe.storage.errors import Refused, Unavailable

ECHO, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
Mend = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    archive = Archive(tmp_path_factory.mktemp("awkward") / "data")
    publish(archive, "CT_small.dcm")
    peers = [Peer("store", "STORE", "127.0.0.1", 1)]
    services = (
        query_service(archive, "LETHE", most=10),
        move_service(archive, peers, "LETHE"),
        performed_steps(archive),
    )
    known = Peer("ct", "CT01", "127.0.0.1", 104, (*Peer.may, Ability.MPPS))
    receiver = Receiver(archive, Admission("LETHE", [known], trust_loopback=True), always("default"), services=services)
    yield receiver.start("127.0.0.1", 0)
    receiver.stop(0.0)
    archive.close()


def store(port: int) -> bool:
    """Whether an object can be stored there."""
    association = AE("CT01").associate("127.0.0.1", port, [build_context(CT, LITTLE)], ae_title="LETHE")
    status = association.send_c_store(ct()) if association.is_established else None
    association.release()
    return status is not None and status.Status == 0x0000


# Asking for an association


def with_titles(called: bytes, calling: bytes) -> Mend:
    return lambda pdu: pdu[:10] + called + calling + pdu[42:]


def with_version(version: int) -> Mend:
    return lambda pdu: pdu[:6] + version.to_bytes(2, "big") + pdu[8:]


def with_item(kind: int, value: bytes, *, instead_of: int = 0) -> Mend:
    """Another item in the user information, which is the last one of the request."""

    def change(pdu: bytes) -> bytes:
        *others, (user, within) = items(pdu[74:])
        inner = [one for one in items(within) if one[0] != instead_of] + [(kind, value)] * bool(kind)
        return sized(pdu[:74] + joined([*others, (user, joined(inner))]))

    return change


def context(number: int, *names: tuple[int, bytes]) -> tuple[int, bytes]:
    """A presentation context with these names as syntaxes, 0x30 an abstract and 0x40 a transfer syntax."""
    return 0x20, bytes((number, 0, 0, 0)) + joined(list(names))


def asking(*contexts: tuple[int, bytes]) -> Mend:
    """These contexts before that for C-ECHO, which is number 1."""

    def change(pdu: bytes) -> bytes:
        application, *others = items(pdu[74:])
        return sized(pdu[:74] + joined([application, *contexts, *others]))

    return change


def answers_of(body: bytes) -> dict[int, int]:
    """What became of each context, by its number (PS3.8 Table 9-18)."""
    return {value[0]: value[2] for kind, value in items(body[68:]) if kind == 0x21}


def items(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        kind, length = struct.unpack_from(">BxH", data, at)
        found.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def joined(items: list[tuple[int, bytes]]) -> bytes:
    return b"".join(struct.pack(">BxH", kind, len(value)) + value for kind, value in items)


def sized(pdu: bytes) -> bytes:
    return pdu[:2] + struct.pack(">L", len(pdu) - 6) + pdu[6:]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(with_titles(b"LETHE".ljust(16, b"\0"), b"CT01".ljust(16, b"\0")), id="titles filled with zeros"),
        pytest.param(with_titles(b"LETHE".ljust(16), b"\xe9\xff\r\n".ljust(16)), id="a title that is none"),
        pytest.param(with_version(3), id="a second version of the protocol"),
        pytest.param(with_item(0x60, b"of 2031"), id="user information that nobody knows"),
        pytest.param(lambda pdu: sized(pdu + b"\x77\0\0\2ab"), id="an item that nobody knows"),
        pytest.param(with_item(0, b"", instead_of=0x51), id="no maximum length"),
        pytest.param(lambda pdu: sized(pdu[:74] + joined(items(pdu[74:])[:-1])), id="no user information"),
        pytest.param(with_item(0x55, b"A_VERSION_NAME_OF_26_LETTERS"), id="a long version name"),
        pytest.param(with_item(0x55, b"\xe9\xff\xfe"), id="a version name that is none"),
        pytest.param(with_item(0x58, b"\x09\1\0\4user\0\0"), id="a user identity of a type to come"),
    ],
)
def test_what_is_to_be_skipped_or_is_written_otherwise_keeps_nobody_out(port: int, changed: Mend) -> None:
    with Wire(port) as wire:
        wire.send(changed(association_request("CT01", "LETHE", ECHO, IMPLICIT)))
        assert wire.read()[0] == ACCEPT
        wire.send(fragment(command(0x30, NUMBER, sop_class=ECHO), 3))
        kind, body = wire.read()
        assert (kind, status_of(body)) == (P_DATA, 0x0000)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param(with_titles(b" " * 16, b"CT01".ljust(16)), (0, 1, 1, 7), id="no called title"),
        pytest.param(with_titles(b"LETHE\xff".ljust(16), b"CT01".ljust(16)), (0, 1, 1, 7), id="none that is one"),
        pytest.param(with_version(2), (0, 1, 2, 2), id="another version alone"),
        pytest.param(
            lambda pdu: pdu.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"),
            (0, 1, 1, 2),
            id="another application context",
        ),
        pytest.param(
            lambda pdu: sized(pdu[:74] + joined([(0x10, b"1.2" * 22), *items(pdu[74:])[1:]])),
            (0, 1, 1, 2),
            id="an application context that is no UID",
        ),
    ],
)
def test_what_is_asked_for_wrongly_is_rejected_with_its_reason(
    port: int, changed: Mend, reason: tuple[int, ...]
) -> None:
    with Wire(port) as wire:
        wire.send(changed(association_request("CT01", "LETHE")))
        assert wire.read() == (REJECT, bytes(reason))


ABSTRACT, SYNTAX = (0x30, ECHO.encode()), (0x40, IMPLICIT.encode())
LONG = b"1.2" * 22


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        pytest.param(context(3, ABSTRACT), 4, id="no transfer syntax"),
        pytest.param(context(3, ABSTRACT, (0x40, b"")), 4, id="an empty transfer syntax"),
        pytest.param(context(3, ABSTRACT, (0x40, LONG)), 4, id="a long transfer syntax"),
        pytest.param(
            context(3, ABSTRACT, (0x40, LONG), SYNTAX), 0, id="a long transfer syntax beside one that is known"
        ),
        pytest.param(context(3, SYNTAX), 3, id="no abstract syntax"),
        pytest.param(context(3, (0x30, LONG), SYNTAX), 3, id="a long abstract syntax"),
        pytest.param(context(3, (0x30, b"1.2.\xff"), SYNTAX), 3, id="an abstract syntax that is no UID"),
        pytest.param(context(3, ABSTRACT, ABSTRACT, SYNTAX), 3, id="two abstract syntaxes"),
        pytest.param(context(3), 3, id="nothing"),
    ],
)
def test_a_context_that_lacks_something_is_rejected_and_the_others_are_not(
    port: int, caplog: pytest.LogCaptureFixture, wrong: tuple[int, bytes], answer: int
) -> None:
    with Wire(port) as wire:
        wire.send(asking(wrong)(association_request("CT01", "LETHE", ECHO, IMPLICIT)))
        kind, body = wire.read()
        assert (kind, answers_of(body)) == (ACCEPT, {1: 0, 3: answer})
        wire.send(fragment(command(0x30, NUMBER, sop_class=ECHO), 3))
        kind, body = wire.read()
        assert (kind, status_of(body)) == (P_DATA, 0x0000)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(asking(context(1, (0x30, CT.encode()), SYNTAX)), id="a number that is used twice"),
        pytest.param(asking(context(2, ABSTRACT, SYNTAX)), id="an even number"),
        pytest.param(asking(context(0, ABSTRACT, SYNTAX)), id="no number"),
        pytest.param(lambda pdu: sized(pdu + b"\x50\0\0\x09ab"), id="an item that goes on after the end"),
    ],
)
def test_contexts_that_cannot_be_told_apart_end_the_association_in_one_line(
    port: int, caplog: pytest.LogCaptureFixture, changed: Mend
) -> None:
    """PS3.8 7.1.1.13: the requestor gives each an unused identifier, an odd one (Table 9-13)."""
    with Wire(port) as wire:
        wire.send(changed(association_request("CT01", "LETHE", ECHO, IMPLICIT)))
        assert wire.read()[0] == ABORT
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(with_item(0x52, b"1.2.\xff", instead_of=0x52), id="an implementation class that is no UID"),
        pytest.param(with_item(0x54, b"\0\3\xff\xff\xff\1\1"), id="roles for what is no SOP Class"),
        pytest.param(with_item(0x56, b"\0\3\xff\xff\xff\1"), id="extended negotiation for what is no SOP Class"),
        pytest.param(with_item(0x57, b"\0\3\xff\xff\xff"), id="a related general class that is none"),
    ],
)
def test_a_name_that_is_no_uid_beside_the_contexts_is_skipped_without_a_word(
    port: int, caplog: pytest.LogCaptureFixture, changed: Mend
) -> None:
    with Wire(port) as wire:
        wire.send(changed(association_request("CT01", "LETHE", ECHO, IMPLICIT)))
        assert wire.read()[0] == ACCEPT
    assert not [record for record in caplog.records if record.exc_info]


def test_a_transfer_syntax_that_nobody_knows_is_not_worth_a_line(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("receive", "DEBUG")
    unknown = [(0x40, f"1.2.840.10008.1.2.4.9{number}".encode()) for number in range(100)]
    contexts = [context(number, ABSTRACT, *unknown, SYNTAX) for number in range(3, 256, 2)]
    with Wire(port) as wire:
        wire.send(asking(*contexts)(association_request("CT01", "LETHE", ECHO, IMPLICIT)))
        kind, body = wire.read()
        assert kind == ACCEPT
        assert set(answers_of(body).values()) == {0}
    assert capsys.readouterr().err == ""


def test_who_goes_on_after_asking_for_release_is_aborted_without_a_traceback(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """PS3.8 9.2: in Sta8 a P-DATA-TF ends the association (AA-8); our answer to the release may come after that."""
    for _ in range(50):
        with Wire(port) as wire:
            assert wire.associate()[0] == ACCEPT
            wire.send(RELEASE_RQ + fragment(store_request("1.2.3"), 3) + fragment(bytes(8), 2))
            kinds = [kind for kind, _ in iter(wire.read, (0, b""))]
            assert kinds in ([ABORT], [RELEASE_RP])
    assert not [record for record in caplog.records if record.exc_info]


def test_an_answer_is_no_longer_than_the_peer_takes(port: int) -> None:
    with Wire(port) as wire:
        wire.send(with_item(0x51, bytes((0, 0, 0, 64)), instead_of=0x51)(association_request("CT01", "LETHE")))
        assert wire.read()[0] == ACCEPT
        wire.send(fragment(store_request("1.2.3"), 3) + fragment(b"", 2))
        said, control = b"", 1
        while control == 1:
            kind, body = wire.read()
            assert kind == P_DATA and len(body) <= 64
            control, said = body[5], said + body[6:]
        assert elements_of(said)[0x0900] == (0xC000).to_bytes(2, "little")


# Peers that are sent to


class Called(Wire):
    """The other side of a connection."""

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        client.settimeout(30)

    def accept(self, user: bytes, syntax: bytes) -> None:
        """Accept context 1, with this user information; the titles are none, and nobody is to look at them."""
        _, asked = self.read()
        name = items(asked[68:])[0]
        context = b"\1\0\0\0" + joined([(0x40, syntax)])
        body = b"\0\1\0\0" + b"\xff" * 32 + bytes(32) + joined([name, (0x21, context), (0x50, user)])
        self.send(struct.pack(">BxL", ACCEPT, len(body)) + body)

    def data_set(self) -> Iterator[int]:
        """The lengths of its fragments, and of those of its command, as they come."""
        control = 0
        while control != 2:
            _, body = self.read()
            at = 0
            while at < len(body):
                length, control = struct.unpack_from(">LxB", body, at)
                yield length - 2
                at += 4 + length


@contextmanager
def called(answer: Callable[[Called], None]) -> Iterator[Peer]:
    """A peer that answers so who calls it first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with Called(listener.accept()[0]) as caller:
                answer(caller)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Peer("odd", "ODD", "127.0.0.1", listener.getsockname()[1])
        thread.join(10)
    assert not thread.is_alive()


LENGTH, NAME = b"\x51\0\0\4", b"\x52\0\0\5" + b"1.2.3"


def test_a_peer_whose_answer_has_items_that_nobody_knows_is_sent_to() -> None:
    heard = []

    def answer(caller: Called) -> None:
        long_name = b"\x55\0\0\x14" + b"N" * 20
        caller.accept(LENGTH + bytes(4) + NAME + b"\x60\0\0\2ab" + long_name, IMPLICIT.encode())
        heard.append(caller.read()[0])

    with called(answer) as peer, pytest.raises(Unavailable, match="no answer"):  # to the echo
        Destination(peer, "LETHE").echo()
    assert heard == [P_DATA]


def accepted(*contexts: bytes, user: bytes | None = LENGTH + bytes((0, 0, 0x40, 0)) + NAME) -> bytes:
    """An A-ASSOCIATE-AC of these results, and of this user information."""
    parts = [(0x10, b"1.2.840.10008.3.1.1.1"), *((0x21, context) for context in contexts)]
    parts += [] if user is None else [(0x50, user)]
    return sized(struct.pack(">BxL", ACCEPT, 0) + b"\0\1\0\0" + bytes(64) + joined(parts))


TAKEN = b"\1\0\0\0" + joined([(0x40, LITTLE.encode())])


@pytest.mark.parametrize(
    ("pdu", "said"),
    [
        pytest.param(accepted(), Unavailable, id="no context is answered"),
        pytest.param(accepted(b"\1\0\0\0"), Unavailable, id="a context without transfer syntax"),
        pytest.param(accepted(TAKEN)[:-9], Unavailable, id="cut off"),
        pytest.param(sized(struct.pack(">BxL", ACCEPT, 0) + b"\0\1"), Unavailable, id="next to nothing"),
        pytest.param(sized(struct.pack(">BxL", ACCEPT, 0) + b"\xff" * 90), Unavailable, id="noise"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", Unavailable, id="another protocol"),
        pytest.param(accepted(b"\1\0\3\0"), Refused, id="all contexts are rejected"),
        pytest.param(accepted(TAKEN, user=None), Unavailable, id="no user information, and no answer to the object"),
    ],
)
def test_an_object_is_refused_by_an_answer_only_and_tried_again_after_noise(
    tmp_path: Path, pdu: bytes, said: type[Exception]
) -> None:
    def answer(caller: Called) -> None:
        caller.read()
        caller.send(pdu)
        caller.read()

    path = saved(ct(), tmp_path)
    with called(answer) as peer, pytest.raises(said), Destination(peer, "LETHE") as destination:
        destination.open([(CT, LITTLE)])
        destination.send(path, (CT, LITTLE))


@pytest.mark.parametrize(("number", "answers"), [(0, True), (1, False)])
def test_an_echo_is_answered_by_the_answer_to_it(number: int, answers: bool) -> None:
    def answer(caller: Called) -> None:
        caller.accept(LENGTH + bytes(4) + NAME, IMPLICIT.encode())
        _, body = caller.read()
        asked = elements_of(body[6:])
        other = int.from_bytes(asked[0x0110], "little") + number
        message = (0x0120, other.to_bytes(2, "little"))
        caller.send(fragment(command(0x8030, message, (0x0900, b"\0\0"), sop_class=ECHO), 3))
        caller.read()

    with called(answer) as peer:
        if answers:
            assert Destination(peer, "LETHE").echo() == 0x0000
        else:
            with pytest.raises(Unavailable, match="no answer"):
                Destination(peer, "LETHE").echo()


@pytest.mark.parametrize("why", [b"\1\1\x0a", b"\2\3\0", b"\1\1\1"])
def test_a_rejection_for_a_reserved_reason_is_one(why: bytes) -> None:
    def answer(caller: Called) -> None:
        caller.read()
        caller.send(b"\3\0\0\0\0\4\0" + why)

    with called(answer) as peer, pytest.raises(Unavailable, match="rejected the association"):
        Destination(peer, "LETHE").echo()


@pytest.mark.parametrize(
    ("longest", "number", "stored"),
    [
        pytest.param(16_383, 1, True, id="an odd length"),
        pytest.param(128, 1, True, id="a length below that of a command"),
        pytest.param(0, 1, True, id="any length"),
        pytest.param(6, 1, False, id="no length at all"),
        pytest.param(16_384, 77, False, id="an answer to another message"),
    ],
)
def test_an_object_is_stored_where_the_peer_says_so_of_that_object(
    tmp_path: Path, longest: int, number: int, stored: bool
) -> None:
    lengths: list[int] = []

    def answer(caller: Called) -> None:
        caller.accept(LENGTH + longest.to_bytes(4, "big") + NAME, LITTLE.encode())
        with suppress(struct.error, TypeError):
            lengths.extend(caller.data_set())
            message = (0x0120, number.to_bytes(2, "little"))
            caller.send(fragment(command(0x8001, message, (0x0900, b"\0\0"), sop_class=CT), 3))
            caller.read()

    path = saved(ct(), tmp_path)
    with called(answer) as peer, Destination(peer, "LETHE") as destination:
        destination.open([(CT, LITTLE)])
        if stored:
            assert destination.send(path, (CT, LITTLE)) == 0x0000
        else:
            with pytest.raises(Unavailable):
                destination.send(path, (CT, LITTLE))
    assert all(length % 2 == 0 and length + 6 <= (longest or 1 << 18) for length in lengths)


# Requests that cannot be answered as they are


def command(field: int, *elements: tuple[int, bytes], sop_class: str, data_set: bytes = b"\1\1") -> bytes:
    named = 0x0003 if field in (0x0110, 0x0120, 0x0130) else 0x0002
    whole = dict(((named, padded(sop_class)), (0x0100, field.to_bytes(2, "little")), (0x0800, data_set), *elements))
    body = b"".join(struct.pack("<HHL", 0, at, len(value)) + value for at, value in sorted(whole.items()))
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


NUMBER = (0x0110, b"\7\0")
LEVEL = struct.pack("<HHL", 8, 0x52, 6) + b"STUDY " + struct.pack("<HHL", 0x20, 0xD, 6) + b"1.2.3\0"


@pytest.mark.parametrize(
    ("sop_class", "asked", "identifier", "status"),
    [
        pytest.param(STUDY_MOVE, (0x21, NUMBER, (0x700, b"\0\0")), LEVEL, 0x0212, id="C-MOVE to nowhere"),
        pytest.param(
            STUDY_MOVE,
            (0x21, NUMBER, (0x600, b"STORE\0"), (0x700, b"\0\0")),
            LEVEL,
            0x0000,
            id="to a title with a zero",
        ),
        pytest.param(
            STUDY_MOVE, (0x21, NUMBER, (0x600, b"A" * 20), (0x700, b"\0\0")), LEVEL, 0xA801, id="to a long title"
        ),
        pytest.param(STUDY_MOVE, (0x21, NUMBER, (0x600, b""), (0x700, b"\0\0")), LEVEL, 0xA801, id="to an empty title"),
        pytest.param(STUDY_FIND, (0x20, NUMBER, (0x700, b"\7\0")), LEVEL, 0x0000, id="a priority that is none"),
        pytest.param(CT, (0x01, NUMBER, (0x700, b"\0\0"), (0x1000, b"1.2.3\0")), b"", 0xC000, id="C-STORE of nothing"),
        pytest.param(CT, (0x01, NUMBER, (0x700, b"\0\0")), LEVEL, 0x0212, id="C-STORE of nothing named"),
        pytest.param(
            CT, (0x01, NUMBER, (0x700, b"\0\0"), (0x1000, b"1.2." * 17)), LEVEL, 0x0212, id="C-STORE of no UID"
        ),
        pytest.param(PERFORMED_STEP, (0x120, NUMBER), b"", 0x0212, id="N-SET of nothing named"),
    ],
)
def test_a_request_that_lacks_something_is_answered_all_the_same(
    port: int, sop_class: str, asked: tuple[Any, ...], identifier: bytes, status: int
) -> None:
    field, *elements = asked
    with Wire(port) as wire:
        wire.send(association_request("CT01", "LETHE", sop_class, IMPLICIT))
        assert wire.read()[0] == ACCEPT
        whole = command(field, *elements, sop_class=sop_class, data_set=b"\1\0" if identifier else b"\1\1")
        wire.send(fragment(whole, 3) + (fragment(identifier, 2) if identifier else b""))
        kind, body = wire.read()
        assert (kind, status_of(body)) == (P_DATA, status)
        wire.send(RELEASE_RQ)
        assert wire.read()[0] == RELEASE_RP


def test_a_cancel_is_for_what_came_before_it(port: int) -> None:
    """One that comes too late is none of the next request, which may have the same number; and many do no harm."""
    query = command(0x20, NUMBER, (0x700, b"\0\0"), sop_class=STUDY_FIND, data_set=b"\1\0")
    asked = fragment(query, 3) + fragment(LEVEL, 2)
    with Wire(port) as wire:
        wire.send(association_request("CT01", "LETHE", STUDY_FIND, IMPLICIT))
        assert wire.read()[0] == ACCEPT
        for numbers in ([7], range(50), [7]):
            for number in numbers:
                cancel = command(0x0FFF, (0x0120, number.to_bytes(2, "little")), sop_class=STUDY_FIND)
                wire.send(fragment(cancel, 3))
            wire.send(asked)
            kind, body = wire.read()
            assert (kind, status_of(body)) == (P_DATA, 0x0000)


def test_answers_to_a_peer_that_does_not_wait_come_one_after_the_other(port: int) -> None:
    """Nobody may ask for two things at once without negotiating it; a report of ours can meet an answer, too."""
    every = struct.pack("<HHL", 8, 0x52, 6) + b"STUDY " + struct.pack("<HHL", 0x20, 0xD, 0)
    query = command(0x20, NUMBER, (0x700, b"\0\0"), sop_class=STUDY_FIND, data_set=b"\1\0")
    stored = command(0x01, NUMBER, (0x700, b"\0\0"), (0x1000, b"1.2.3\0"), sop_class=CT, data_set=b"\1\0")
    at_once = fragment(query, 3) + fragment(every, 2)
    at_once += (fragment(stored, 3, context=3) + fragment(b"", 2, context=3)) * 10
    context = (0x20, b"\3\0\0\0" + joined([(0x30, CT.encode()), (0x40, LITTLE.encode())]))
    with Wire(port) as wire:
        wire.send(sized(association_request("CT01", "LETHE", STUDY_FIND, IMPLICIT) + joined([context])))
        assert wire.read()[0] == ACCEPT
        wire.send(at_once * 20)
        left, controls = 20 * 11, []
        while left:
            kind, body = wire.read()
            assert kind == P_DATA
            controls.append((body[4], body[5] & 1))
            left -= bool(body[5] & 1) and status_of(body) not in (0xFF00, 0xFF01)
    announced = [at for at, one in enumerate(controls) if one == (1, 0)]
    assert len(announced) == 20
    assert all(controls[at - 1] == (1, 1) for at in announced)


def test_a_request_without_a_number_ends_its_association(port: int) -> None:
    with Wire(port) as wire:
        wire.send(association_request("CT01", "LETHE", ECHO, IMPLICIT))
        assert wire.read()[0] == ACCEPT
        wire.send(fragment(command(0x30, sop_class=ECHO), 3))
        assert wire.read()[0] == ABORT


def test_a_peer_of_ipv4_is_known_where_both_versions_are_listened_to(archive: Archive) -> None:
    known = Peer("ct", "CT01", "127.0.0.1", 104, (Ability.STORE,))
    receiver = Receiver(archive, Admission("LETHE", [known], trust_loopback=False), always("default"))
    with suppress(OSError):
        port = receiver.start("::", 0)
        try:
            assert store(port)
            assert archive.audit.newest(1)[0].actor == "CT01@127.0.0.1"
        finally:
            receiver.stop(0.5)
        return
    pytest.skip("there is no IPv6 here")
