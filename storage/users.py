"""Knows people, what they may do, and their passwords (argon2)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from peewee import Table

from .database import transaction
from .errors import NotFound, Refused

_SHORTEST = 12


class Role(StrEnum):
    """What a person, or the holder of a token, is here for; the guard asks for permissions, not for roles."""

    ADMINISTRATOR = "administrator"
    READER = "reader"


class Permission(StrEnum):
    """What a request needs. A route that names none is closed (`node/web/guard.py`)."""

    ANYONE = "anyone"
    """Health, login and what a browser must get before it can log in."""
    READ = "read"
    """See clean objects, counts, reasons."""
    MANAGE = "manage"
    """Decide: release from quarantine, and whatever changes state."""
    ORIGINALS = "originals"
    """See what stood in an object before it was cleaned; each look is audited."""
    REDACT = "redact"
    """Have files redacted over HTTP, which are not kept here."""
    STORE = "store"
    """Hand in objects to be cleaned, by STOW-RS or in the portal."""
    DELETE = "delete"
    """Delete clean objects, and discard originals that are held back, for good; each is audited."""
    WORKLIST = "worklist"
    """Read, make, claim and follow workitems; those of clients may name patients."""


GRANTS = {
    Role.ADMINISTRATOR: frozenset(Permission),
    Role.READER: frozenset((Permission.ANYONE, Permission.READ)),
}

_View = TypeVar("_View", bound=Callable[..., Any])


def needs(permission: Permission) -> Callable[[_View], _View]:
    """State on a view what a caller needs to be let in; the guard reads it."""

    def state(view: _View) -> _View:
        view.permission = permission  # type: ignore[attr-defined]
        return view

    return state


@dataclass(frozen=True)
class User:
    """A person who may log in. `fingerprint` changes with the password, so that a change ends all other sessions."""

    name: str
    role: Role
    must_change: bool
    fingerprint: str


class Users:
    """The people of one data folder."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._person = Table("person", ("name", "password", "must_change", "role"), _database=database)
        self._hasher = PasswordHasher()
        self._nobody = ""

    def first_administrator(self) -> str | None:
        """Make the account `admin` where there is no account yet. Returns its one-time password, to be shown once."""
        password = secrets.token_urlsafe(12)
        row = {
            "name": "admin",
            "password": self._hasher.hash(password),
            "must_change": 1,
            "role": Role.ADMINISTRATOR,
        }
        with transaction(self._database):
            if next(iter(self._person.select(self._person.name).limit(1).tuples()), None):
                return None
            self._person.insert(row).execute()
        return password

    def authenticate(self, name: str, password: str) -> User | None:
        """The user if name and password are right. Takes as long for a name that does not exist."""
        row = self._row(name)
        try:
            self._hasher.verify(row["password"] if row else self._password_of_nobody(), password)
        except (VerificationError, InvalidHashError):
            return None
        return _user(row) if row else None

    def get(self, name: str) -> User:
        """The user of that name. Raises NotFound."""
        row = self._row(name)
        if row is None:
            raise NotFound("there is no such user")
        return _user(row)

    def change_password(self, name: str, password: str) -> User:
        """Set a new password. Raises Refused where it is too short, NotFound."""
        if len(password) < _SHORTEST:
            raise Refused(f"a password has at least {_SHORTEST} characters")
        person = self._person
        values = {person.password: self._hasher.hash(password), person.must_change: 0}
        if not person.update(values).where(person.name == name).execute():
            raise NotFound("there is no such user")
        return self.get(name)

    def _password_of_nobody(self) -> str:
        self._nobody = self._nobody or self._hasher.hash(secrets.token_urlsafe(32))
        return self._nobody

    def reset_password(self, name: str) -> str:
        """Give an account a new one-time password, which is returned; all its sessions end. Raises NotFound."""
        password, person = secrets.token_urlsafe(12), self._person
        values = {person.password: self._hasher.hash(password), person.must_change: 1}
        if not person.update(values).where(person.name == name).execute():
            raise NotFound(f"there is no account {name!r}; the first start of the web side makes admin")
        return password

    def _row(self, name: str) -> dict[str, Any] | None:
        return next(iter(self._person.select().where(self._person.name == name).dicts()), None)


def _user(row: dict[str, Any]) -> User:
    return User(row["name"], Role(row["role"]), bool(row["must_change"]), row["password"][-16:])
