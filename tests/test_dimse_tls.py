"""DICOM over TLS: who comes in by it and who does not, and what it carries; real peers on the other side."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from authority import Authority, Identity
from builders import ct, saved
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from dicomweb_archive import publish
from dimse_wire import CT, LITTLE, REJECT, Wire, association_request
from programs import dcmtk, free_port, need, orthanc, running, wait_for
from pynetdicom import AE, build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as MOVE
from pynetdicom.sop_class import Verification

from lethe.node.choices import Ability, Plain, Queries, TlsProfile
from lethe.node.cli import main
from lethe.node.config import Peer
from lethe.node.config_file import load_config
from lethe.node.dimse.admission import WITHOUT_TLS, Admission, Caller
from lethe.node.dimse.certificates import Presented
from lethe.node.dimse.credentials import Credentials
from lethe.node.dimse.finding import query_service
from lethe.node.dimse.limits import Limits
from lethe.node.dimse.moving import move_service
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.scu import Destination
from lethe.node.errors import CertificateError, ConfigError
from lethe.node.routing import always
from lethe.node.settings import as_certificate
from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable

CONTEXT = (CT, LITTLE)
HERE = ("127.0.0.1",)
NO_REASON, UNKNOWN_CALLER, WRONG_CALLED = (1, 1, 1), (1, 1, 3), (1, 1, 7)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Identity:
    return authority.issue("lethe", hosts=HERE)


@pytest.fixture(scope="module")
def modality(authority: Authority) -> Identity:
    return authority.issue("modality")


def secured(title: str, *certificates: str, port: int = 1) -> Peer:
    return Peer(title.lower(), title, "127.0.0.1", port, tls=True, tls_certificates=certificates)


def credentials(ours: Identity, authority: Authority, *peers: Peer, **own: Path) -> Credentials:
    files = {peer.name: own.get(peer.name, authority.file) for peer in peers if peer.tls}
    return Credentials(ours.certificate, ours.key, files, peers)


class Node:
    """A receiver with both listeners."""

    def __init__(self, archive: Archive, held: Credentials, peers: tuple[Peer, ...], **limits: float) -> None:
        admission = Admission("LETHE", peers, trust_loopback=True, credentials=held)
        limited = Limits(**{"least_free": 0, **limits})  # type: ignore[arg-type]
        self.archive, self.credentials = archive, held
        self.receiver = Receiver(archive, admission, always("default"), limits=limited)
        self.plain = self.receiver.start("127.0.0.1", 0)
        self.port = self.receiver.start_secure("127.0.0.1", 0, held)

    def audited(self, action: str) -> list[dict[str, Any]]:
        entries = [one.as_dict() for one in self.archive.audit.entries() if one.action == action]
        return [one["detail"] for one in entries]


Start = Callable[..., Node]


@pytest.fixture
def start(archive: Archive, ours: Identity, authority: Authority) -> Iterator[Start]:
    nodes: list[Node] = []

    def start(*peers: Peer, held: Credentials | None = None, **limits: float) -> Node:
        nodes.append(Node(archive, held or credentials(ours, authority, *peers), peers, **limits))
        return nodes[-1]

    yield start
    for node in nodes:
        node.receiver.stop(0.0)


def client(identity: Identity | None, authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.file)
    if identity is not None:
        context.load_cert_chain(*identity)
    return context


def tls_of(identity: Identity, authority: Authority) -> list[str]:
    return ["+tls", str(identity.key), str(identity.certificate), "+cf", str(authority.file)]


def answered(port: int, title: str, context: ssl.SSLContext | None, called: str = "LETHE") -> tuple[int, ...]:
    """What pynetdicom's association came to: () if established, (result, source, reason) if rejected, else (0,)."""
    tls = (context, "127.0.0.1") if context else None
    association = AE(title).associate("127.0.0.1", port, [build_context(Verification)], ae_title=called, tls_args=tls)
    if association.is_established:
        association.send_c_echo()
        association.release()
        return ()
    primitive = association.acceptor.primitive
    return (primitive.result, primitive.result_source, primitive.diagnostic) if association.is_rejected else (0,)


