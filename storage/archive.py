"""Is one data folder, and owns every change that touches more than one thing in it.

Files come first, synced; then one transaction with the rows that mention them. A crash in between leaves a file that
nobody mentions, which `sweep` removes, and never a row without its file. An original that comes in is the exception:
`arriving.py` says how its rows and file can be synced at once.
"""

from __future__ import annotations

from .abandoned import Abandoned
from .delivering import Delivering
from .discarding import Discarding
from .disclosure import Disclosure
from .inspection import Inspection
from .intake import Intake
from .outcomes import Outcomes
from .promising import Promising
from .pseudonym_sources import PseudonymSources
from .publication import Publication
from .pulling import Pulling
from .removal import Removal
from .reviewing import Reviewing
from .sweeping import Sweeping
from .timekeeping import Timekeeping
from .verdicts import Verdicts
from .vouching import Vouching
from .worklisting import Worklisting


class Archive(
    Intake,
    Publication,
    Outcomes,
    Removal,
    Discarding,
    Delivering,
    Verdicts,
    Reviewing,
    Disclosure,
    PseudonymSources,
    Inspection,
    Sweeping,
    Abandoned,
    Timekeeping,
    Vouching,
    Promising,
    Pulling,
    Worklisting,
):
    """All that can be done with a data folder. Others hold this; each base is one kind of change to the same
    `DataFolder`, and calls none of the others."""
