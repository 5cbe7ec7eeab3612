"""Keeps original and pseudonym side by side, encrypted: whoever takes the database, but not `keys/crosswalk.key`,
learns nothing of the originals.

An original is found again by a keyed digest of it, and is stored encrypted (AES-256-GCM) and bound to its row, so that
a row that was altered, moved or copied cannot be read. A site's own list of patients stands in the same table.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from peewee import Table, fn

from .database import transaction
from .errors import Refused, Unavailable
from .sealing import decrypted, encrypted

_COLUMNS = ("id", "project", "kind", "digest", "pseudonym", "sealed", "listed", "first_seen")
_KEY_BYTES, _DIGEST_BYTES = 32, 16
_PAGE = 500
_INSERT = (
    "INSERT INTO crosswalk (project, kind, digest, pseudonym, sealed, listed, first_seen) VALUES {} "
    "ON CONFLICT (project, kind, digest, pseudonym) {}"
)
_ANY = "surrogatepass"  # an original is kept as it was read, however odd
_WRONG_KEY = (
    "the crosswalk was written with another key than keys/crosswalk.key holds; put back the key that belongs to this "
    "database"
)
_NO_KEY = "keys/crosswalk.key is missing; put back the key that belongs to this database"
_MALFORMED_KEY = "keys/crosswalk.key holds no key: 64 hexadecimal digits are expected"


class Kind(StrEnum):
    """What was replaced."""

    UID = "uid"
    PATIENT = "patient"
    ACCESSION = "accession"


@dataclass(frozen=True)
class CrosswalkEntry:
    """An original and what it became in a project."""

    kind: Kind
    original: str
    pseudonym: str
    project: str = ""


class Row(NamedTuple):
    """An entry as it is stored."""

    project: str
    kind: Kind
    digest: bytes
    pseudonym: str
    sealed: bytes
    listed: int
    first_seen: float


@dataclass(frozen=True)
class PatientList:
    """A project's own list of patients as it stood after one import; later imports do not change it."""

    project: str
    version: int
    _find: Callable[[str, int], str | None]
    _known: dict[str, str | None] = field(default_factory=dict)

    def trial_id(self, original: str) -> str | None:
        """The trial ID of a Patient ID; None where it is not on the list."""
        if not self.version:
            return None
        if original not in self._known:
            self._known[original] = self._find(original, self.version)
        return self._known[original]


@dataclass(frozen=True)
class Comparison:
    """What an import of a list would do. Conflicts are told by the number of the pair: they must not name anybody."""

    added: Sequence[tuple[str, str]]
    unchanged: int
    conflicts: Sequence[tuple[int, str]]


