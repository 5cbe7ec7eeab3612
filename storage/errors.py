"""Names the failures a caller can act on; each edge of Lethe translates these three and nothing else."""


class StorageError(Exception):
    """A failure whose message is fit to be shown: it never holds a value taken from an object."""


class NotFound(StorageError):
    """There is no such thing here."""


class Refused(StorageError):
    """It will never be right as it is; the message says why."""


class TooWide(Refused):
    """Too much would have to be looked through; a narrower request may be answered."""


class Unavailable(StorageError):
    """Not now; the same request may succeed later."""
