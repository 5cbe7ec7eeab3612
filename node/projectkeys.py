"""Names, makes and reads the keys of projects, from which pseudonyms are made."""

from __future__ import annotations

import secrets

from lethe.storage.crosswalk import Crosswalk
from lethe.storage.files import FileStore

from .errors import UserError

_KEY_BYTES = 32


def new_key() -> bytes:
    """A random project key, as text so that it can be kept in a password safe."""
    return secrets.token_hex(_KEY_BYTES).encode()


def key_name(project: str) -> str:
    """The name of the file that holds a project's key."""
    return f"project-{project.lower()}.key"


def demand_key(files: FileStore, crosswalk: Crosswalk, project: str) -> None:
    """Raises UserError where the key was lost: another, made in silence, would give everybody another pseudonym."""
    name = key_name(project)
    if not files.has_secret(name) and crosswalk.has_made(project):
        raise UserError(
            f"keys/{name} is missing, from which the pseudonyms of project {project} were made; put it back, or, to"
            " give other pseudonyms from now on, put there what `lethe key new` prints"
        )


def key_of(files: FileStore, project: str) -> bytes:
    """A project's key, made on first use."""
    return bytes.fromhex(files.secret(key_name(project), new_key).decode().strip())
