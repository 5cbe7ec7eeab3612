"""Matches texts with `*` (anything) and `?` (one character), and addresses with networks, as routes write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def any_matches(patterns: Sequence[str], values: Iterable[str]) -> bool:
    """Whether one of the values matches one of the patterns, as they are spelt."""
    found = list(values)
    return any(_matcher(pattern)(value) for pattern in patterns for value in found)


def any_matches_in_spirit(patterns: Sequence[str], values: Iterable[str]) -> bool:
    """The same, whatever is a capital letter."""
    return any_matches([pattern.casefold() for pattern in patterns], (value.casefold() for value in values))


def is_exact(pattern: str) -> bool:
    """Whether it stands for itself alone."""
    return not {"*", "?"} & set(pattern)


def is_within(networks: Sequence[str], address: str) -> bool:
    """Whether an address is one of these, or in one of these networks (CIDR)."""
    try:
        known = _plain(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    return any(known in ip_network(network, strict=False) for network in networks)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that came over an IPv6 socket as itself."""
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


@cache
def _matcher(pattern: str) -> Callable[[str], object]:
    parts = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    return re.compile("".join(parts), re.DOTALL).fullmatch
