"""The command line: help with examples, one clear line on error, exit codes."""

from __future__ import annotations

import argparse
import csv
import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from builders import PHI, bundled, ct, saved, secondary_capture, slide_label

from lethe.node.arguments import parser
from lethe.node.cli import command, main
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage, State

COMMANDS = (
    "serve",
    "receive",
    "worker",
    "deliver",
    "web",
    "deidentify",
    "send",
    "echo",
    "pull",
    "queue",
    "resend",
    "status",
    "retry",
    "verify",
    "demo",
)
DOUBLE = (
    ("user", "reset"),
    ("queue", "pause"),
    ("queue", "resume"),
    ("queue", "first"),
    ("audit", "verify"),
    ("audit", "export"),
    ("config", "check"),
    ("crosswalk", "export"),
    ("crosswalk", "import"),
    ("crosswalk", "lookup"),
    ("receipts", "export"),
    ("key", "new"),
    ("key", "rotate"),
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("words", [*((command,) for command in COMMANDS), *DOUBLE], ids=" ".join)
def test_every_command_explains_itself_with_an_example(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"example: lethe {' '.join(words)}" in text
    assert "--config FILE" in text


def named(words: argparse.ArgumentParser) -> Iterator[str]:
    """What the parser says runs each command."""
    if words.get_default("run"):
        yield words.get_default("run")
    for action in words._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from named(below)


@pytest.mark.parametrize("name", sorted(set(named(parser()))))
def test_what_the_parser_names_is_there(name: str) -> None:
    assert callable(command(name))


@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("cli", "pydicom numpy peewee rich pynetdicom flask lethe.node.config"),
        ("arguments", "pydicom numpy peewee rich pynetdicom flask lethe.node.config"),
        ("commands.deidentify", "pynetdicom flask cv2 presidio_analyzer lethe.node.projects"),
        ("commands.part", "pynetdicom flask cv2 lethe.node.projects lethe.node.dimse.scp"),
        ("commands.upkeep", "pynetdicom flask cv2 lethe.node.projects"),
        ("commands.peers", "flask cv2 lethe.node.projects"),
    ],
)
def test_nobody_waits_for_the_libraries_of_another_command(module: str, needless: str) -> None:
    code = f"import sys, lethe.node.{module}; print(*(set({needless.split()!r}) & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "\n"


def test_an_unknown_command_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["forget"])
    assert end.value.code == 2
    assert_one_line(capsys, "lethe: argument COMMAND: invalid choice: 'forget'")


def assert_one_line(capsys: pytest.CaptureFixture[str], beginning: str) -> None:
    """Nothing is printed, and one line is said that begins so."""
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(beginning)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deidentify"], "lethe deidentify: the following arguments are required: SRC, DST"),
        (["send", "x"], "lethe send: the following arguments are required: --to"),
        (["audit"], "lethe audit: the following arguments are required: COMMAND"),
        (["crosswalk", "find"], "lethe crosswalk: argument COMMAND: invalid choice"),
        (["status", "--yaml"], "lethe: unrecognized arguments: --yaml"),
    ],
)
def test_what_is_missing_is_one_clear_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert_one_line(capsys, said)


@pytest.mark.parametrize("words", [[], ["audit"], ["crosswalk"]])
def test_a_group_of_commands_has_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    assert "example: lethe " in capsys.readouterr().out


def test_a_configuration_that_was_named_must_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--config", "none.toml"]) == 2
    assert capsys.readouterr().err == "lethe: none.toml: there is no such file\n"


def test_config_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text('[projects.default]\noptions = ["clean-recognizable-visual-features"]\n')
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().out == "config.toml: good; 0 peers, 1 projects\n"
    (tmp_path / "config.toml").write_text("[node]\nport = 0\n")
    assert main(["config", "check"]) == 2
    assert "port = 0 is not accepted" in capsys.readouterr().err


