"""Lists what a setting can be, where it is one of a few words."""

from __future__ import annotations

from enum import StrEnum


class AuthMode(StrEnum):
    """How a caller of the HTTP side proves who he is."""

    LOCAL = "local"
    NONE = "none"


class Ability(StrEnum):
    """What a peer may ask of us."""

    STORE = "store"
    FIND = "find"
    MOVE = "move"
    GET = "get"
    COMMIT = "commit"
    MPPS = "mpps"
    WORKLIST = "worklist"
    STEPS = "steps"
    """Unified procedure steps, which show patients like the worklist: nobody has either who is not named for it."""


NAMED_ABILITIES = frozenset((Ability.WORKLIST, Ability.STEPS))
"""What nobody may without being named for it."""
USUAL_ABILITIES = tuple(ability for ability in Ability if ability not in NAMED_ABILITIES)


class Sending(StrEnum):
    """What a destination gets at a time."""

    INSTANCE = "instance"
    STUDY = "study"


class Plain(StrEnum):
    """From where callers may come without TLS."""

    ANYWHERE = "anywhere"
    LOOPBACK = "loopback"


class Queries(StrEnum):
    """Whether unique keys of higher levels may be left out of queries and retrievals (PS3.4 C.4.1.2, C.4.2.2)."""

    RELATIONAL = "relational"
    """By anybody."""
    HIERARCHICAL = "hierarchical"
    """By those who negotiate it."""


class TlsProfile(StrEnum):
    """How far TLS is restricted."""

    BCP195 = "bcp195"
    """PS3.15 B.12."""
    MODIFIED = "modified-bcp195"
    """PS3.15 B.13, as far as OpenSSL has its cipher suites."""


class PixelPolicy(StrEnum):
    """What is done about text burned into pixels."""

    AUTO = "auto"
    PHI = "phi"
    ALL = "all"
    REGIONS = "regions"
    NONE = "none"


class Fill(StrEnum):
    """What a redacted box is filled with."""

    BACKGROUND = "background"
    CONTRAST = "contrast"


class DocumentPolicy(StrEnum):
    """What is done about encapsulated documents."""

    REFUSE = "refuse"
    TEXT = "text"


class UnknownPatients(StrEnum):
    """What happens to a patient who is not on the project's own list."""

    PSEUDONYM = "pseudonym"
    HOLD = "hold"


class ProfileName(StrEnum):
    """Which profile cleans the header."""

    BASIC = "basic"
    NONE = "none"