class Crosswalk:
    """The crosswalk of one data folder. `keep` returns the stored key, or stores and returns what it is given to make;
    nothing is asked of it before the first use. Raises Unavailable where the key is not the one of the database."""

    def __init__(self, database: Any, keep: Callable[[Callable[[], bytes]], bytes], clock: Callable[[], float]) -> None:
        self._database = database
        self._keep = keep
        self._clock = clock
        self._table = Table("crosswalk", _COLUMNS, _database=database)
        self._root: bytes | None = None
        self._keys: tuple[bytes, AESGCM] | None = None

    def sealed(self, project: str, entries: Iterable[CrosswalkEntry], *, listed: int = 0) -> list[Row]:
        """The rows for `add`, to be made before the transaction that adds them. What did not change is left out."""
        return [
            self._row(project, entry, listed)
            for entry in entries
            if entry.original and entry.pseudonym and entry.original != entry.pseudonym
        ]

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows inside the caller's transaction; those that are there already stay as they are. Raises Unavailable
        where the patient has come onto the project's list since his pseudonym was made: it must be made again."""
        if any(row.kind == Kind.PATIENT and self._is_outdated(row) for row in rows):
            raise Unavailable("the patient has just come onto the project's list")
        self._insert(rows, "DO NOTHING")

    def find(self, value: str, project: str = "") -> list[CrosswalkEntry]:
        """What an original became, or a pseudonym was, in one project or in all."""
        table, found = self._table, []
        for name in [project] if project else self.projects():
            digests = [self._digest(name, kind, value) for kind in Kind]
            same = (table.digest << digests) | (table.pseudonym == value)
            query = table.select().where((table.project == name) & same).order_by(table.id)
            found += [self._entry(row) for row in query.dicts()]
        return found

    def originals(self, project: str, pseudonyms: Collection[str]) -> list[CrosswalkEntry]:
        """What those of the values that are pseudonyms of the project were. Raises Refused at an altered row."""
        wanted, found, table = sorted(pseudonyms), [], self._table
        for start in range(0, len(wanted), _PAGE):
            page = table.pseudonym << wanted[start : start + _PAGE]
            found += [self._entry(row) for row in table.select().where((table.project == project) & page).dicts()]
        return found

    def sealer(self, purpose: str) -> AESGCM:
        """A key of its own for what else is kept sealed, made from the crosswalk's. Raises Unavailable."""
        return AESGCM(_derived(self._open()[0], f"seal {purpose}"))

    def entries(self, project: str = "") -> Iterator[CrosswalkEntry]:
        """All entries of one project, or of all, in the order in which they came. Raises Refused at an altered one."""
        return (self._entry(row) for row in self._rows(project))

    def count(self, project: str = "") -> int:
        """How many entries there are."""
        query = self._table.select(fn.COUNT(self._table.id))
        return int(next(iter((query.where(self._table.project == project) if project else query).tuples()))[0])

    def has_made(self, project: str) -> bool:
        """Whether something was published in the project under pseudonyms that a key has made."""
        sql = "SELECT 1 FROM crosswalk WHERE project = ? AND listed = 0 LIMIT 1"
        return self._database.execute_sql(sql, (project,)).fetchone() is not None

    def projects(self) -> list[str]:
        """The projects that have entries."""
        return [name for (name,) in self._table.select(self._table.project).distinct().order_by(1).tuples()]

    def patients(self, project: str, known: PatientList | None = None) -> PatientList:
        """The project's own list as it stands now; `known` itself where that is still true."""
        version = self._version(project)
        if known is not None and known.version == version:
            return known
        return PatientList(project, version, lambda original, newest: self._listed(project, original, newest))

    def compare(self, project: str, pairs: Sequence[tuple[str, str]]) -> Comparison:
        """What an import of pairs of Patient ID and trial ID would do. A patient keeps the pseudonym he has, and no two
        share one."""
        ids, owners, listed = self._patients_of(project)
        added, unchanged, conflicts = [], 0, []
        for number, (original, trial_id) in enumerate(pairs):
            digest = self._digest(project, Kind.PATIENT, original)
            if (digest, trial_id) in listed:
                unchanged += 1
            elif ids.get(digest, {trial_id}) != {trial_id}:
                conflicts.append((number, "this Patient ID has another pseudonym already"))
            elif owners.get(trial_id, digest) != digest:
                conflicts.append((number, "another patient has this trial ID already"))
            else:
                added.append((original, trial_id))
                ids[digest], owners[trial_id] = {trial_id}, digest
                listed.add((digest, trial_id))
        return Comparison(added, unchanged, conflicts)

    def enlist(self, project: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Add pairs that `compare` found to be new to the project's list, inside the same transaction."""
        entries = [CrosswalkEntry(Kind.PATIENT, original, trial_id) for original, trial_id in pairs]
        rows = self.sealed(project, entries, listed=self._version(project) + 1)
        self._insert(rows, "DO UPDATE SET listed = excluded.listed, sealed = excluded.sealed")

    def problems(self) -> Iterator[str]:
        """Every row that cannot be read, one sentence each; one for all where the key is not the right one."""
        for row in self._rows():
            try:
                self._entry(row)
            except Refused as error:
                yield str(error)
            except Unavailable as error:
                yield str(error)
                return

    def key_for(self, purpose: str) -> bytes:
        """A key for something else that is to be as well kept as the crosswalk, made from the crosswalk's own. Raises
        Unavailable."""
        if self._root is None:
            self._root = self._checked()
        return _derived(self._root, purpose)

    # In plain SQL what is done for every object: peewee takes several times as long to put it together.
    def _insert(self, rows: Sequence[Row], on_conflict: str) -> None:
        for start in range(0, len(rows), _PAGE):
            page = rows[start : start + _PAGE]
            sql = _INSERT.format(", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(page)), on_conflict)
            self._database.execute_sql(sql, [value for row in page for value in row])

    def _is_outdated(self, row: Row) -> bool:
        sql = "SELECT 1 FROM crosswalk WHERE project = ? AND digest = ? AND listed > 0 AND pseudonym <> ?"
        return self._database.execute_sql(sql, (row.project, row.digest, row.pseudonym)).fetchone() is not None

    def _rows(self, project: str = "") -> Iterator[dict[str, Any]]:
        table, after = self._table, 0
        while True:  # in pages: a reader that takes its time would otherwise hold up the write-ahead log
            query = table.select().where(table.id > after).order_by(table.id).limit(_PAGE)
            page = list((query.where(table.project == project) if project else query).dicts())
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]["id"]

    def _version(self, project: str) -> int:
        sql = "SELECT MAX(listed) FROM crosswalk WHERE project = ? AND listed > 0"
        return int(self._database.execute_sql(sql, (project,)).fetchone()[0] or 0)

    def _listed(self, project: str, original: str, newest: int) -> str | None:
        table, digest = self._table, self._digest(project, Kind.PATIENT, original)
        on_list = (table.project == project) & (table.digest == digest) & (table.listed > 0)
        for row in table.select().where(on_list & (table.listed <= newest)).dicts():
            return self._entry(row).pseudonym  # opened, so that an altered row gives nobody another's trial ID
        return None

    def _patients_of(self, project: str) -> tuple[dict[bytes, set[str]], dict[str, bytes], set[tuple[bytes, str]]]:
        table = self._table
        ids: dict[bytes, set[str]] = {}
        owners, listed = {}, set()
        query = table.select(table.digest, table.pseudonym, table.listed)
        for digest, pseudonym, version in query.where(
            (table.project == project) & (table.kind == Kind.PATIENT)
        ).tuples():
            ids.setdefault(digest, set()).add(pseudonym)
            owners[pseudonym] = digest
            if version:
                listed.add((digest, pseudonym))
        return ids, owners, listed

    def _row(self, project: str, entry: CrosswalkEntry, listed: int) -> Row:
        digest = self._digest(project, entry.kind, entry.original)
        bound = _bound_to(project, entry.kind, digest, entry.pseudonym, listed)
        sealed = encrypted(self._open()[1], entry.original.encode(errors=_ANY), bound)
        return Row(project, entry.kind, digest, entry.pseudonym, sealed, listed, self._clock())

    def _entry(self, row: Mapping[str, Any]) -> CrosswalkEntry:
        cipher = self._open()[1]
        bound = _bound_to(row["project"], row["kind"], bytes(row["digest"]), row["pseudonym"], row["listed"])
        try:
            original = decrypted(cipher, row["sealed"], bound).decode(errors=_ANY)
        except ValueError:
            raise Refused(f"row {row['id']} of the crosswalk was altered and cannot be read") from None
        return CrosswalkEntry(Kind(row["kind"]), original, row["pseudonym"], row["project"])

    def _digest(self, project: str, kind: Kind, original: str) -> bytes:
        value = "\0".join((project, kind, original)).encode(errors=_ANY)
        return hmac.digest(self._open()[0], value, "sha256")[:_DIGEST_BYTES]

    def _open(self) -> tuple[bytes, AESGCM]:
        """The keys for finding and for sealing, both made from the one that is kept. Raises Unavailable."""
        if self._keys is None:
            self._keys = self.key_for("find"), AESGCM(self.key_for("seal"))
        return self._keys

    def _checked(self) -> bytes:
        known = self._key_id()
        try:
            key = bytes.fromhex(self._keep(_missing if known else _new_key).decode().strip())
        except ValueError:
            raise Unavailable(_MALFORMED_KEY) from None
        if len(key) != _KEY_BYTES:
            raise Unavailable(_MALFORMED_KEY)
        key_id = _derived(key, "key-id").hex()
        if not known:
            with transaction(self._database):
                known = self._key_id()
                if not known:
                    self._database.execute_sql("INSERT INTO crosswalk_key (key_id) VALUES (?)", (key_id,))
        if not hmac.compare_digest(known or key_id, key_id):
            raise Unavailable(_WRONG_KEY)
        return key

    def _key_id(self) -> str:
        row = self._database.execute_sql("SELECT key_id FROM crosswalk_key").fetchone()
        return str(row[0]) if row else ""


def _bound_to(project: str, kind: str, digest: bytes, pseudonym: str, listed: int) -> bytes:
    """What an original is bound to: all of its row but the number and the time."""
    return json.dumps([project, kind, digest.hex(), pseudonym, listed]).encode()


def _derived(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, f"crosswalk\0{purpose}".encode(), hashlib.sha256)


def _new_key() -> bytes:
    return secrets.token_hex(_KEY_BYTES).encode()


def _missing() -> bytes:
    raise Unavailable(_NO_KEY)
