"""Names, makes and reads the keys of projects, from which pseudonyms are made."""

from __future__ import annotations

import secrets
from functools import partial

from lethe.storage.errors import Unavailable
from lethe.storage.files import FileStore

_KEY_BYTES = 32


def new_key() -> bytes:
    """A random project key, as text so that it can be kept in a password safe."""
    return secrets.token_hex(_KEY_BYTES).encode()


def key_name(project: str) -> str:
    """The name of the file that holds a project's key."""
    return f"project-{project.lower()}.key"


def make_key(files: FileStore, project: str) -> None:
    """Make a project's key, if it has none."""
    files.secret(key_name(project), new_key)


def key_of(files: FileStore, project: str) -> bytes:
    """A project's key. Raises Unavailable where it is missing, or is none."""
    name = key_name(project)
    try:
        key = bytes.fromhex(files.secret(name, partial(_missing, name)).decode().strip())
    except ValueError:
        key = b""
    if len(key) < _KEY_BYTES:
        raise Unavailable(f"keys/{name} holds no key: {2 * _KEY_BYTES} hexadecimal digits are expected; put it back")
    return key


def _missing(name: str) -> bytes:
    raise Unavailable(f"keys/{name} is missing; put it back")
