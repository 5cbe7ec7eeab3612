"""Names the one way in which cleaning ends early."""


class CannotClean(Exception):
    """The object cannot be cleaned and verified. The message is the reason, fit for a log: a tag path and a rule, never
    a value."""