def test_storescu_stores_by_tls(
    start: Start, authority: Authority, modality: Identity, tmp_path: Path, archive: Archive
) -> None:
    need("storescu")
    node = start(secured("CT01", "CN=modality"))
    arguments = [*tls_of(modality, authority), "-aet", "CT01", "-aec", "LETHE", "127.0.0.1"]
    for profile in ("+py", "+pz"):
        sent = dcmtk("storescu", "-v", profile, *arguments, str(node.port), str(saved(ct(), tmp_path)))
        assert "Success" in sent.stdout + sent.stderr
    assert archive.counts()["received"] == 2


def test_who_comes_without_certificate_is_refused_and_put_on_record(
    start: Start, authority: Authority, modality: Identity
) -> None:
    need("echoscu")
    node = start(secured("CT01", "CN=modality"))
    address = ["-aet", "CT01", "-aec", "LETHE", "127.0.0.1", str(node.port)]
    assert dcmtk("echoscu", "+tla", "-ic", *address).returncode != 0
    assert dcmtk("echoscu", *address).returncode != 0
    assert dcmtk("echoscu", *tls_of(modality, authority), *address[:-1], str(node.plain)).returncode != 0
    assert answered(node.port, "CT01", client(None, authority)) == (0,)
    assert dcmtk("echoscu", *tls_of(modality, authority), *address).returncode == 0
    wait_for(lambda: len(node.audited("connection-refused")) >= 2, what="both kinds are on record")
    whys = [one["why"] for one in node.audited("connection-refused")]
    assert whys.count("peer did not return a certificate") == 1  # of two within a minute


def test_a_certificate_of_another_authority_or_out_of_date_is_refused(
    start: Start, authority: Authority, tmp_path: Path
) -> None:
    node = start(secured("CT01", "CN=modality"))
    stranger = Authority(tmp_path / "other").issue("modality")
    late = authority.issue("late", days=-1)
    assert answered(node.port, "CT01", client(stranger, authority)) == (0,)
    assert answered(node.port, "CT01", client(late, authority)) == (0,)


@pytest.mark.parametrize("by", ["subject", "fingerprint"])
def test_only_the_peer_itself_comes_in(start: Start, authority: Authority, modality: Identity, by: str) -> None:
    other = authority.issue("other", hosts=HERE)
    one, two = ("CN=modality", "CN=other") if by == "subject" else (modality.fingerprint, other.fingerprint)
    node = start(secured("CT01", one), secured("MR01", two), secured("US01"), Peer("old", "OLD", "127.0.0.1", 1))
    right, wrong = client(modality, authority), client(other, authority)
    assert answered(node.port, "CT01", right) == ()
    assert answered(node.port, "CT01", right, "OTHER") == WRONG_CALLED
    assert answered(node.port, "CT02", right) == UNKNOWN_CALLER
    assert answered(node.port, "CT01", wrong) == UNKNOWN_CALLER
    assert answered(node.port, "US01", wrong) == UNKNOWN_CALLER  # it names the host, and is another peer's
    assert answered(node.port, "OLD", right) == NO_REASON
    assert answered(node.plain, "CT01", None) == NO_REASON  # even from this machine
    assert answered(node.plain, "OLD", None) == ()
    rejected = node.audited("association-rejected")
    assert [one.get("certificate") for one in rejected] == [
        modality.fingerprint,
        modality.fingerprint,
        other.fingerprint,
        other.fingerprint,
        modality.fingerprint,
        None,
    ]
    assert "its certificate is not that of the peer" in rejected[2]["why"]


def test_a_certificate_that_names_the_host_is_the_peers(start: Start, authority: Authority, modality: Identity) -> None:
    node = start(secured("CT01"))
    assert answered(node.port, "CT01", client(authority.issue("ct01", hosts=HERE), authority)) == ()
    assert (
        answered(node.port, "CT01", client(authority.issue("ct01x", hosts=("127.0.0.9",)), authority)) == UNKNOWN_CALLER
    )
    assert answered(node.port, "CT01", client(modality, authority)) == UNKNOWN_CALLER


