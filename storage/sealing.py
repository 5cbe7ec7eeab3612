"""Seals small values, so that whoever takes the database, but not `keys/crosswalk.key`, learns nothing of them:
AES-256-GCM, each bound to its place, so that one that was altered or put elsewhere cannot be opened."""

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


class Sealing:
    """What is sealed for one purpose. `cipher_for` makes its cipher from the crosswalk's key; it may raise
    Unavailable."""

    def __init__(self, cipher_for: Callable[[str], AESGCM], purpose: str) -> None:
        self._cipher_for = cipher_for
        self._purpose = purpose

    def sealed(self, place: str, value: Any) -> bytes:
        """A JSON value for this place."""
        nonce = os.urandom(_NONCE_BYTES)
        plain = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)
        return nonce + self._cipher.encrypt(nonce, plain, self._bound_to(place))

    def text(self, place: str, sealed: bytes) -> str:
        """The JSON text of what was sealed for this place. Raises Refused where it was altered."""
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], bytes(sealed[_NONCE_BYTES:]), self._bound_to(place))
        except InvalidTag:
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