def test_config_check_warns_of_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peer = '[[peers]]\nname = "ct"\nae_title = "CT"\nhost = "ct.invalid"\nport = 104\n'
    (tmp_path / "config.toml").write_text(f'{peer}[worklist]\nfolder = "steps"\ntable = "steps.csv"\n')
    assert main(["config", "check"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" is not there")[0].split()[-2:] for line in said[:2]] == [
        ["folder", str(tmp_path / "steps")],
        ["table", str(tmp_path / "steps.csv")],
    ]
    assert "[[peers]] ct: host ct.invalid has no network address" in said[2]
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps.csv").touch()
    main(["config", "check"])
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_config_check_warns_of_a_title_that_two_peers_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peer = '[[peers]]\nname = "{}"\nae_title = "{}"\nhost = "127.0.0.1"\nport = 104\n'
    titles = {"one": "WS", "other": "WS", "ct": "CT"}
    (tmp_path / "config.toml").write_text("".join(peer.format(*names) for names in titles.items()))
    assert main(["config", "check"]) == 0
    (said,) = capsys.readouterr().err.splitlines()
    assert "one, other have one AE title, WS" in said and "to one where another peer does" in said


def test_key_new(capsys: pytest.CaptureFixture[str]) -> None:
    keys = set()
    for _ in range(2):
        assert main(["key", "new"]) == 0
        keys.add(capsys.readouterr().out.strip())
    assert len(keys) == 2
    assert {len(bytes.fromhex(key)) for key in keys} == {32}


def test_status_and_audit_of_an_empty_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    for state in (
        "received",
        "waiting",
        "running",
        "quarantined",
        "published",
        "sending",
        "failed",
        "studies",
        "instances",
    ):
        assert status[state] == 0
    assert main(["status"]) == 0
    assert "quarantined" in capsys.readouterr().out
    assert main(["audit", "verify"]) == 0
    assert capsys.readouterr().out.startswith("0 entries, unbroken")
    assert main(["verify"]) == 0


