"""Runs one part of Lethe in this process until it is told to stop: receiver, worker, courier, web or events.

Each part loads its own libraries and none of the others': they take longer to load than anything else at its start.
"""

from __future__ import annotations

import _thread
import logging
import os
import resource
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from lethe.storage.archive import Archive

from .choices import AuthMode
from .config import Config
from .errors import UserError
from .logs import start_logging
from .routing import Router

log = logging.getLogger("lethe.parts")

LIFELINE_VARIABLE = "LETHE_LIFELINE"
_SWEEP_EVERY = 3600.0
_SWITCH = 0.0005
"""Associations wait for the disk most of the time; who comes back from it should not wait 5 ms for Python's lock."""
_LAST_PATIENCE = 40.0
_LAST_WORDS = 3.0
"""For the couriers to write down what was delivered; what else goes on then is done again at the next start."""
_WAKE = signal.SIGURG
"""What nothing else sends here, and by itself does nothing."""


def open_archive(config: Config) -> Archive:
    """The data folder of a configuration. Raises UserError where it cannot be one."""
    try:
        return Archive(config.data, config.database)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"[node] data = {config.node.data!r}: there is a file in its place; name a folder") from None
    except PermissionError as error:
        said = f"[node] data = {config.node.data!r}: {error.filename} is not ours to write"
        raise UserError(f"{said}; name a folder of the account that runs Lethe, by its whole path") from None


def receive(config: Config) -> int:
    """Listen for associations."""
    from .dimse.admission import Admission
    from .dimse.credentials import credentials_of
    from .dimse.expiry import Expiry
    from .dimse.limits import limits_of
    from .dimse.scp import Receiver
    from .services import services_of

    stopping, archive, router = _begin("receive", config), open_archive(config), Router(config)
    credentials = credentials_of(config)
    expiry = Expiry(credentials)
    if config.node.tls_port and credentials is not None:
        credentials.check()
    _allow_many_descriptors()
    sys.setswitchinterval(_SWITCH)
    archive.forget_the_future()
    archive.sweep()
    archive.route_held(router.plan)
    title, trusts = config.node.ae_title, config.node.trust_loopback
    admission = Admission(
        title,
        config.peers,
        trust_loopback=trusts,
        also=router.called,
        plain=config.node.plain,
        credentials=credentials,
    )
    receiver = Receiver(
        archive,
        admission,
        router.plan,
        limits=limits_of(config.node),
        services=services_of(config, archive, admission, credentials),
        private=config.node.storage_classes,
    )
    node, shared = config.node, config.node.receivers > 1
    receiver.start(node.host, node.port, shared=shared)
    if node.tls_port and credentials is not None:
        receiver.start_secure(node.host, node.tls_port, credentials, shared=shared)
        log.info("%s listens for TLS at %s:%d", node.ae_title, node.host, node.tls_port)
    log.info("%s listens at %s:%d", config.node.ae_title, config.node.host, config.node.port)
    expiry.warn()
    while not stopping.wait(_SWEEP_EVERY):
        archive.forget_the_future()
        archive.sweep()
        expiry.warn()
    receiver.stop()
    return 0


def work(config: Config) -> int:
    """Clean what comes in."""
    from .projects import projects_of
    from .worker import Worker

    stopping, archive = _begin("worker", config), open_archive(config)
    projects, router = projects_of(config, archive.files, archive.crosswalk, archive.rulebook), Router(config)
    Worker(archive, projects, _owner("worker", archive), router.destinations_for).run(stopping)
    return 0


