"""Tells which addresses are this machine itself."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Whether the address or name is this machine itself; IPv4 within IPv6 and scoped addresses are understood."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
