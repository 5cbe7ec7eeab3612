"""Encrypts what the database keeps (AES-256-GCM), each value bound to its place, so that one that was altered or put
elsewhere cannot be opened; and seals small values: whoever takes the database, but not `keys/crosswalk.key`, learns
nothing of them."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import Refused

_NONCE_BYTES = 12


def encrypted(cipher: AESGCM, plain: bytes, bound: bytes) -> bytes:
    """What only the same key opens, and only with what it is bound to: a nonce, and what was encrypted with it."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plain, bound)


def decrypted(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    """What was encrypted. Raises ValueError where it was altered or put elsewhere, or the key is another."""
    try:
        return cipher.decrypt(bytes(sealed[:_NONCE_BYTES]), bytes(sealed[_NONCE_BYTES:]), bound)
    except InvalidTag:
        raise ValueError("it was altered, or the key is another") from None


class Sealing:
    """What is sealed for one purpose. `cipher_for` makes its cipher from the crosswalk's key; it may raise
    Unavailable."""

    def __init__(self, cipher_for: Callable[[str], AESGCM], purpose: str) -> None:
        self._cipher_for = cipher_for
        self._purpose = purpose

    def sealed(self, place: str, value: Any) -> bytes:
        """A JSON value for this place."""
        plain = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)
        return encrypted(self._cipher, plain, self._bound_to(place))

    def text(self, place: str, sealed: bytes) -> str:
        """The JSON text of what was sealed for this place. Raises Refused where it was altered."""
        try:
            plain = decrypted(self._cipher, sealed, self._bound_to(place))
        except ValueError:
            raise Refused("something that was kept encrypted was altered, or the key is another") from None
        return zlib.decompress(plain).decode()

    def value(self, place: str, sealed: bytes) -> Any:
        """The value itself. Raises Refused."""
        return json.loads(self.text(place, sealed))

    @cached_property
    def _cipher(self) -> AESGCM:
        return self._cipher_for(self._purpose)

    def _bound_to(self, place: str) -> bytes:
        return f"{self._purpose}\0{place}".encode()
