"""Reads one value of config.toml each: returns it typed, or raises ValueError with the words for what is accepted."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import ip_network
from typing import Any

import pydicom.uid

from lethe.storage.aetitles import ae_title

from .deface import INPUT, OUTPUT
from .deid.pseudonyms import LONGEST_ROOT
from .headerfacts import path_from
from .windows import DAYS, Span, days_from, span_from

FINGERPRINT = "sha256:"


def as_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("a non-empty text")
    return value


def as_host(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s/\\\x00-\x1f]+", value):
        raise ValueError('an address such as "192.0.2.10" or "::1", or a host name')
    return value


def as_ae_title(value: Any) -> str:
    title = ae_title(value) if isinstance(value, str) else ""
    if not title:
        raise ValueError("an AE title: 1 to 16 characters without backslash")
    return title


def as_whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(value)

    return read


def as_number(least: float, most: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if type(value) not in (int, float) or not least <= value <= most:
            raise ValueError(f"a number from {least:g} to {most:g}")
        return float(value)

    return read


def as_one_or_list_of(read_one: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A value, or a list of them that is not empty."""

    def read(value: Any) -> tuple[Any, ...]:
        several = value if isinstance(value, list) else [value]
        try:
            if not several:
                raise ValueError("at least one value")
            return tuple(read_one(one) for one in several)
        except ValueError as error:
            raise ValueError(f"{error}, or a list of such") from None

    return read


def as_network(value: Any) -> str:
    try:
        return str(ip_network(str(value), strict=False)) if isinstance(value, str) else as_text(None)
    except ValueError:
        raise ValueError('an IP address such as "192.0.2.7" or a network such as "192.0.2.0/24"') from None


def as_sop_class(value: Any) -> str:
    """A SOP Class as UID, by the keyword pydicom has for it, or a pattern of UIDs."""
    if isinstance(value, str) and re.fullmatch(r"[0-9.*?]+", value):
        return value
    uid = getattr(pydicom.uid, value, None) if isinstance(value, str) else None
    if not isinstance(uid, pydicom.uid.UID):
        raise ValueError('a SOP Class such as "CTImageStorage", its UID, or the beginning of one and "*"')
    return str(uid)


def as_uid(value: Any) -> str:
    """A UID (PS3.5 9.1)."""
    if not isinstance(value, str) or not pydicom.uid.UID(value).is_valid:
        raise ValueError('a UID such as "1.3.12.2.1107.5.9.1"')
    return value


def as_hours(value: Any) -> Span:
    try:
        return span_from(value)
    except (ValueError, TypeError):
        raise ValueError('hours such as "19:00-06:00"') from None


def as_days(value: Any) -> tuple[int, ...]:
    try:
        return days_from(value)
    except (ValueError, AttributeError):
        raise ValueError(f'days such as "sat" or "mon-fri" ({", ".join(DAYS)})') from None


def as_attributes(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A table of attributes with what their values have to be."""
    if not isinstance(value, dict):
        raise ValueError('a table such as { InstitutionName = "NORTH*", "0018,0015" = ["CHEST", "ABDOMEN"] }')
    for name in value:
        path_from(name)
    return tuple((name, as_one_or_list_of(as_text)(wanted)) for name, wanted in value.items())


def as_truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def as_choice(choices: type[StrEnum]) -> Callable[[Any], StrEnum]:
    def read(value: Any) -> StrEnum:
        try:
            return choices(value)
        except ValueError:
            raise ValueError("one of " + ", ".join(f'"{choice}"' for choice in choices)) from None

    return read


def as_certificate(value: Any) -> str:
    """A fingerprint as `openssl x509 -fingerprint -sha256` or we write it, or a subject (RFC 4514)."""
    accepted = 'a fingerprint "sha256:..." of 64 hexadecimal digits, or a subject such as "CN=archive,O=Hospital"'
    if not isinstance(value, str):
        raise ValueError(accepted)
    if value.lower().startswith(FINGERPRINT):
        digits = value[len(FINGERPRINT) :].replace(":", "").lower()
        if not re.fullmatch(r"[0-9a-f]{64}", digits):
            raise ValueError(accepted)
        return FINGERPRINT + digits
    if not re.fullmatch(r"[A-Za-z0-9.]+=.+", value):
        raise ValueError(accepted)
    return value


def as_path_or_none(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError('a path, or ""')
    return value


def as_list_of(read_one: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read(value: Any) -> tuple[Any, ...]:
        try:
            return tuple(read_one(one) for one in (value if isinstance(value, list) else [None]))  # which nothing takes
        except ValueError as error:
            raise ValueError(f"a list, each {error}".replace("each one of", "each of")) from None

    return read


def as_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", value):
        raise ValueError("a name of letters, digits, - and _ (at most 40)")
    return value


def as_name_or_none(value: Any) -> str:
    return "" if value == "" else as_name(value)


def as_command(value: Any) -> tuple[str, ...]:
    accepted = f'a command as a list of texts, "{INPUT}" and "{OUTPUT}" among them'
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise ValueError(accepted)
    if value[0] in (INPUT, OUTPUT) or not {INPUT, OUTPUT} <= set(value):
        raise ValueError(accepted)
    return tuple(value)


def as_uid_root(value: Any) -> str:
    """PS3.5 9.1: numbers without leading zeros, and ISO/IEC 8824: of the first two, 0 to 2 and, below 2, at most 39."""
    accepted = f'a UID root such as "1.2.826.0.1.3680043.10", at most {LONGEST_ROOT} characters'
    if not isinstance(value, str) or not re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*))+", value) or len(value) > LONGEST_ROOT:
        raise ValueError(accepted)
    first, second, *_ = value.split(".")
    if (first != "2" and int(second) > 39) or f"{value}.".startswith("1.2.840.10008."):
        raise ValueError(f"{accepted}, that is your own")
    return value


def as_log_level(value: Any) -> str:
    if value not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError('one of "DEBUG", "INFO", "WARNING", "ERROR"')
    return str(value)


def as_url(value: Any) -> str:
    if not isinstance(value, str) or (value and not re.fullmatch(r"https?://[^\s?#]+", value)):
        raise ValueError('a URL such as "https://lethe.example.org", or ""')
    return value.rstrip("/")


def as_origin(value: Any) -> str:
    """An origin as browsers send it (RFC 6454 6.2), or "*"."""
    accepted = 'an origin such as "https://ohif.example.org" or "http://127.0.0.1:3000", without a path, or "*"'
    if not isinstance(value, str) or not re.fullmatch(
        r"\*|https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", value
    ):
        raise ValueError(accepted)
    return re.sub(r"^(http://.*):80$|^(https://.*):443$", r"\1\2", value)
