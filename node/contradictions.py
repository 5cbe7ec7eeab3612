"""Says what settings contradict one another, each of which is accepted by itself."""

from __future__ import annotations

from collections.abc import Iterator

from lethe.storage.demand import Demand

from .burned.offered import OURS, finder_names
from .choices import AuthMode, PixelPolicy, ProfileName, UnknownPatients
from .config import Config, Peer, Project, Route
from .deid.profile import Option
from .loopback import is_loopback
from .patterns import any_matches, is_exact

_FACES = Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES


def contradictions(config: Config) -> Iterator[str]:
    """All of them, one sentence each, in the order of the sections."""
    yield from _names_that_stand_twice("peer", [peer.name for peer in config.peers])
    yield from _names_that_stand_twice("step", [step.name for step in config.steps])
    folded = [project.name.lower() for project in config.projects]
    for project in config.projects:
        if folded.count(project.name.lower()) > 1:  # their keys would be one file
            yield f"[projects.{project.name}]: another project is called so but for capitals; accepted: another name"
        for mistake in _project_mistakes(project, config):
            yield f"[projects.{project.name}]: {mistake}"
    yield from _routes_mistakes(config)
    yield from _node_mistakes(config)
    yield from _tls_mistakes(config)
    yield from _http_mistakes(config)


