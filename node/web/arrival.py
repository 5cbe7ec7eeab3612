"""Tells by what address a request was made and who made it, where a proxy stands between: from its headers, if the
proxy is one of those that are trusted, and from the connection otherwise.

A client can send such headers too, so a trusted proxy must overwrite them; one that sends both kinds, Forwarded and
X-Forwarded-*, is believed in neither, since it writes one and lets the client's pass.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADERS = (
    *("Forwarded", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port"),
    "X-Forwarded-Prefix",
)
"""What proxies say about the request they pass on."""
_KEYS = {name: "HTTP_" + name.upper().replace("-", "_") for name in HEADERS}

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_OLDEST = ("HTTP/1.0", "HTTP/1")  # the latter is granian's name for it
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*')
_PROXIED = "lethe.proxied"
_DEFAULT_PORTS = {"http": "80", "https": "443"}

Address = IPv4Address | IPv6Address
Trust = Callable[[str], bool]


@dataclass(frozen=True)
class _Told:
    """What a proxy says about one request; what it does not say is empty."""

    client: str
    host: str = ""
    scheme: str = ""
    port: str = ""
    prefix: str = ""


def arriving(inner: WSGIApplication, trusted_proxies: Sequence[str]) -> WSGIApplication:
    """The application, which sees of each request what was asked of the outermost proxy that is trusted, by whom."""
    networks = [ip_network(network) for network in trusted_proxies]

    def is_trusted(text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in networks)

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if is_trusted(environ.get("REMOTE_ADDR", "")):
            environ[_PROXIED] = True
            _apply(environ, _told(environ, is_trusted))
        if not environ.get("HTTP_HOST"):  # granian's for none, which would make addresses without a host
            environ.pop("HTTP_HOST", None)
        return inner(environ, start_response)

    return serve


def came_by_proxy(environ: WSGIEnvironment) -> bool:
    """Whether it was a proxy that is trusted who passed the request on."""
    return bool(environ.get(_PROXIED))


def names_a_host(environ: WSGIEnvironment) -> bool:
    """Whether Host can be part of an address; only HTTP/1.0 may leave it out (RFC 9112 3.2)."""
    host = str(environ.get("HTTP_HOST", ""))
    return bool(_HOST.fullmatch(host)) or (not host and environ.get("SERVER_PROTOCOL") in _OLDEST)


def host_of(environ: WSGIEnvironment, host: str) -> str:
    """The host and port for addresses in answers. dicomweb-client leaves the port out of Host, and would look on port
    80 for what we name: at an address of this machine it can only have meant the port we listen on."""
    port = str(environ.get("SERVER_PORT", ""))
    if environ.get(_PROXIED) or any(key in environ for key in _KEYS.values()):
        return host
    if port in ("", _DEFAULT_PORTS.get(environ["wsgi.url_scheme"])) or not port.isdigit():
        return host
    return f"{host}:{port}" if _is_this_machine(host, environ.get("REMOTE_ADDR", "")) else host


def _told(environ: WSGIEnvironment, is_trusted: Trust) -> _Told:
    peer = str(environ["REMOTE_ADDR"])
    plain = any(key in environ for name, key in _KEYS.items() if name.startswith("X-"))
    standard = str(environ.get("HTTP_FORWARDED", ""))
    if plain and standard:
        return _Told(peer)
    return _from_standard(standard, peer, is_trusted) if standard else _from_plain(environ, peer, is_trusted)


def _from_standard(header: str, peer: str, is_trusted: Trust) -> _Told:
    """RFC 7239: each proxy adds an element at the end, saying who asked it."""
    told = _Told(peer)
    for element in reversed(re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', header)):
        pairs = {name.lower(): quoted or plain for name, quoted, plain in _PAIR.findall(element)}
        asker = _address(pairs.get("for", ""))
        told = _Told(str(asker or told.client), pairs.get("host", ""), pairs.get("proto", ""))
        if asker is None or not is_trusted(str(asker)):
            break
    return told


def _from_plain(environ: WSGIEnvironment, peer: str, is_trusted: Trust) -> _Told:
    """The names without a standard: as many values as there were proxies, or the last one's alone."""
    client, hops = peer, 0
    for text in reversed(_values(environ, "X-Forwarded-For") or _values(environ, "X-Real-IP")):
        asker = _address(text)
        if asker is None:
            break
        client, hops = str(asker), hops + 1
        if not is_trusted(client):
            break

    def value(name: str) -> str:
        values = _values(environ, name)
        return values[-min(len(values), max(hops, 1))] if values else ""

    names = ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix")
    return _Told(client, *map(value, names))


def _apply(environ: WSGIEnvironment, told: _Told) -> None:
    environ["REMOTE_ADDR"] = told.client
    if told.scheme.lower() in _DEFAULT_PORTS:
        environ["wsgi.url_scheme"] = told.scheme.lower()
    if _HOST.fullmatch(told.host):
        environ["HTTP_HOST"] = told.host
    if re.fullmatch(r"[0-9]{1,5}", told.port) and _HOST.fullmatch(environ.get("HTTP_HOST", "")):
        name = re.sub(r":[0-9]+$", "", environ["HTTP_HOST"])
        is_usual = told.port == _DEFAULT_PORTS.get(environ["wsgi.url_scheme"])
        environ["HTTP_HOST"] = name if is_usual else f"{name}:{told.port}"
    prefix = told.prefix.rstrip("/")
    if prefix and _PREFIX.fullmatch(prefix):
        path = environ.get("PATH_INFO", "")
        if path == prefix or path.startswith(f"{prefix}/"):
            environ["PATH_INFO"] = path[len(prefix) :] or "/"
        environ["SCRIPT_NAME"] = prefix


def _is_this_machine(host: str, asker: str) -> bool:
    """Whether the asker, who used this name or address, reached us by it without a port being mapped on the way."""
    address = _address("127.0.0.1" if host.lower() == "localhost" else host)
    if address is None or re.search(r"[^:]:[0-9]+$", host):
        return False
    if address.is_loopback:
        caller = _address(asker)
        return caller is not None and caller.is_loopback
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return not address.is_unspecified


def _values(environ: WSGIEnvironment, name: str) -> list[str]:
    return [value.strip() for value in str(environ.get(_KEYS[name], "")).split(",") if value.strip()]


@lru_cache(1024)
def _address(text: str) -> Address | None:
    """The address in "192.0.2.7", "192.0.2.7:4711", "[2001:db8::7]:4711" or "2001:db8::7"; IPv4 in its own form."""
    bare = re.sub(r"^\[([^]]*)\](:[0-9]+)?$", r"\1", text.strip())
    bare = re.sub(r"^([0-9.]+):[0-9]+$", r"\1", bare)
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
