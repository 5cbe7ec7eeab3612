"""What an original is called by: BLAKE3, and SHA-256 in the folders of older versions."""

import hashlib
import io
import sqlite3

import pytest
from blake3 import blake3
from test_storage_archive import hand_in, part10

from lethe.storage.archive import Archive
from lethe.storage.digests import BLAKE3, SHA256
from lethe.storage.intake import Acceptance
from lethe.storage.jobs import Stage
from lethe.storage.schema import MIGRATIONS


@pytest.fixture
def older(tmp_path):
    """A data folder that something has come into before there was a choice."""
    (tmp_path / "data").mkdir()
    (version,) = (number for number, one in enumerate(MIGRATIONS) if any("TABLE digest" in sql for sql in one))
    with sqlite3.connect(tmp_path / "data" / "lethe.db") as database:
        for statement in (sql for one in MIGRATIONS[:version] for sql in one):
            database.execute(statement)
        database.execute(
            "INSERT INTO received (name, uid_digest, source, address, size, at) VALUES ('', '', '', '', 0, 0)"
        )
        database.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        database.execute("INSERT INTO schema_version VALUES (?)", (version,))
    database.close()
    return tmp_path / "data"


def test_the_digest_is_of_the_data_set_alone(tmp_path):
    path = tmp_path / "one.dcm"
    path.write_bytes(part10(b"of the data set"))
    data_set = path.read_bytes()[144 + int.from_bytes(path.read_bytes()[140:144], "little") :]
    assert BLAKE3.of(path) == blake3(data_set).hexdigest()
    assert SHA256.of(path) == hashlib.sha256(data_set).hexdigest()
    assert BLAKE3.of_file(io.BufferedReader(io.FileIO(path))) == BLAKE3.of(path)


def test_a_new_folder_has_blake3(tmp_path):
    for _ in range(2):
        archive = Archive(tmp_path / "data")
        assert archive.digests is BLAKE3
        archive.close()


def test_an_older_folder_goes_on_with_sha256_and_knows_what_comes_again(older):
    archive = Archive(older)
    assert archive.digests is SHA256
    assert hand_in(archive) == Acceptance.NEW
    assert hand_in(archive) == Acceptance.AGAIN
    (job,) = archive.jobs.find(stage=Stage.CLEAN)
    with archive.whole_original(job) as file:
        assert SHA256.of_file(file) == job.subject
    archive.close()
