"""Names, makes and reads the keys of projects, from which pseudonyms are made."""

from __future__ import annotations

import secrets

from lethe.storage.files import FileStore

_KEY_BYTES = 32


def new_key() -> bytes:
    """A random project key, as text so that it can be kept in a password safe."""
    return secrets.token_hex(_KEY_BYTES).encode()


def key_name(project: str) -> str:
    """The name of the file that holds a project's key."""
    return f"project-{project.lower()}.key"


def key_of(files: FileStore, project: str) -> bytes:
    """A project's key, made on first use."""
    return bytes.fromhex(files.secret(key_name(project), new_key).decode().strip())
