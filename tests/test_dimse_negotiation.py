"""What is negotiated with a caller beside its presentation contexts, and what of it we leave aside (PS3.7 D.3.3)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import ct
from dimse_wire import CT, LITTLE, REJECT, Wire
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext

from lethe.node.dimse.admission import Admission
from lethe.node.dimse.scp import Receiver
from lethe.node.routing import always
from lethe.storage.archive import Archive

MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
ECHO, PRIVATE = "1.2.840.10008.1.1", "1.2.826.0.1.3680043.9.3811.99"
IMPLICIT, BIG, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.70"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    archive = Archive(tmp_path_factory.mktemp("negotiation") / "data")
    admission = Admission("LETHE", [], trust_loopback=True)
    receiver = Receiver(archive, admission, always("default"))
    yield receiver.start("127.0.0.1", 0)
    receiver.stop(0.0)
    archive.close()


def associated(
    port: int, *items: object, contexts: list[PresentationContext] | None = None, called: str = "LETHE"
) -> Association:
    ae = AE("CT01")
    proposed = contexts or [build_context(CT, LITTLE)]
    return ae.associate("127.0.0.1", port, proposed, ae_title=called, ext_neg=list(items))  # type: ignore[arg-type]


def stores(association: Association) -> bool:
    """Whether it is of use; it is released afterwards."""
    status = association.send_c_store(ct())
    association.release()
    return bool(status.Status == 0x0000)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("positive", [True, False])
def test_a_user_identity_is_left_aside(port: int, kind: int, positive: bool) -> None:
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.positive_response_requested = kind, positive
    identity.primary_field = b"somebody"
    if kind == 2:
        identity.secondary_field = b"a password"
    association = associated(port, identity)
    assert association.is_established
    assert association.acceptor.user_identity is None  # a positive response would say that we have verified it
    assert stores(association)


def test_related_general_classes_are_left_aside_and_a_class_we_do_not_know_is_not_accepted(port: int) -> None:
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = PRIVATE, "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = [CT]  # type: ignore[list-item]
    association = associated(port, common, contexts=[build_context(CT, LITTLE), build_context(PRIVATE, LITTLE)])
    assert [context.abstract_syntax for context in association.accepted_contexts] == [CT]
    assert association.acceptor.sop_class_common_extended == {}
    assert stores(association)


def test_extended_negotiation_of_storage_is_not_answered(port: int) -> None:
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CT, b"\2\0\0\0\1\0"
    association = associated(port, extended)
    assert association.acceptor.sop_class_extended == {}
    assert stores(association)


def test_a_window_of_operations_stays_one(port: int) -> None:
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 8
    association = associated(port, window)
    assert association.acceptor.asynchronous_operations == (1, 1)
    assert stores(association)


def test_each_context_has_its_own_answer(port: int) -> None:
    contexts = [build_context(CT, LITTLE), build_context(CT, PRIVATE), build_context(PRIVATE, LITTLE)]
    association = associated(port, contexts=contexts)
    assert [context.context_id for context in association.accepted_contexts] == [1]
    assert {context.context_id: context.result for context in association.rejected_contexts} == {3: 4, 5: 3}
    assert stores(association)


def test_all_128_contexts_are_answered_by_their_numbers(port: int) -> None:
    association = associated(
        port,
        contexts=[build_context(CT, LITTLE) for _ in range(64)]
        + [build_context(MAMMOGRAPHY, syntax) for syntax in [LITTLE, IMPLICIT] * 32],
    )
    accepted = association.accepted_contexts
    assert [context.context_id for context in accepted] == list(range(1, 256, 2))
    assert [str(context.transfer_syntax[0]) for context in accepted[64:66]] == [LITTLE, IMPLICIT]
    assert stores(association)


@pytest.mark.parametrize(
    ("proposed", "taken"),
    [
        ([IMPLICIT, LITTLE], LITTLE),  # what private attributes are stays known
        ([IMPLICIT, JPEG, LITTLE], LITTLE),
        ([LITTLE, IMPLICIT], LITTLE),
        ([IMPLICIT], IMPLICIT),
        ([IMPLICIT, JPEG], IMPLICIT),
        ([JPEG, IMPLICIT, LITTLE], JPEG),  # as it has it
        ([PRIVATE, IMPLICIT, LITTLE], LITTLE),
        ([BIG, IMPLICIT, LITTLE], BIG),
    ],
)
def test_of_several_transfer_syntaxes_the_first_is_taken_but_explicit_before_implicit(
    port: int, proposed: list[str], taken: str
) -> None:
    association = associated(port, contexts=[build_context(CT, proposed)])
    assert [context.transfer_syntax for context in association.accepted_contexts] == [[taken]]
    association.release()


def test_of_messages_that_are_not_stored_the_first_transfer_syntax_is_taken(port: int) -> None:
    association = associated(port, contexts=[build_context(ECHO, [IMPLICIT, LITTLE])])
    assert [context.transfer_syntax for context in association.accepted_contexts] == [[IMPLICIT]]
    association.release()


def test_we_say_what_we_are(port: int) -> None:
    association = associated(port)
    assert association.acceptor.implementation_class_uid and association.acceptor.implementation_version_name
    assert association.acceptor.maximum_length == 131_072
    assert stores(association)


@pytest.mark.parametrize(
    ("called", "comes_in"), [("  LETHE", True), ("LETHE", True), ("lethe", False), ("LETHE2", False)]
)
def test_titles_are_compared_without_spaces_around_them_and_with_their_case(
    port: int, called: str, comes_in: bool
) -> None:
    with Wire(port) as wire:
        kind, body = wire.associate(called=called)
        assert (kind == 2) if comes_in else (kind, body) == (REJECT, bytes((0, 1, 1, 7)))
