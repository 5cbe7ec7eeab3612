"""Speaks PDUs by hand, right and wrong, and stands between peers as a network that fails."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.transport import AddressInformation

CT, LITTLE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
ACCEPT, REJECT, P_DATA, RELEASE_RP, ABORT = 2, 3, 4, 6, 7
RELEASE_RQ = bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0))


class Wire:
    """One connection to a node."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """The type and body of the next PDU; (0, b"") where the connection ends."""
        with suppress(ConnectionResetError):
            head = self._exactly(6)
            if len(head) == 6:
                return head[0], self._exactly(struct.unpack(">L", head[2:])[0])
        return 0, b""

    def associate(self, *, caller: str = "WIRE", called: str = "LETHE") -> tuple[int, bytes]:
        """Ask for an association that proposes CT; what was answered."""
        self.send(association_request(caller, called))
        return self.read()

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length and (more := self.socket.recv(length - len(data))):
            data += more
        return data


def association_request(caller: str, called: str, sop_class: str = CT, syntax: str = LITTLE) -> bytes:
    """An A-ASSOCIATE-RQ with one presentation context, number 1."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = caller, called
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = 16382
    implementation.implementation_class_uid = "1.2.826.0.1.3680043.9.3811.9"
    request.user_information = [longest, implementation]
    request.calling_presentation_address = AddressInformation("127.0.0.1", 1)
    request.called_presentation_address = AddressInformation("127.0.0.1", 2)
    context = build_context(sop_class, syntax)
    context.context_id = 1
    request.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    return bytes(pdu.encode())


def fragment(data: bytes, control: int, *, context: int = 1) -> bytes:
    """A P-DATA-TF with one presentation data value."""
    return struct.pack(">BBLLBB", 4, 0, len(data) + 6, len(data) + 2, context, control) + data


def store_request(sop_instance: str, *, number: int = 1, sop_class: str = CT) -> bytes:
    """The command set of a C-STORE-RQ."""
    elements = (
        (0x0002, padded(sop_class)),
        (0x0100, b"\x01\x00"),
        (0x0110, struct.pack("<H", number)),
        (0x0700, b"\0\0"),
        (0x0800, b"\x01\x00"),
        (0x1000, padded(sop_instance)),
    )
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def padded(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def status_of(body: bytes) -> int:
    """The status in the body of a P-DATA-TF with a response."""
    at = body.index(b"\0\0\0\x09\x02\0\0\0") + 8
    return int.from_bytes(body[at : at + 2], "little")


@contextmanager
def failing_network(port: int, *, after: int, how: str) -> Iterator[int]:
    """A port that leads to another one until so many bytes have gone there; then it cuts the connection ("cut"), or
    swallows everything ("hole"), or lets nothing back ("deaf"). "release" cuts it where it should be released."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = [listener]

    def forward(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if how == "release" and data.endswith(RELEASE_RQ):
                    broken.set()
                    break
                room = len(data) if limit is None else max(0, limit - passed)
                sink.sendall(data[:room])
                passed += len(data)
                if limit is not None and passed >= limit:
                    broken.set()
                    if how == "cut":
                        break
        if how != "hole" or limit is None:
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def back(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not (how in ("deaf", "hole") and broken.is_set()):
                    sink.sendall(data)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                opened.extend((client, server))
                limit = after if not broken.is_set() else None
                threading.Thread(target=forward, args=(client, server, limit), daemon=True).start()
                threading.Thread(target=back, args=(server, client), daemon=True).start()

    broken = threading.Event()
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        for one in opened:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # which ends the threads that wait for it, as closing does not
            one.close()
