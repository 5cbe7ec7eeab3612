"""Finds out who is asking, from a session, a bearer token, or name and password.

A password is verified with argon2, which is slow on purpose; a verification that succeeded is remembered for a short
time, in memory, under a keyed digest, and is worth nothing once the password has changed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.datastructures import Authorization

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.database import transaction
from lethe.storage.errors import NotFound
from lethe.storage.users import GRANTS, Permission, Role, User

from .throttle import Throttle

ADMIN_TOKEN_VARIABLE, READ_TOKEN_VARIABLE = "LETHE_ADMIN_TOKEN", "LETHE_READ_TOKEN"
"""Name bearer tokens in the environment: the administrator's, and that of who may read what is clean."""
_REMEMBERED = 300.0
_MOST_REMEMBERED = 256


class Unknown(Exception):
    """The credentials are wrong."""


@dataclass(frozen=True)
class Caller:
    """Who is asking, from where, and what he may do. `must_change`: only a new password first."""

    name: str
    address: str
    permissions: frozenset[Permission]
    must_change: bool = False

    @property
    def actor(self) -> Actor:
        """The caller, for the audit trail."""
        return Actor(self.name, self.address)

    def may(self, permission: Permission) -> bool:
        """Whether he may do what needs this permission."""
        return permission in self.permissions


NOBODY = Caller("", "", frozenset({Permission.ANYONE}))


def everyone(address: str) -> Caller:
    """Whoever comes where there are no accounts."""
    return Caller("local", address, GRANTS[Role.ADMINISTRATOR])


class Credentials:
    """Checks credentials against the users of one archive and the tokens, if there are any."""

    def __init__(
        self,
        archive: Archive,
        admin_token: str,
        key: bytes,
        *,
        read_token: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive = archive
        self._tokens = (
            ("admin-token", admin_token.strip().encode(), Role.ADMINISTRATOR),
            ("read-token", read_token.strip().encode(), Role.READER),
        )
        self._key = key
        self._memory_key = secrets.token_bytes(32)
        self._clock = clock
        self._per_name = Throttle(free=4, clock=clock)
        self._per_address = Throttle(free=20, clock=clock)
        self._verified: OrderedDict[bytes, tuple[float, User]] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def by_session(self, name: str, seal: str, address: str) -> Caller | None:
        """The person a session was given to, unless his password has changed since."""
        try:
            user = self._archive.users.get(name)
        except NotFound:
            return None
        return _caller(user, address) if hmac.compare_digest(self.seal(user).encode(), seal.encode()) else None

    def seal(self, user: User) -> str:
        """What a session carries to prove that the password is still the one it was opened with."""
        return hmac.new(self._key, f"{user.name}\0{user.fingerprint}".encode(), hashlib.sha256).hexdigest()

    def by_authorization(self, given: Authorization | None, address: str) -> Caller | None:
        """The caller that an Authorization header names; None where it holds no token or password. Raises Unknown or
        TooManyAttempts."""
        if given is not None and given.type == "bearer":
            return self.by_token(given.token or "", address)
        if given is not None and given.type == "basic":
            return self.by_basic(given.username or "", given.password or "", address)
        return None

    def by_token(self, token: str, address: str) -> Caller:
        """The holder of a token. Raises Unknown; an unset token matches nothing."""
        for name, secret, role in self._tokens:
            if secret and hmac.compare_digest(token.encode(), secret):
                return Caller(name, address, GRANTS[role])
        if not self._per_address.wait(address):
            self._per_address.failed(address)
            self._record("login-refused", Actor("unknown", address), "token")
        raise Unknown

    def by_basic(self, name: str, password: str, address: str) -> Caller:
        """The person with that name and password, as sent with every request. Raises Unknown or TooManyAttempts."""
        memory = hmac.new(self._memory_key, f"{name}\0{password}".encode(), hashlib.sha256).digest()
        # One at a time: of many requests that a program sends at once, the first is verified and the others remember.
        user = self._remembered(memory)
        if user is None:
            with self._one_at_a_time:
                user = self._remembered(memory)
                if user is None:
                    user = self.verify(name, password, address, "basic")
                    self._remember(memory, user)
        return _caller(user, address)

    def verify(self, name: str, password: str, address: str, how: str) -> User:
        """The user, if name and password are right; either way it is audited. Raises Unknown or TooManyAttempts."""
        pair = f"{address}\0{name}"
        self._per_address.enter(address)
        try:
            self._per_name.enter(pair)
        except Exception:
            self._per_address.forgive(address)
            raise
        user = self._archive.users.authenticate(name, password)
        if user is None:
            # A name that is not ours is not written down: it may be a password in the wrong field.
            known = name if self._knows(name) else "unknown"
            self._record("login-refused", Actor(known, address), how)
            raise Unknown
        self._per_name.forget(pair)
        self._per_address.forgive(address)
        self._record("login", Actor(user.name, address), how)
        return user

    def _remember(self, memory: bytes, user: User) -> None:
        self._verified[memory] = (self._clock() + _REMEMBERED, user)
        while len(self._verified) > _MOST_REMEMBERED:
            self._verified.popitem(last=False)

    def _remembered(self, memory: bytes) -> User | None:
        until, user = self._verified.get(memory, (0.0, None))
        if user is None or until <= self._clock():
            return None
        try:
            current = self._archive.users.get(user.name)
        except NotFound:
            return None
        return current if current.fingerprint == user.fingerprint else None

    def _knows(self, name: str) -> bool:
        try:
            return bool(self._archive.users.get(name))
        except NotFound:
            return False

    def _record(self, action: str, actor: Actor, how: str) -> None:
        with transaction(self._archive.database):
            self._archive.audit.record(actor, action, detail={"by": how})


def session_key(archive: Archive) -> bytes:
    """The key that signs sessions, made on first use."""
    return archive.files.secret("session.key", lambda: secrets.token_bytes(32))


def _caller(user: User, address: str) -> Caller:
    return Caller(user.name, address, GRANTS[user.role], user.must_change)