@pytest.mark.parametrize("command", ["status", "verify", "audit verify", "queue", "retry"])
def test_a_folder_where_no_node_has_run_is_said(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 0
    assert f"{Path('data').resolve()} is new, no node has run there" in capsys.readouterr().err
    assert main(command.split()) == 0
    assert capsys.readouterr().err == ""


def test_a_data_folder_that_is_a_file_is_named_by_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").touch()
    assert main(["status"]) == 2
    assert capsys.readouterr().err.startswith("lethe: [node] data = 'data': there is a file in its place")


def test_a_data_folder_that_may_not_be_made_is_named_by_its_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    assert main(["status"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("lethe: [node] data = 'data': ") and said.count("\n") == 1


def test_a_damaged_database_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/lethe.db").write_bytes(bytes(range(256)) * 64)
    assert main(["status"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("lethe: the database is damaged") and said.count("\n") == 1


def test_audit_export_and_anchor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = Archive(tmp_path / "data")
    archive.accept(saved(ct(), archive.files.incoming()), "1.2.3", Origin("CT01", "127.0.0.1"), ["default"])
    assert main(["audit", "export"]) == 0
    (entry,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (entry["actor"], entry["action"]) == ("CT01@127.0.0.1", "received")
    assert main(["audit", "verify", "--anchor", entry["digest"]]) == 0
    assert main(["audit", "verify", "--anchor", "0" * 63 + "1"]) == 1
    assert "no longer in the chain" in capsys.readouterr().out


def test_retry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = Archive(tmp_path / "data")
    archive.accept(saved(ct(), archive.files.incoming()), "1.2.3", Origin("CT01"), ["default"])
    job = archive.jobs.claim(Stage.CLEAN, "w", 60)
    assert job is not None
    archive.quarantine(job, "a reason")
    assert main(["retry", "99"]) == 1
    assert capsys.readouterr() == ("", "lethe: there is no job 99\n")
    assert main(["retry"]) == 0
    assert archive.counts()["waiting"] == 1


def test_retry_does_the_others_where_one_job_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = Archive(tmp_path / "data")
    for number in range(3):
        archive.accept(saved(ct(), archive.files.incoming()), f"1.2.{number}", Origin("CT01"), ["default"])
    quarantined = []
    for _ in range(2):
        job = archive.jobs.claim(Stage.CLEAN, "w", 60)
        assert job is not None
        archive.quarantine(job, "a reason")
        quarantined.append(job.id)
    (waiting,) = archive.jobs.find(states=[State.READY])
    first, second = map(str, quarantined)
    assert main(["retry", first, "99", str(waiting.id), second]) == 3
    told = capsys.readouterr()
    assert told.out == "2 jobs are tried again\n"
    assert told.err.splitlines() == [
        "lethe: there is no job 99",
        f"lethe: job {waiting.id} is ready; only a quarantined or failed job can be tried again",
    ]
    assert archive.counts()["waiting"] == 3


def test_discard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = Archive(tmp_path / "data")
    study = ct()
    for ds in (study, ct(StudyInstanceUID=study.StudyInstanceUID), ct()):
        archive.accept(saved(ds, archive.files.incoming()), str(ds.SOPInstanceUID), Origin("CT01"), [])
    last, _, first = (str(job.id) for job in archive.jobs.find())
    assert main(["discard", first, "--reason", " "]) == 1
    assert "say why" in capsys.readouterr().err
    assert main(["discard", first, "99", "--reason", "not ours"]) == 1
    assert "there is no job 99" in capsys.readouterr().err
    assert archive.counts()["held"] == 3
    assert main(["discard", first, "--study", "--reason", "not ours"]) == 0
    assert capsys.readouterr().out == "2 objects are discarded\n"
    assert [str(job.id) for job in archive.jobs.find()] == [last]
    assert main(["discard", last, last, "--reason", "not ours"]) == 0
    assert capsys.readouterr().out == "1 object is discarded\n"
    assert (archive.counts()["held"], archive.counts()["discarded"]) == (0, 3)
    assert list(archive.files.names("inbox")) == []


def test_deidentify_writes_what_is_clean_and_lists_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    originals = [ct(), ct(), bundled("MR_small_RLE.dcm"), bundled("image_dfl.dcm")]
    for number, ds in enumerate(originals):
        saved(ds, source / "sub", f"{PHI['PatientName']}-{number}.dcm")
    saved(secondary_capture(), source, "sc.dcm")
    saved(slide_label(), source, "label.dcm")
    (source / "notes.txt").write_text("not DICOM")
    assert main(["deidentify", str(source), str(target), "--maps", str(tmp_path / "maps")]) == 3
    out = capsys.readouterr().out
    assert "5 clean, 2 refused" in out
    assert f"refused: {source / 'label.dcm'}: an image of a slide's label" in out
    assert f"refused: {source / 'notes.txt'}: not readable as DICOM" in out
    results = [pydicom.dcmread(path) for path in target.rglob("*.dcm")]
    assert len(results) == 5
    assert not [path for path in target.rglob("*") if "FEATHERSTONE" in path.name]
    uids = dict(list(csv.reader((tmp_path / "maps" / "uids.csv").open()))[1:])
    assert {ds.SOPInstanceUID for ds in results} > {uids[ds.SOPInstanceUID] for ds in originals}
    rows = list(csv.reader((tmp_path / "maps" / "patients.csv").open()))
    assert rows[0] == ["id_old", "id_new"]
    assert dict(rows[1:])[PHI["PatientID"]] in {ds.PatientID for ds in results}
    assert (tmp_path / "maps" / "uids.csv").stat().st_mode & 0o777 == 0o600


def test_deidentify_everything_clean_ends_with_0_and_gives_the_same_again(tmp_path: Path) -> None:
    saved(ct(), tmp_path / "in")
    assert main(["deidentify", str(tmp_path / "in"), str(tmp_path / "a"), "--jobs", "1"]) == 0
    assert main(["deidentify", str(tmp_path / "in"), str(tmp_path / "b"), "--jobs", "1"]) == 0
    (first,), (second,) = (list((tmp_path / name).rglob("*.dcm")) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deidentify", "nowhere", "out"], "nowhere: there is no such file or folder"),
        (["deidentify", ".", "out", "--project", "x"], "there is no project 'x'; there are: default"),
        (["echo", "nobody"], "there is no peer 'nobody'; configured: none; or spell it out: AETITLE@host:port"),
        (
            ["echo", "MUCH_TOO_LONG_TITLE@h:104"],
            "'MUCH_TOO_LONG_TITLE' is no AE title: 1 to 16 characters without backslash",
        ),
        (["echo", "X@h:70000"], "'h:70000' is no address: host:port, with a port from 1 to 65535"),
        (["echo", "X@h"], "'h' is no address: host:port, with a port from 1 to 65535"),
        (["crosswalk", "export", "--project", "x"], "there is no project 'x'; there are: default"),
        (["crosswalk", "lookup", "1", "--project", "x"], "there is no project 'x'; there are: default"),
    ],
)
def test_what_the_user_can_put_right(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"lethe: {said}\n"


@pytest.mark.parametrize("arguments", [["retry"], ["audit", "export", "--after"]])
@pytest.mark.parametrize("number", ["x", "9" * 20, "-1"])
def test_a_number_that_is_none_is_one_clear_line(
    arguments: list[str], number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, number])
    assert_one_line(capsys, f"lethe {' '.join(arguments[: 2 if len(arguments) > 1 else 1])}: ")


def test_who_reads_what_is_printed_may_stop_early(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")
    with archive.together():
        for _ in range(2000):
            archive.audit.record(Actor("somebody"), "looked", "x" * 100)
    archive.close()
    command = f"{sys.executable} -m lethe.node audit export | head -1"
    run = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (run.stdout.count("\n"), run.stderr) == (1, "")


def test_the_edition_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("lethe 0.")


def test_a_file_that_cannot_be_written_is_named_as_it_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["receipts", "export", "--all", "nowhere/out.json"]) == 1
    assert capsys.readouterr().err == "lethe: nowhere/out.json: No such file or directory\n"


@pytest.mark.parametrize("address", ["127.0.0.1:9", "[::1]:9"])
def test_a_peer_that_is_away(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["echo", f"X@{address}"]) == 1
    assert capsys.readouterr().err == "lethe: X does not answer\n"


def test_two_objects_under_one_uid_do_not_overwrite_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ct()
    saved(one, tmp_path / "in", "1.dcm")
    saved(one, tmp_path / "in", "1-again.dcm")
    one.InstanceNumber = 99
    saved(one, tmp_path / "in", "2.dcm")
    assert main(["deidentify", str(tmp_path / "in"), str(tmp_path / "out"), "--jobs", "1"]) == 3
    assert "another object with the same SOP Instance UID was written before" in capsys.readouterr().out
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1


def test_results_below_the_source_are_not_cleaned_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(ct(), tmp_path / "in")
    for _ in range(2):
        assert main(["deidentify", str(tmp_path / "in"), str(tmp_path / "in" / "clean")]) == 0
        assert capsys.readouterr().out.endswith("1 clean, 0 refused\n")


@pytest.mark.parametrize("target", ["in", "."])
def test_results_do_not_go_where_the_files_are(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = saved(ct(), tmp_path / "in").read_bytes()
    assert main(["deidentify", "in", target]) == 2
    assert_one_line(capsys, f"lethe: {target}: all files are in the folder for the results")
    assert [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] == [before]


@pytest.mark.parametrize("command", [["deidentify", "empty", "out"], ["send", "empty", "--to", "A@127.0.0.1:9"]])
def test_an_empty_folder_is_said(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(command) == 2
    assert "there are no files in it" in capsys.readouterr().err


def test_a_lost_password_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["user", "reset"]) == 1
    assert "there is no account 'admin'" in capsys.readouterr().err
    archive = Archive(tmp_path / "data")
    first = archive.users.first_administrator()
    assert main(["user", "reset"]) == 0
    password = capsys.readouterr().out.split()[-1]
    assert archive.users.authenticate("admin", str(first)) is None
    user = archive.users.authenticate("admin", password)
    assert user is not None
    assert user.must_change


def test_lethe_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "deidentify" in capsys.readouterr().out
