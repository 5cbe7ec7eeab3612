"""Names the tables of the index, which `schema.py` makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peewee import Table

from .query import Level

_COLUMNS = {
    "study": "id uid patient_id patient_name patient_key birth_date sex study_date study_time accession_number "
    "study_id referring_physician description modalities series instances attributes updated version",
    "series": "id uid study modality number description body_part series_date series_time pps_date pps_time "
    "instances attributes updated version",
    "instance": "id uid series sop_class number transfer_syntax project file size digest attributes metadata receipt "
    "updated",
}


@dataclass(frozen=True)
class IndexTables:
    """Studies, series and instances of one database."""

    study: Any
    series: Any
    instance: Any

    def named(self) -> IndexTables:
        """The same for reading: each goes by its own name, so that a query can mean a table of the one around it."""
        return IndexTables(*(table.alias(table.__name__) for table in (self.study, self.series, self.instance)))

    def of(self, level: Level) -> Any:
        """The table of a level; a patient is what studies have in common."""
        return (self.study, self.study, self.series, self.instance)[level]


def index_tables(database: Any) -> IndexTables:
    """The tables in that database."""
    return IndexTables(
        **{name: Table(name, tuple(columns.split()), _database=database) for name, columns in _COLUMNS.items()},
    )
