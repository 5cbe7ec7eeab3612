"""Names the failures that whoever runs the command can put right."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right; the message says what and how."""


class ConfigError(Exception):
    """The configuration cannot be used; the message lists every mistake, one to a line."""


class CertificateError(UserError):
    """A certificate, key or CA file cannot be used; the message names the file."""