def test_a_peers_own_authority_vouches_for_it_and_no_other_does(
    start: Start, authority: Authority, ours: Identity, tmp_path: Path
) -> None:
    own = Authority(tmp_path / "own", "another CA")
    peers = secured("CT01", "CN=ct"), secured("MR01", "CN=ct")
    node = start(*peers, held=credentials(ours, authority, *peers, ct01=own.file))
    from_own, from_ours = client(own.issue("ct"), authority), client(authority.issue("ct"), authority)
    assert answered(node.port, "CT01", from_own) == answered(node.port, "MR01", from_ours) == ()
    assert answered(node.port, "CT01", from_ours) == answered(node.port, "MR01", from_own) == UNKNOWN_CALLER


def test_old_versions_and_weak_ciphers_are_refused_and_a_session_may_be_resumed(
    start: Start, authority: Authority, modality: Identity
) -> None:
    node = start(secured("CT01", "CN=modality"))

    def connected(session: ssl.SSLSession | None = None, **settings: Any) -> ssl.SSLSocket:
        context = client(modality, authority)
        context.set_ciphers(settings.pop("ciphers", "DEFAULT:@SECLEVEL=0"))
        for name, value in settings.items():
            setattr(context, name, value)
        if session is not None:
            context = made[0].context
        made.append(
            context.wrap_socket(
                socket.create_connection(("127.0.0.1", node.port)), server_hostname="127.0.0.1", session=session
            )
        )
        return made[-1]

    made: list[ssl.SSLSocket] = []
    two, three = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    with connected(maximum_version=two) as first:
        assert first.version() == "TLSv1.2"
        first.sendall(association_request("CT01", "LETHE"))
        assert first.recv(1) == b"\x02"
        with connected(first.session) as again:
            again.sendall(association_request("CT01", "LETHE"))
            assert again.recv(1) == b"\x02"  # as before, though OpenSSL no longer has the chain
    assert connected(minimum_version=three).version() == "TLSv1.3"
    for refused in ("AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES256-CCM8"):
        with pytest.raises(ssl.SSLError):
            connected(maximum_version=two, ciphers=f"{refused}:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        connected(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    for one in made:
        one.close()


def test_a_certificate_that_is_revoked_is_refused_from_the_next_list_on(
    start: Start, authority: Authority, ours: Identity, modality: Identity
) -> None:
    revoked, peer = authority.issue("revoked"), secured("CT01", "CN=modality", "CN=revoked")
    lists = authority.revoke()
    held = Credentials(ours.certificate, ours.key, {"ct01": authority.file}, [peer], revoked=lists)
    held.check()
    node = start(peer, held=held)
    assert answered(node.port, "CT01", client(modality, authority)) == ()
    assert answered(node.port, "CT01", client(revoked, authority)) == ()
    authority.revoke(revoked)
    assert answered(node.port, "CT01", client(modality, authority)) == ()
    assert answered(node.port, "CT01", client(revoked, authority)) == (0,)
    lists.write_text("no list\n")
    assert answered(node.port, "CT01", client(revoked, authority)) == (0,)  # the list before stays in use
    wait_for(lambda: node.audited("connection-refused"), what="it is put on record")
    assert "revoked" in node.audited("connection-refused")[0]["why"]
    with pytest.raises(CertificateError, match="not in pem format"):
        Credentials(ours.certificate, ours.key, {"ct01": authority.file}, [peer], revoked=lists).check()


def test_a_peer_whose_authority_is_revoked_is_refused(start: Start, ours: Identity, tmp_path: Path) -> None:
    root = Authority(tmp_path / "root")
    between = root.below("between")
    modality = between.issue("modality")
    with modality.certificate.open("ab") as chain:
        chain.write(between.file.read_bytes())
    peer, lists = secured("CT01", "CN=modality"), tmp_path / "lists.crl"

    def list_of(*revoked: Identity) -> None:
        lists.write_bytes(root.revoke(*revoked).read_bytes() + between.revoke().read_bytes())

    list_of()
    node = start(peer, held=Credentials(ours.certificate, ours.key, {"ct01": root.file}, [peer], revoked=lists))
    context = client(modality, root)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert answered(node.port, "CT01", context) == ()
    list_of(Identity(between.file, between.file))
    assert answered(node.port, "CT01", context) == (0,)
    wait_for(lambda: node.audited("connection-refused"), what="it is put on record")
    assert "revoked" in node.audited("connection-refused")[0]["why"]


def test_a_peer_whose_certificate_is_revoked_is_not_sent_to(
    start: Start, authority: Authority, ours: Identity, tmp_path: Path
) -> None:
    theirs = authority.issue("archive", hosts=HERE)
    node = start(secured("LETHE", "CN=lethe"), held=credentials(theirs, authority, secured("LETHE", "CN=lethe")))
    peer = Peer("archive", "LETHE", "127.0.0.1", node.port, tls=True)
    lists = authority.revoke()
    held = Credentials(ours.certificate, ours.key, {"archive": authority.file}, [peer], revoked=lists)
    assert Destination(peer, "LETHE", credentials=held).echo() == 0
    authority.revoke(theirs)
    with pytest.raises(Unavailable, match="revoked"):
        Destination(peer, "LETHE", credentials=held).echo()


def test_the_modified_profile_asks_for_longer_keys_and_digests(
    start: Start, authority: Authority, ours: Identity, modality: Identity
) -> None:
    weak, peer = authority.issue("weak", digest=hashes.SHA224()), secured("CT01", "CN=modality", "CN=weak")
    files = {"ct01": authority.file}
    usual = start(peer, held=Credentials(ours.certificate, ours.key, files, [peer]))
    strict = start(peer, held=Credentials(ours.certificate, ours.key, files, [peer], profile=TlsProfile.MODIFIED))

    def told(node: Node, identity: Identity) -> tuple[int, ...]:
        context = client(identity, authority)
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # TLS 1.3 has no signature that weak
        return answered(node.port, "CT01", context)

    assert (told(usual, modality), told(usual, weak), told(strict, modality), told(strict, weak)) == ((), (), (), (0,))
    wait_for(lambda: strict.audited("connection-refused"), what="it is put on record")
    assert "signature over sha224" in strict.audited("connection-refused")[0]["why"]
    short = authority.issue("short", curve=ec.SECP224R1())
    with pytest.raises(CertificateError, match="at least 256"):
        Credentials(short.certificate, short.key, files, [peer], profile=TlsProfile.MODIFIED).check()


@pytest.mark.peer
@pytest.mark.parametrize("profile", ["--profile-bcp195", "--profile-bcp195-nd", "--profile-bcp195-ex"])
def test_dcmtk_speaks_each_of_its_profiles_with_both_of_ours(
    start: Start, authority: Authority, ours: Identity, modality: Identity, profile: str
) -> None:
    need("echoscu")
    peer = secured("CT01", "CN=modality")
    for own in TlsProfile:
        held = Credentials(ours.certificate, ours.key, {"ct01": authority.file}, [peer], profile=own)
        said = dcmtk(
            "echoscu", *tls_of(modality, authority), profile, "-aet", "CT01", "-aec", "LETHE",
            "127.0.0.1", str(start(peer, held=held).port),
        )  # fmt: skip
        assert said.returncode == 0, said.stderr


def test_who_connects_and_says_nothing_stops_nobody_and_is_hung_up_on(
    start: Start, authority: Authority, modality: Identity
) -> None:
    node = start(secured("CT01", "CN=modality"), request_seconds=2)
    silent = [socket.create_connection(("127.0.0.1", node.port), timeout=60) for _ in range(20)]
    assert answered(node.port, "CT01", client(modality, authority)) == ()
    context = client(modality, authority)
    with context.wrap_socket(silent.pop(), server_hostname="127.0.0.1") as mute:  # silent once it has shaken hands
        assert mute.recv(1) == b""
    for one in silent:
        assert one.recv(1) == b""
        one.close()
    assert node.audited("connection-refused") == []


def test_a_new_certificate_is_used_at_once_and_a_broken_one_is_not(
    start: Start, authority: Authority, modality: Identity, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lethe")
    used = Identity(tmp_path / "used.crt", tmp_path / "used.key")
    first, second = authority.issue("first", hosts=HERE), authority.issue("second", hosts=HERE)
    used.overwrite(first)
    peer = secured("CT01", "CN=modality")
    node = start(peer, held=credentials(used, authority, peer))

    def presented() -> str:
        raw = socket.create_connection(("127.0.0.1", node.port))
        with client(modality, authority).wrap_socket(raw, server_hostname="127.0.0.1") as wire:
            certificate = wire.getpeercert(binary_form=True)
            return Presented(certificate or b"", ()).fingerprint

    assert presented() == first.fingerprint
    used.overwrite(second)
    assert presented() == second.fingerprint
    used.certificate.write_bytes(first.certificate.read_bytes())  # and the key is the other one's
    assert presented() == second.fingerprint
    (error,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert "used.crt" in error.getMessage() and "key values mismatch" in error.getMessage()
    used.certificate.write_text("nothing")
    assert presented() == second.fingerprint
    used.overwrite(first)
    assert presented() == first.fingerprint


def tls_storescp(folder: Path, identity: Identity, authority: Authority) -> Any:
    need("storescp")
    folder.mkdir()
    port = free_port()
    command = ["/usr/bin/storescp", "+xa", "-od", str(folder), *tls_of(identity, authority), str(port)]
    return port, running(command, port, folder.with_suffix(".log"))


def test_storescp_is_sent_to_by_tls_and_only_if_it_is_the_peer(
    authority: Authority, ours: Identity, tmp_path: Path
) -> None:
    port, runs = tls_storescp(tmp_path / "scp", authority.issue("archive"), authority)
    with runs:
        right, wrong = secured("ARCHIVE", "CN=archive", port=port), secured("OTHER", "CN=other", port=port)
        held = credentials(ours, authority, right, wrong)
        path = saved(ct(), tmp_path)
        with Destination(right, "LETHE", credentials=held) as destination:
            assert destination.echo() == 0
            destination.open([CONTEXT])
            for _ in range(3):
                assert destination.send(path, CONTEXT) == 0
        (received,) = (tmp_path / "scp").iterdir()
        assert pydicom.dcmread(received).PixelData == pydicom.dcmread(path).PixelData
        with pytest.raises(Unavailable, match=r"does not answer \(TLS: .*not this peer's"):
            Destination(wrong, "LETHE", credentials=held).echo()
        with pytest.raises(Unavailable, match="no certificate to do so"):
            Destination(right, "LETHE").echo()
        stranger = Authority(tmp_path / "other", "a CA that is not known")
        with pytest.raises(Unavailable, match="its certificate is not accepted"):
            Destination(right, "LETHE", credentials=credentials(ours, stranger, right)).echo()
        with pytest.raises(Unavailable, match=r"does not answer \(TLS: .*(unknown ca|not accept our certificate)"):
            Destination(right, "LETHE", credentials=credentials(stranger.issue("x"), authority, right)).echo()


def test_findscu_finds_and_what_is_moved_goes_by_tls_as_well(
    archive: Archive, authority: Authority, ours: Identity, modality: Identity, tmp_path: Path
) -> None:
    need("findscu")
    entry = publish(archive, saved(ct(), tmp_path))
    port, runs = tls_storescp(tmp_path / "scp", authority.issue("archive"), authority)
    with runs:
        asks = replace(secured("CT01", "CN=modality"), may=(Ability.FIND, Ability.MOVE))
        peers = (asks, secured("ARCHIVE", "CN=archive", port=port))
        held = credentials(ours, authority, *peers)
        services = [
            query_service(archive, "LETHE", most=10, queries=Queries.RELATIONAL),
            move_service(archive, peers, "LETHE", held, Queries.RELATIONAL, answer_seconds=60),
        ]
        admission = Admission("LETHE", peers, trust_loopback=False, credentials=held)
        receiver = Receiver(archive, admission, always(), services=services, limits=Limits(least_free=0))
        at = receiver.start_secure("127.0.0.1", 0, held)
        try:
            keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={entry.study_uid}", "-k", "StudyDate"]
            who = ["-aet", "CT01", "-aec", "LETHE"]
            found = dcmtk("findscu", *tls_of(modality, authority), *who, "-S", *keys, "127.0.0.1", str(at))
            assert entry.study_uid in found.stdout + found.stderr
            ae, tls = AE("CT01"), (client(modality, authority), "127.0.0.1")
            association = ae.associate("127.0.0.1", at, [build_context(MOVE)], ae_title="LETHE", tls_args=tls)
            wanted = pydicom.Dataset()
            wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", entry.study_uid
            *_, (status, _) = association.send_c_move(wanted, "ARCHIVE", MOVE)
            association.release()
            assert (status.Status, status.NumberOfCompletedSuboperations) == (0x0000, 1)
        finally:
            receiver.stop(0.5)
    assert len(list((tmp_path / "scp").iterdir())) == 1


def test_a_peer_without_tls_is_not_sent_to(start: Start, authority: Authority, ours: Identity) -> None:
    plain = start(Peer("any", "ANY", "127.0.0.1", 1)).plain
    peer = secured("LETHE", port=plain)
    with pytest.raises(Unavailable, match="does not answer"):
        Destination(peer, "ANY", credentials=credentials(ours, authority, peer)).echo()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_large_object_arrives_as_it_was_sent(
    start: Start, archive: Archive, authority: Authority, ours: Identity, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    node = start(secured("CT01", "CN=lethe"))
    peer = secured("LETHE", port=node.port)
    held = credentials(ours, authority, peer)
    held.caller(peer).args[1].maximum_version = version  # type: ignore[attr-defined]
    large = ct(Rows=3000, Columns=2000, PixelData=bytes(range(250)) * 48_000)
    path = saved(large, tmp_path)
    with Destination(peer, "CT01", credentials=held) as destination:
        destination.open([CONTEXT])
        for number in range(3):
            assert destination.send(path, CONTEXT) == 0, number
    (job,) = archive.jobs.find()
    with archive.original(job) as kept:
        assert pydicom.dcmread(kept).PixelData == large.PixelData


def test_without_tls_only_from_this_machine_if_so_configured(authority: Authority, modality: Identity) -> None:
    far = Peer("far", "FAR", "192.0.2.7", 1)
    admission = Admission("LETHE", [far], trust_loopback=True, plain=Plain.LOOPBACK)
    assert admission.rejection(Caller("FAR", "192.0.2.7"), "LETHE") is WITHOUT_TLS
    assert admission.rejection(Caller("FAR", "127.0.0.1"), "LETHE") is None
    anywhere = Admission("LETHE", [far], trust_loopback=True)
    assert anywhere.rejection(Caller("FAR", "192.0.2.7"), "LETHE") is None


def test_a_hello_on_the_plain_port_is_answered_by_the_end(start: Start) -> None:
    node = start(Peer("any", "ANY", "127.0.0.1", 1))
    with Wire(node.plain) as wire:
        wire.send(bytes.fromhex("160301020001"))
        assert wire.read()[0] in (0, 7)
    with Wire(node.plain) as wire:
        assert wire.associate(caller="ANY", called="WRONG") == (REJECT, bytes((0, *WRONG_CALLED)))


def test_orthanc_sends_and_is_sent_to_by_tls(
    start: Start, archive: Archive, authority: Authority, ours: Identity, tmp_path: Path
) -> None:
    node = start(secured("ORTHANC", "CN=orthanc"))
    theirs = authority.issue("orthanc")
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(theirs.certificate),
        "DicomTlsPrivateKey": str(theirs.key),
        "DicomTlsTrustedCertificates": str(authority.file),
        "DicomModalities": {"lethe": {"AET": "LETHE", "Host": "127.0.0.1", "Port": node.port, "UseDicomTls": True}},
    }
    with orthanc(tmp_path / "orthanc", **settings) as (port, url):
        peer = secured("ORTHANC", "CN=orthanc", port=port)
        with Destination(peer, "LETHE", credentials=credentials(ours, authority, peer)) as destination:
            destination.open([CONTEXT])
            assert destination.send(saved(ct(), tmp_path), CONTEXT) == 0
        (instance,) = requests.get(f"{url}/instances", timeout=60).json()
        assert requests.post(f"{url}/modalities/lethe/echo", json={}, timeout=60).ok
        assert requests.post(f"{url}/modalities/lethe/store", data=instance, timeout=60).ok
    assert archive.counts()["received"] == 1


CONFIG = """[node]
port = {plain}
tls_port = {port}
tls_certificate = "lethe.crt"
tls_key = "lethe.key"
tls_ca = "lethe.crt"
[[peers]]
name = "self"
ae_title = "LETHE"
host = "127.0.0.1"
port = {port}
tls = true
tls_certificates = ["CN=lethe"]
"""


def test_a_certificate_is_made_shown_checked_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, port = tmp_path / "config.toml", free_port()
    config.write_text(CONFIG.format(plain=free_port(), port=port))
    told = ["--config", str(config)]
    assert main(["config", "check", *told]) == 2
    assert "lethe.crt with" in capsys.readouterr().err
    make = ["certificate", "new", str(tmp_path / "lethe"), "--host", "127.0.0.1", "--days", "20"]
    assert main(make) == 0
    assert "subject      CN=lethe\nfingerprint  sha256:" in capsys.readouterr().out
    assert (tmp_path / "lethe.key").stat().st_mode & 0o077 == 0
    assert main(make) == 2
    assert "is not overwritten" in capsys.readouterr().err
    assert main(["config", "check", *told]) == 0
    (tmp_path / "lethe.key").chmod(0o644)
    assert main(["config", "check", *told]) == 0
    warned = capsys.readouterr().err
    assert "the certificate of CN=lethe expires on" in warned and "can read this key" in warned
    with running([sys.executable, "-m", "lethe.node", "receive", *told], port, tmp_path / "log.txt"):
        assert main(["echo", "self", *told]) == 0
        assert main(["echo", f"LETHE@127.0.0.1:{port}", *told]) == 1
    assert "expires on" in (tmp_path / "log.txt").read_text()
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('tls_key = "lethe.key"', "", "of tls_certificate and tls_key only one is there"),
        ('tls_ca = "lethe.crt"', "", "tls = true needs tls_ca"),
        ("tls = true", "", "tls_port without a peer that uses it"),
        ("tls = true", "tls = false", "tls_ca or tls_certificates without tls"),
        ('["CN=lethe"]', '["lethe"]', "a fingerprint"),
        ('["CN=lethe"]', '["sha256:12"]', "a fingerprint"),
        ("port = 2", "port = 1", "tls_port = 1 is port as well"),
    ],
)
def test_settings_that_contradict_one_another_are_named(before: str, after: str, said: str, tmp_path: Path) -> None:
    good = CONFIG.format(plain=1, port=2)
    assert before in good
    (tmp_path / "config.toml").write_text(good)
    load_config(tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text(good.replace(before, after))
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_config(tmp_path / "config.toml")


def test_a_fingerprint_may_be_written_as_openssl_does() -> None:
    assert as_certificate("SHA256:" + ":".join(["AB"] * 32)) == "sha256:" + "ab" * 32


def test_who_leaves_without_a_word_leaves_no_thread(start: Start, authority: Authority, modality: Identity) -> None:
    node = start(secured("CT01", "CN=modality"))
    context = client(modality, authority)
    for _ in range(5):
        raw = socket.create_connection(("127.0.0.1", node.port))
        context.wrap_socket(raw, server_hostname="127.0.0.1").close()
        socket.create_connection(("127.0.0.1", node.port)).close()
        socket.create_connection(("127.0.0.1", node.plain)).close()

    def waiting() -> bool:
        return any(one.name.startswith("AcceptorThread") for one in threading.enumerate())

    wait_for(lambda: not waiting(), seconds=20, what="all have ended, long before they would have had to ask")