def deliver(config: Config) -> int:
    """Send what is published, to each destination on its own thread, studies that are wanted whole once they are, do
    the other errands of peers, and show how far studies are."""
    from .completion import Completion
    from .courier import Courier
    from .dimse.counting import instances_of_study
    from .dimse.credentials import credentials_of
    from .dimse.expiry import Expiry
    from .dimse.scu import destination_of
    from .errands import errands_of
    from .progress import Progress

    stopping, archive = _begin("deliver", config), open_archive(config)
    title, credentials = config.node.ae_title, credentials_of(config)
    completion = Completion(archive, config.peers, lambda peer, uid: instances_of_study(peer, title, uid, credentials))
    folder = archive.files.incoming()
    couriers = [
        Courier(archive, destination_of(config, peer, credentials, folder), _owner("deliver", archive))
        for peer in config.peers
    ]
    errands = errands_of(config, archive, credentials)
    progress = Progress(archive, config)
    steady = [completion.run, progress.run]
    runs = [*steady, *(courier.run for courier in couriers), *(errand.run for errand in errands)]
    threads = [threading.Thread(target=run, args=(stopping,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    expiry = Expiry(credentials)
    expiry.warn()
    while not stopping.wait(_SWEEP_EVERY):
        expiry.warn()
    if not _have_ended(threads, config.node.stop_seconds):
        log.info("stopping: peers that have not answered yet are hung up on")
        for courier in couriers:
            courier.break_off()
        _have_ended(threads, _LAST_WORDS)
    return 0


def _have_ended(threads: Sequence[threading.Thread], seconds: float) -> bool:
    """Whether all have ended, for which they have so many seconds together."""
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def web(config: Config) -> int:
    """Serve portal, DICOMweb and FHIR."""
    from .projects import projects_of
    from .webserver import serve_web

    _begin("web", config)
    archive = open_archive(config)
    projects_of(config, archive.files, archive.crosswalk)

    def ready() -> None:  # only now, when the port is ours: it is shown once
        password = archive.users.first_administrator() if config.auth.mode == AuthMode.LOCAL else None
        if password:
            said = f"First start. Log in as admin with the one-time password {password}"
            print(f"\n  {said}\n  at {config.http.portal}\n", flush=True)
        log.info("the portal is at %s", config.http.portal)
        archive.close()

    serve_web(config, ready)
    return 0


def events(config: Config) -> int:
    """Send event reports to those who follow workitems."""
    from .eventserver import serve_events

    stopping, archive = _begin("events", config), open_archive(config)
    serve_events(config, archive, stopping)
    return 0


PARTS: dict[str, Callable[[Config], int]] = {
    "receive": receive,
    "worker": work,
    "deliver": deliver,
    "web": web,
    "events": events,
}
"""The parts by the name of their command."""


def stop_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set; handlers do nothing else.

    A thread sets it: a handler runs within the main thread, and if that is just taking the event's lock to wait for it,
    both would wait for ever.
    """
    stopping = threading.Event()
    _wake_for_signals()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _thread.start_new_thread(stopping.set, ()))
    return stopping


def _wake_for_signals() -> None:
    """Have handlers run at once. The kernel may give a signal to any thread (signal(7)), but only the main thread runs
    them; while that waits, as for the next sweep in an hour, it would not learn of one that another thread got."""
    waiting, told = os.pipe()
    os.set_blocking(told, False)
    signal.signal(_WAKE, lambda *_: None)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    main = threading.main_thread().ident
    assert main is not None

    def watch() -> None:
        while number := os.read(waiting, 1):
            if number[0] != _WAKE:
                signal.pthread_kill(main, _WAKE)

    threading.Thread(target=watch, daemon=True).start()


def _allow_many_descriptors() -> None:
    """An association needs up to six, and the usual limit is 1,024 where it could be much more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _begin(part: str, config: Config) -> threading.Event:
    start_logging(part, config.node.log_level)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # what is left of a process that crashed would hold PHI
    stopping = stop_signals()
    _end_with_the_supervisor()
    return stopping


def _end_with_the_supervisor() -> None:
    """A part ends when the process that started it is gone, however it went: its end of this pipe is then closed."""
    descriptor = os.environ.get(LIFELINE_VARIABLE)
    if not descriptor:
        return

    def watch() -> None:
        os.read(int(descriptor), 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_LAST_PATIENCE)
        os._exit(1)  # a library's thread that hangs must not keep the port from the next run

    threading.Thread(target=watch, daemon=True).start()


def _owner(part: str, archive: Archive) -> str:
    """A name for this process in its leases, which end when it is gone."""
    owner = f"{part}-{os.getpid()}-{uuid.uuid4().hex}"
    archive.announce(owner)
    return owner
