"""Holds what is needed to clean for each project: its profile, its key, its rule about pixels, its destinations."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from lethe.storage.files import FileStore

from .config import Config, PixelPolicy, ProfileName
from .config import Project as ProjectConfig
from .deid.deidentify import Cleaned, PixelRule, deidentify, pass_pixels, pass_through
from .deid.pixels import may_carry_text
from .deid.profile import Profile
from .deid.pseudonyms import Pseudonyms

_KEY_BYTES = 32


@dataclass(frozen=True)
class Project:
    """One project, ready to work. `profile` is None where objects pass through unchanged."""

    name: str
    profile: Profile | None
    pseudonyms: Pseudonyms
    pixel_rule: PixelRule
    send_to: tuple[str, ...]

    def clean(self, file: BinaryIO) -> Cleaned:
        """The result for the object in an open Part 10 file. Raises CannotClean."""
        if self.profile is None:
            return pass_through(file)
        return deidentify(file, self.profile, self.pseudonyms, self.pixel_rule)

    @property
    def digest(self) -> str:
        """Stands for everything that decides what the result looks like."""
        return f"{self.profile.digest if self.profile else 'unchanged'}:{self.pseudonyms.key_id}"


def projects_of(config: Config, files: FileStore) -> Mapping[str, Project]:
    """The configured projects by name, each with its own key, made on first use."""
    return {project.name: _project(project, files) for project in config.projects}


def new_key() -> bytes:
    """A random project key, as text so that it can be kept in a password safe."""
    return secrets.token_hex(_KEY_BYTES).encode()


def _project(project: ProjectConfig, files: FileStore) -> Project:
    key = files.secret(f"project-{project.name.lower()}.key", new_key)
    return Project(
        name=project.name,
        profile=Profile(project.options) if project.profile == ProfileName.BASIC else None,
        pseudonyms=Pseudonyms(bytes.fromhex(key.decode().strip())),
        pixel_rule=_PIXEL_RULES[project.pixel_policy],
        send_to=project.send_to,
    )


# Burned-in text cannot be found yet, so every policy but "none" refuses what may carry it.
_PIXEL_RULES: Mapping[PixelPolicy, PixelRule] = {
    PixelPolicy.PHI: may_carry_text,
    PixelPolicy.ALL: may_carry_text,
    PixelPolicy.REGIONS: may_carry_text,
    PixelPolicy.NONE: pass_pixels,
}
