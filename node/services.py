"""Makes the DIMSE services beside storage that a configuration wants."""

from __future__ import annotations

from pynetdicom.association import Association

from lethe.storage.archive import Archive

from .config import Config, Peer
from .dimse import commitment
from .dimse.admission import Admission
from .dimse.availability import notifications
from .dimse.credentials import Credentials
from .dimse.finding import query_service
from .dimse.getting import get_service
from .dimse.moving import move_service
from .dimse.openanswer import OpenAnswer
from .dimse.performed import performed_steps, retrieved_steps
from .dimse.services import Service
from .dimse.steps import step_services
from .dimse.worklist import worklist_service
from .reporter import Reporter
from .worklist import Worklist


def services_of(
    config: Config, archive: Archive, admission: Admission, credentials: Credentials | None
) -> list[Service]:
    """All that are answered; the worklist only where it has a source."""

    def tell(association: Association, name: str, number: int) -> None:
        peer = config.peer(name)
        if peer is not None:
            reporter_for(config, archive, peer, credentials).answer_on(association, number)

    title, queries = config.node.ae_title, config.node.queries
    services = [
        query_service(archive, title, most=config.node.most_results, queries=queries),
        move_service(
            archive,
            config.peers,
            title,
            credentials,
            queries,
            answer_seconds=config.node.answer_seconds,
            callers=admission.peers,
        ),
        get_service(archive, queries),
        commitment.requests(archive, admission, answer_here=OpenAnswer(tell, archive.close)),
        commitment.answers(archive, admission),
        performed_steps(archive),
        retrieved_steps(archive),
        notifications(archive),
        *step_services(archive, config.peers, title, most=config.node.most_results),
    ]
    folder, table = config.worklist.folder, config.worklist.table
    if folder or table:
        sources = (config.folder / one if one else None for one in (folder, table))
        services.append(worklist_service(Worklist(*sources)))
    return services


def reporter_for(config: Config, archive: Archive, peer: Peer, credentials: Credentials | None) -> Reporter:
    """Who tells a peer the results of its storage commitments."""
    demands = {project.name: project.commit for project in config.projects}
    limit = config.node.commit_days * 86_400.0
    return Reporter(archive, peer, config.node.ae_title, demands, limit=limit, credentials=credentials)