def _names_that_stand_twice(what: str, names: list[str]) -> Iterator[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"[[{what}s]]: name = {name!r} stands twice; accepted: a name of its own for each {what}"


def _project_mistakes(project: Project, config: Config) -> Iterator[str]:
    yield from _deface_mistakes(project, config)
    if not project.text_finders and project.pixel_policy != PixelPolicy.NONE:
        yield f'text_finders is empty; accepted: at least one, with pixel_policy = "{project.pixel_policy}"'
    if not OURS.issuperset(project.text_finders) and (absent := set(project.text_finders).difference(finder_names())):
        yield f"text_finders names {', '.join(map(repr, sorted(absent)))}; accepted: {', '.join(finder_names())}"
    for peer in config.peers:
        if peer.name in project.send_to and _comes_back(peer, project, config):
            yield (
                f"send_to names {peer.name}, which is this node itself, and a route brings here again what it sends;"
                " accepted: another peer, or routes that leave our own AE title out"
            )
    yield from _commit_mistakes(project, config)
    if project.profile == ProfileName.NONE and project.unknown_patients == UnknownPatients.HOLD:
        yield 'unknown_patients = "hold"; accepted with profile = "none": "pseudonym"'
    if {Option.RETAIN_LONGITUDINAL_FULL_DATES, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES} <= set(project.options):
        yield (
            "options holds both ways to treat dates; accepted: one of "
            "retain-longitudinal-full-dates, retain-longitudinal-modified-dates"
        )


def _comes_back(peer: Peer, project: Project, config: Config) -> bool:
    """Whether what a project sends to a peer is cleaned for that project once more, and so for ever."""
    node = config.node
    if peer.port not in (node.port, node.tls_port) or not (is_loopback(peer.host) or peer.host == node.host):
        return False
    return any(
        route.project == project.name
        and any_matches(route.source, [node.ae_title])
        and (not route.called or any_matches(route.called, [peer.ae_title]))
        for route in config.routes
    )


def _commit_mistakes(project: Project, config: Config) -> Iterator[str]:
    said = f'commit = "{project.commit}"'
    if project.commit in (Demand.DELIVERED, Demand.COMMITTED) and not project.send_to:
        yield f'{said} without send_to; accepted: "received" or "published", or peers in send_to'
    if project.commit == Demand.COMMITTED:
        silent = [name for name in project.send_to if (peer := config.peer(name)) is not None and not peer.commits]
        if silent:
            yield f"{said} needs commits = true of {', '.join(silent)}; accepted: that, or another commit"


def _deface_mistakes(project: Project, config: Config) -> Iterator[str]:
    is_there = project.deface in [step.name for step in config.steps]
    if is_there and (_FACES not in project.options or project.profile == ProfileName.NONE):
        yield f'deface = {project.deface!r} would not be run; accepted: profile = "basic" with the option {_FACES}'


def _routes_mistakes(config: Config) -> Iterator[str]:
    if config.routes is Config.routes and config.project(Config.routes[0].project) is None:
        names = ", ".join(project.name for project in config.projects)
        said = "[[routes]]: without any, all goes to [projects.default], which is not there"
        yield f"{said}; accepted: [[routes]] whose project is one of {names}"
        return
    for number, route in enumerate(config.routes, 1):
        for mistake in _return_mistakes(route, config):
            yield f"[[routes]] number {number}: {mistake}"


def _node_mistakes(config: Config) -> Iterator[str]:
    if config.node.database and not config.node.database.startswith("sqlite:///"):
        yield f"[node]: database = {config.node.database!r}; accepted: sqlite:///FILE (others are not supported yet)"
    if config.node.port == config.http.port and config.node.host == config.http.host:
        yield f"[http]: port = {config.http.port} is [node] port as well; accepted: another one"
    if config.auth.mode == AuthMode.NONE and not is_loopback(config.http.host):
        yield (
            f'[auth]: mode = "none" with [http] host = {config.http.host!r}; accepted: "local", '
            "or a loopback address such as 127.0.0.1"
        )


def _tls_mistakes(config: Config) -> Iterator[str]:
    node, secured = config.node, [peer for peer in config.peers if peer.tls]
    if node.tls_port and node.host == config.http.host and node.tls_port == config.http.port:
        yield f"[http]: port = {config.http.port} is [node] tls_port as well; accepted: another one"
    if node.tls_port == node.port:
        yield f"[node]: tls_port = {node.tls_port} is port as well; accepted: another one, such as 2762"
    if node.tls_port and not secured:
        yield "[node]: tls_port without a peer that uses it; accepted: tls = true in at least one of the [[peers]]"
    if bool(node.tls_certificate) != bool(node.tls_key):
        yield "[node]: of tls_certificate and tls_key only one is there; accepted: both or none"
    if (node.tls_port or secured) and not (node.tls_certificate and node.tls_key):
        yield "[node]: TLS needs tls_certificate and tls_key; accepted: PEM files"
    for number, peer in enumerate(config.peers, 1):
        if peer.tls and not (peer.tls_ca or node.tls_ca):
            yield f"[[peers]] number {number}: tls = true needs tls_ca, here or in [node]; accepted: a PEM file"
        if not peer.tls and (peer.tls_ca or peer.tls_certificates):
            yield f"[[peers]] number {number}: tls_ca or tls_certificates without tls; accepted: tls = true"


def _events_mistakes(config: Config) -> Iterator[str]:
    node, http = config.node, config.http
    taken = {http.port: "port"}
    if http.host == node.host:
        taken |= {node.port: "[node] port", node.tls_port: "[node] tls_port"}
    if http.events_port and http.events_port in taken:
        said = f"events_port = {http.events_port} is {taken[http.events_port]} as well"
        yield f"[http]: {said}; accepted: another one, or 0"


def _http_mistakes(config: Config) -> Iterator[str]:
    yield from _events_mistakes(config)
    if config.auth.mode == AuthMode.NONE and "*" in config.http.cors_origins:
        yield (
            '[http]: cors_origins = ["*"] with [auth] mode = "none" lets every page read everything; '
            'accepted: the origins themselves, or "local"'
        )


def _return_mistakes(route: Route, config: Config) -> Iterator[str]:
    """What is wrong with where re-identified objects come from and go to."""
    if not route.reidentify:
        if route.send_to:
            yield "send_to without reidentify = true; accepted: send_to in the project, which gets what is clean"
        return
    identified = ", ".join(peer.name for peer in config.peers if peer.identified)
    accepted = f"names of [[peers]] with identified = true ({identified or 'there are none'})"
    if not all(is_exact(source) for source in route.source):
        said = ", ".join(f'"{source}"' for source in route.source)
        yield f"from = {said} with reidentify = true; accepted: the one source of the results, such as an AE title"
    if not route.send_to:
        yield f"reidentify = true needs send_to; accepted: {accepted}"
    for name in route.send_to:
        peer = config.peer(name)
        if peer is not None and not peer.identified:
            yield f"send_to names {name!r}, which is not declared to get PHI; accepted: {accepted}"
    project = config.project(route.project)
    if project is not None and project.profile == ProfileName.NONE:
        yield 'reidentify = true for a project with profile = "none", which replaces nothing; accepted: "basic"'
