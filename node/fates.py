"""Shows what became of each study of the demonstration: removed, replaced, kept, quarantined and why.

Which original became what is read from the audit trail, the one place that knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lethe.storage.archive import Archive
from lethe.storage.jobs import STOPPED, Stage

from .samples import Sample


@dataclass
class _Fate:
    """What became of one study."""

    modality: str
    patient: str = ""
    objects: int = 0
    quarantined: int = 0
    done: Counter[str] = field(default_factory=Counter)


def show_fates(archive: Archive, sent: Sequence[Sample], refused: Counter[str], console: Console) -> None:
    """Print a table of the studies, one of the reasons, and a line with the sums."""
    console.print(
        "\nThe samples are the test images of pydicom and pynetdicom, many of them broken on purpose: what is\n"
        "no complete object, or cannot be cleaned for certain, is held back.\n"
    )
    console.print(_studies(archive, sent))
    console.print(_reasons(archive))
    for reason, count in refused.items():
        console.print(f"{count} refused at the door: {reason}")
    counts = archive.counts()
    console.print(
        f"\n{counts['received']} objects received: {counts['published']} de-identified, {counts['quarantined']} "
        f"quarantined; {counts['delivered']} delivered to ARCHIVE, each with the status it answered.\n"
    )


def _studies(archive: Archive, sent: Sequence[Sample]) -> Table:
    table = _table("What became of each study")
    table.add_column("patient now", no_wrap=True)
    table.add_column("modality", no_wrap=True, max_width=8)
    for heading in ("objects", "removed", "replaced", "kept", "quarantined"):
        table.add_column(heading, justify="right", min_width=len(heading))
    fates = _fates(archive, sent)
    for fate in sorted(fates.values(), key=lambda fate: (not fate.patient, fate.modality, -fate.objects)):
        counts = (fate.done["removed"], fate.done["replaced"] + fate.done["emptied"], fate.done["kept"])
        cells = [str(count) if fate.patient else "-" for count in counts]
        table.add_row(fate.patient or "(held back)", fate.modality, str(fate.objects), *cells, str(fate.quarantined))
    return table


def _fates(archive: Archive, sent: Sequence[Sample]) -> dict[str, _Fate]:
    """The fate of each study that was sent, by its original Study Instance UID."""
    originals, results = {}, {}
    for entry in archive.audit.entries():
        detail = entry.as_dict()["detail"]
        if entry.action.startswith("received"):
            originals[detail["sop_instance_uid"]] = entry.subject
        elif entry.action == "published":
            results[detail["original"]] = entry.subject
    fates: dict[str, _Fate] = {}
    for sample in sent:
        fate = fates.setdefault(sample.study, _Fate(sample.modality))
        fate.objects += 1
        result = results.get(originals.get(sample.sop_instance, ""))
        if result is None:
            fate.quarantined += 1
        else:
            fate.patient = archive.index.instance(result).text("00100020") or "no ID"
            fate.done.update(archive.index.receipt(result).get("counts", {}))
    return fates


def _reasons(archive: Archive) -> Table:
    table = _table("Quarantined: nothing leaves that is not known to be clean")
    table.add_column("objects", justify="right")
    table.add_column("reason")
    ended = archive.jobs.find(states=STOPPED, stage=Stage.CLEAN)
    for reason, count in Counter(job.reason for job in ended).most_common():
        table.add_row(str(count), reason)
    return table


def _table(title: str) -> Table:
    """A table that fits a terminal of 80 columns."""
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
