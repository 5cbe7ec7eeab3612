"""Files: whole or absent, synced in the right order, named by us alone."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syncing_by import SyncingBy

from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.files import ROOMS, FileStore

NAME = "ab" + "0" * 62


@pytest.fixture
def files(tmp_path):
    return FileStore(tmp_path / "data")


@pytest.fixture
def journal(files, monkeypatch):
    """What is done to the disk, in order: ("sync", path), ("rename", from, to), ("unlink", path)."""
    steps = []
    rename, unlink = Path.rename, Path.unlink

    def sync(descriptor):
        steps.append(("sync", Path(f"/proc/self/fd/{descriptor}").resolve()))

    def renaming(self, target):
        steps.append(("rename", self, Path(target)))
        return rename(self, target)

    def unlinking(self, missing_ok=False):
        steps.append(("unlink", self))
        return unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(files, "_syncing", SyncingBy(sync))
    monkeypatch.setattr(Path, "rename", renaming)
    monkeypatch.setattr(Path, "unlink", unlinking)
    return steps


def received(files, content=b"content"):
    path = files.incoming() / "object"
    path.write_bytes(content)
    return path


def forked(function):
    """Run in a process of its own. Returns its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = function() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def everything(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


# Writing and adopting


def test_what_was_written_is_read(files):
    assert files.write("clean", NAME, [b"one", b"two"]) == 6
    with files.open("clean", NAME) as file:
        assert file.read() == b"onetwo"
    assert list(files.names("clean")) == [NAME]
    assert list(files.names("inbox")) == []


def test_a_written_file_and_its_name_are_synced(files, journal):
    files.write("clean", NAME, [b"content"])
    target = files.path("clean", NAME)
    assert [step[0] for step in journal] == ["sync", "sync", "unlink"]  # the file and its folder, at once
    assert ("sync", target.parent) in journal
    assert journal[2][1].parent == target.parent  # the same file system


def test_a_file_that_is_written_again_is_synced_before_it_replaces_the_other(files, journal):
    files.write("clean", NAME, [b"content"])
    journal.clear()
    files.write("clean", NAME, [b"content"])
    target = files.path("clean", NAME)
    assert [step[0] for step in journal] == ["sync", "rename", "sync"]
    synced, (_, source, renamed), folder = journal
    assert synced[1] == source != target
    assert source.parent == target.parent  # the same file system
    assert renamed == target
    assert folder[1] == target.parent


def test_an_adopted_file_and_its_name_are_synced(files, journal):
    source = received(files)
    files.adopt(source, "inbox", NAME)
    target = files.path("inbox", NAME)
    assert {step[0] for step in journal[:2]} == {"sync"}  # the file and its folder, at once
    assert ("sync", target.parent) in journal[:2]
    assert journal[2:] == [("unlink", source)]
    assert target.read_bytes() == b"content"
    assert not source.exists()


def test_an_adopted_file_is_synced_before_it_replaces_another(files, journal):
    files.adopt(received(files, b"as it was"), "inbox", NAME)
    journal.clear()
    source = received(files)
    files.adopt(source, "inbox", NAME)
    target = files.path("inbox", NAME)
    assert journal == [("sync", source), ("rename", source, target), ("sync", target.parent)]
    assert target.read_bytes() == b"content"
    assert not source.exists()


def test_the_age_of_an_adopted_file_counts_from_its_adoption(files):
    source = received(files)
    os.utime(source, (1, 1))
    files.adopt(source, "inbox", NAME)
    assert time.time() - files.modified("inbox", NAME) < 60


def test_the_rooms_are_synced_when_they_are_made(tmp_path):
    synced = set()
    FileStore(tmp_path / "data", SyncingBy(lambda fd: synced.add(Path(f"/proc/self/fd/{fd}").resolve())))
    data = tmp_path / "data"
    assert {tmp_path, data, data / "inbox", data / "clean"} <= synced


def test_no_other_module_opens_a_file_for_writing():
    for path in Path(__file__).parent.parent.glob("storage/*.py"):
        text = path.read_text()
        if path.name not in ("files.py", "incoming.py", "slots.py", "turn.py", "writeahead.py"):  # lock or sync
            assert not any(word in text for word in ("write_bytes", "write_text", '"wb"', '"w"', "os.open")), path.name


@pytest.mark.parametrize("step", ["sync", "rename"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(files, monkeypatch, step):
    files.write("clean", NAME, [b"old"])

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(*((files, "_syncing", SyncingBy(fail)) if step == "sync" else (Path, "rename", fail)))
    with pytest.raises(ZeroDivisionError):
        files.write("clean", NAME, [b"new"])
    assert files.path("clean", NAME).read_bytes() == b"old"
    assert len(everything(files.folder / "clean")) == 1


def test_chunks_that_break_off_leave_nothing(files):
    def chunks():
        yield b"one"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        files.write("clean", NAME, chunks())
    assert everything(files.folder) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.EACCES])
def test_a_full_or_failing_disk_is_unavailable(files, monkeypatch, number):
    def fail(_):
        raise OSError(number, os.strerror(number))

    source = received(files)
    monkeypatch.setattr(files, "_syncing", SyncingBy(fail))
    with pytest.raises(Unavailable):
        files.write("clean", NAME, [b"new"])
    with pytest.raises(Unavailable):
        files.adopt(source, "inbox", NAME)
    assert everything(files.folder / "clean") == everything(files.folder / "inbox") == []


@pytest.mark.parametrize("left", range(4))
@pytest.mark.parametrize("adopts", [True, False])
def test_without_a_descriptor_left_it_is_unavailable_and_has_no_name(files, adopts, left):
    source = received(files)

    def name_it():
        try:
            if adopts:
                files.adopt(source, "inbox", NAME)
            else:
                files.write("inbox", NAME, [b"content"])
            return True
        except Unavailable:
            return False

    before = sorted(Path("/proc/self/fd").iterdir())
    with only_so_many_descriptors(left):
        is_named = name_it()
    assert files.holds("inbox", NAME) == is_named
    assert is_named or left < 2  # of the file and its folder
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@contextmanager
def only_so_many_descriptors(left):
    """As where all others are in use."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.open("/", os.O_RDONLY) for _ in range(left + 1)]
    for descriptor in free:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_file_that_is_not_ours_to_read_may_be_later(files):
    files.write("clean", NAME, [b"clean"])
    folder = files.path("clean", NAME).parent
    folder.chmod(0)
    me = os.geteuid()
    try:
        if me == 0:  # root may read everything
            os.seteuid(65534)
        for read in (files.open, files.size):
            with pytest.raises(Unavailable):
                read("clean", NAME)
    finally:
        os.seteuid(me)
        folder.chmod(0o755)
    assert files.size("clean", NAME) == 5


def test_an_error_of_the_content_is_not_called_unavailable(files):
    def chunks():
        raise OSError("image file is truncated")
        yield b""

    with pytest.raises(OSError, match="truncated"):
        files.write("clean", NAME, chunks())


def written_and_killed(files, kill_at):
    """Write a file in a process that is killed before its n-th step. Whether it was."""

    def write():
        remaining = iter(range(kill_at, -1, -1))

        def step(real):
            def counted(*arguments):
                if next(remaining, -1) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments)

            return counted

        files._syncing, Path.rename = SyncingBy(step(os.fsync)), step(Path.rename)
        files.write("clean", NAME, (step(lambda: b"x" * 100_000)() for _ in range(2)))

    return forked(write) != 0


@pytest.mark.parametrize("kill_at", range(5))
def test_killed_between_any_two_steps_a_new_file_is_whole_or_absent(files, kill_at):
    assert written_and_killed(files, kill_at) == (kill_at < 4)
    is_there = NAME in files.names("clean")
    assert is_there == (kill_at >= 2)
    if is_there:
        assert files.path("clean", NAME).stat().st_size == 200_000
    assert files.sweep_unfinished(time.time() + 1) == (1 if kill_at < 4 else 0)
    assert len(everything(files.folder)) == is_there


@pytest.mark.parametrize("kill_at", range(6))
def test_killed_between_any_two_steps_a_file_is_the_old_or_the_new(files, kill_at):
    files.write("clean", NAME, [b"old"])
    assert written_and_killed(files, kill_at) == (kill_at < 5)
    assert files.path("clean", NAME).stat().st_size == (200_000 if kill_at >= 4 else 3)
    files.sweep_unfinished(time.time() + 1)
    assert len(everything(files.folder)) == 1


def test_a_young_unfinished_file_is_left_alone(files):
    (files.folder / "clean" / "ab" / ("." + "0" * 32)).write_bytes(b"being written")
    assert files.sweep_unfinished(time.time() - 3600) == 0
    assert len(everything(files.folder)) == 1


def test_what_is_not_there_is_not_found_and_may_be_removed(files):
    with pytest.raises(NotFound):
        files.open("clean", NAME)
    files.remove("clean", NAME)
    assert not files.holds("clean", NAME)


# Names


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "ab",
        "../../etc/passwd",
        "..",
        "...",
        "ab/../cd",
        "/etc/passwd",
        "ab\0c",
        "ABC",
        ".lock",
        "abc\n",
        "a" * 129,
        "ab c",
        "-rf",
        "ab\\c",
        "äbc",
        "１２３",
    ],
)
def test_a_name_that_is_not_ours_is_refused(files, name):
    for action in (files.open, files.remove, files.modified, files.holds):
        with pytest.raises(Refused):
            action("inbox", name)
    with pytest.raises(Refused):
        files.write("clean", name, [b""])
    with pytest.raises(Refused):
        files.adopt(received(files), "inbox", name)
    with pytest.raises(Refused):
        files.secret(name, lambda: b"")


@given(st.text(max_size=200))
def test_no_name_leads_out_of_its_room(name):
    store = FileStore.__new__(FileStore)
    store.folder = Path("/data")
    try:
        path = store.path("inbox", name)
    except Refused:
        return
    assert Path(os.path.normpath(path)).is_relative_to("/data/inbox")
    assert path.name == name


def test_another_room_is_refused(files):
    for room in ("keys", "incoming", "..", ""):
        with pytest.raises(Refused):
            files.path(room, NAME)
    assert set(ROOMS) == {"inbox", "clean", "returns"}


# Secrets


def test_a_secret_is_made_once_and_for_its_owner_alone(files):
    first = files.secret("project.key", lambda: b"x" * 32)
    assert files.secret("project.key", lambda: b"y" * 32) == first == b"x" * 32
    path = files.folder / "keys" / "project.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert everything(files.folder / "keys") == [Path("project.key")]


def test_a_secret_is_private_whatever_the_umask(files):
    previous = os.umask(0)
    try:
        files.secret("project.key", lambda: b"x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((files.folder / "keys" / "project.key").stat().st_mode) == 0o600


def test_a_secret_is_never_used_before_it_is_durable(files, journal):
    files.secret("project.key", lambda: b"x")
    keys = files.folder / "keys"
    assert journal[-1] == ("sync", keys)
    journal.clear()
    files.secret("project.key", lambda: b"y")  # another process may have made it a moment ago
    assert ("sync", keys) in journal


def test_of_processes_that_make_a_secret_at_once_one_wins(files, tmp_path):
    gate, ready = os.pipe()

    def child(number):
        os.close(ready)
        os.read(gate, 1)  # ends for all at once
        key = files.secret("project.key", lambda: bytes([number]) * 32)
        (tmp_path / str(number)).write_bytes(key)
        os._exit(0)

    children = []
    for number in range(8):
        pid = os.fork()
        if pid == 0:
            try:
                child(number)
            finally:
                os._exit(1)
        children.append(pid)
    os.close(ready)
    os.close(gate)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
    keys = {(tmp_path / str(number)).read_bytes() for number in range(8)}
    assert len(keys) == 1
    assert keys == {(files.folder / "keys" / "project.key").read_bytes()}
    assert everything(files.folder / "keys") == [Path("project.key")]


# Incoming


def test_a_process_has_one_incoming_folder_on_the_same_file_system(files):
    folder = files.incoming()
    assert folder == files.incoming()
    assert folder.parent == files.folder / "incoming"
    assert folder.stat().st_dev == (files.folder / "inbox").stat().st_dev


def test_the_incoming_folder_of_a_live_process_is_not_swept_that_of_a_dead_one_is(files):
    code = (
        "import sys, time; from pathlib import Path; from lethe.storage.files import FileStore\n"
        "files = FileStore(Path(sys.argv[1])); folder = files.incoming(); (folder / 'half').write_bytes(b'half')\n"
        "print(folder, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(files.folder)], stdout=subprocess.PIPE, text=True)
    folder = Path(process.stdout.readline().strip())
    ours = received(files)
    assert files.sweep_incoming() == 0
    assert FileStore(files.folder).sweep_incoming() == 0
    assert (folder / "half").exists()
    process.kill()
    process.wait()
    process.stdout.close()
    assert files.sweep_incoming() == 1
    assert not folder.exists()
    assert ours.exists()


def test_an_incoming_folder_without_its_lock_is_swept_and_a_stray_file_does_no_harm(files):
    (files.folder / "incoming" / ("0" * 32)).mkdir()
    (files.folder / "incoming" / "stray").write_bytes(b"")
    assert files.sweep_incoming() == 0
    assert [path.name for path in (files.folder / "incoming").iterdir()] == ["stray"]


@pytest.mark.parametrize("when", ["before the lock is made", "before the lock is held"])
def test_an_incoming_folder_swept_while_it_is_made_is_made_again(files, monkeypatch, when):
    other, swept = FileStore(files.folder), []
    mkdir, flock = Path.mkdir, __import__("fcntl").flock

    def sweeping_mkdir(self, *arguments, **options):
        mkdir(self, *arguments, **options)
        if self.parent.name == "incoming" and not swept:
            swept.append(self)
            other.sweep_incoming()

    def sweeping_flock(file, how):
        if not swept:
            swept.append(Path(file.name).parent)
            other.sweep_incoming()
        flock(file, how)

    if when == "before the lock is made":
        monkeypatch.setattr(Path, "mkdir", sweeping_mkdir)
    else:
        monkeypatch.setattr("lethe.storage.files.fcntl.flock", sweeping_flock)
    folder = files.incoming()
    monkeypatch.undo()
    assert folder not in swept
    assert folder.is_dir()
    assert other.sweep_incoming() == 0
    assert folder.is_dir()
