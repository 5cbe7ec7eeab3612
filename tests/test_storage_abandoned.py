"""What is leased by a process that is gone is free at once; what others lease stays theirs."""

import subprocess
import sys

import pytest
from test_storage_archive import hand_in, part10

from lethe.storage.archive import Archive
from lethe.storage.jobs import Stage, State

CLAIM = """
import sys
from pathlib import Path
from lethe.storage.archive import Archive
from lethe.storage.jobs import Stage

archive = Archive(Path(sys.argv[1]))
archive.announce("other")
assert archive.jobs.claim(Stage.CLEAN, "other", 600)
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "data")
    yield archive
    archive.close()


def running(archive):
    return {job.owner for job in archive.jobs.find(states=[State.RUNNING]) if job.lease_until > 1}


def test_leases_end_with_their_process_and_not_before(archive):
    for number in range(3):
        hand_in(archive, part10(b"object %d" % number), uid=f"1.2.{number}")
    archive.announce("own")
    assert archive.jobs.claim(Stage.CLEAN, "own", 600)
    command = [sys.executable, "-c", CLAIM, str(archive.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"claimed\n"
        assert archive.jobs.claim(Stage.CLEAN, "nobody", 600)
        assert archive.free_abandoned() == 1
        assert running(archive) == {"own", "other"}
        other.kill()
    assert archive.free_abandoned() == 1
    assert running(archive) == {"own"}
    assert archive.jobs.claim(Stage.CLEAN, "own", 600)
    assert archive.jobs.claim(Stage.CLEAN, "own", 600)
