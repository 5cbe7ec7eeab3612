"""Reads addresses of the network: which are this machine itself, which are IPv4 in the form of IPv6."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Whether the address or name is this machine itself; IPv4 within IPv6 and scoped addresses are understood."""
    try:
        return ipaddress.ip_address(unmapped(host.partition("%")[0])).is_loopback
    except ValueError:
        return host == "localhost"


@lru_cache(1024)
def unmapped(address: str) -> str:
    """An IPv4 address as such, which a socket for both versions gives as one of IPv6 (RFC 4291 2.5.5.2)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(getattr(ip, "ipv4_mapped", None) or address)
