"""The command `lethe`: reads its arguments, runs one command, says in one line what went wrong."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from lethe.storage.audit import Actor
from lethe.storage.database import transaction
from lethe.storage.errors import StorageError, Unavailable
from lethe.storage.jobs import State

from .config import Config, Peer
from .config_file import load_config
from .crosswalk import asked, export_to, read_patients, release_held, write_entries
from .demo import demo
from .dimse.scu import Destination, context_of, is_stored
from .errors import ConfigError, UserError
from .exports import private_file
from .folder import clean_files, files_below, write_maps
from .parts import PARTS, open_archive
from .projects import key_name, new_key
from .receipts import document, with_values, write_documents
from .returned_files import reidentify_files
from .serve import serve

OK, FAILED, USAGE, SOME_REFUSED = 0, 1, 2, 3
_DEFAULT_CONFIG = "config.toml"
_ACTOR = Actor("command line")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return USAGE
    warnings.simplefilter("ignore")
    logging.lastResort = None
    try:
        return int(args.run(args))
    except (ConfigError, UserError, StorageError) as error:
        print(f"lethe: {error}", file=sys.stderr)
        return USAGE if isinstance(error, ConfigError | UserError) else FAILED
    except OSError as error:
        print(f"lethe: {error.filename or args.command}: {error.strerror}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _config_of(args: argparse.Namespace) -> Config:
    """The configuration; its file may be absent where none was named, and then the defaults hold."""
    return load_config(Path(args.config or _DEFAULT_CONFIG), must_exist=args.config is not None)


def _serve(args: argparse.Namespace) -> int:
    return serve(_config_of(args), Path(args.config or _DEFAULT_CONFIG))


def _part(args: argparse.Namespace) -> int:
    return PARTS[args.command](_config_of(args))


def _deidentify(args: argparse.Namespace) -> int:
    config, console = _config_of(args), Console(stderr=True)
    _demand_project(config, args.project)
    if args.target.exists() and not args.target.is_dir():
        raise UserError(f"{args.target}: the results go into a folder, and this is a file")
    paths = _files(args.source, apart_from=args.target)
    processes = config.node.workers if args.jobs is None else args.jobs
    running = clean_files(paths, args.target, config, args.project, processes)
    outcomes = list(
        track(running, "de-identifying", total=len(paths), console=console, disable=not console.is_terminal)
    )
    refused = [outcome for outcome in outcomes if outcome.reason]
    for outcome in refused:
        print(f"refused: {outcome.source}: {outcome.reason}")
    if args.maps:
        write_maps(args.maps, outcomes)
    print(f"{len(outcomes) - len(refused)} clean, {len(refused)} refused")
    return SOME_REFUSED if refused else OK


def _reidentify(args: argparse.Namespace) -> int:
    config = _config_of(args)
    _demand_project(config, args.project)
    if args.target.exists() and not args.target.is_dir():
        raise UserError(f"{args.target}: the results go into a folder, and this is a file")
    paths = _files(args.source, apart_from=args.target)
    outcomes = list(reidentify_files(paths, args.target, open_archive(config), args.project, _ACTOR))
    refused = [outcome for outcome in outcomes if outcome.reason]
    for outcome in refused:
        print(f"refused: {outcome.source}: {outcome.reason}")
    print(f"{len(outcomes) - len(refused)} re-identified, {len(refused)} refused")
    return SOME_REFUSED if refused else OK


def _files(sources: Sequence[Path], *, apart_from: Path | None = None) -> list[Path]:
    for source in sources:
        if not source.exists():
            raise UserError(f"{source}: there is no such file or folder")
    paths = files_below(sources, apart_from)
    if not paths:
        raise UserError(f"{', '.join(map(str, sources))}: there are no files in it")
    return paths


def _demand_project(config: Config, name: str) -> None:
    if config.project(name) is None:
        names = ", ".join(project.name for project in config.projects)
        raise UserError(f"there is no project {name!r}; there are: {names}")


def _send(args: argparse.Namespace) -> int:
    config = _config_of(args)
    paths, failed = _files(args.path), 0
    with Destination(_peer(config, args.to), config.node.ae_title) as destination:
        contexts = {path: context for path in paths if (context := context_of(path)) is not None}
        if contexts:
            destination.open(contexts.values())
        for path in paths:
            try:
                status = destination.send(path, contexts[path]) if path in contexts else None
                problem = (
                    "names no SOP Class and transfer syntax"
                    if status is None
                    else ""
                    if is_stored(status)
                    else f"0x{status:04X}"
                )
            except StorageError as error:
                if isinstance(error, Unavailable):
                    raise
                problem = str(error)
            if problem:
                failed += 1
                print(f"not sent: {path}: {problem}")
    print(f"{len(paths) - failed} sent, {failed} not sent")
    return FAILED if failed else OK


def _echo(args: argparse.Namespace) -> int:
    config = _config_of(args)
    status = Destination(_peer(config, args.peer), config.node.ae_title).echo()
    print(f"{args.peer} answers 0x{status:04X}")
    return OK if status == 0 else FAILED


def _peer(config: Config, name: str) -> Peer:
    """A configured peer by name, or one spelt out as AETITLE@host:port."""
    peer = config.peer(name)
    title, at, address = name.partition("@")
    host, colon, port = address.rpartition(":")
    if peer is None and at and colon and title and host and port.isdigit():
        return Peer(name=title, ae_title=title, host=host, port=int(port))
    if peer is None:
        known = ", ".join(peer.name for peer in config.peers) or "none"
        raise UserError(f"there is no peer {name!r}; configured: {known}; or spell it out: AETITLE@host:port")
    return peer


def _status(args: argparse.Namespace) -> int:
    counts = open_archive(_config_of(args)).counts()
    if args.json:
        print(json.dumps(counts))
        return OK
    table = Table("state", "count", box=None)
    for state, count in counts.items():
        table.add_row(state, str(count))
    Console().print(table)
    return OK


def _retry(args: argparse.Namespace) -> int:
    archive = open_archive(_config_of(args))
    wanted = args.job or [job.id for job in archive.jobs.find(states=[State.QUARANTINED, State.FAILED])]
    for number in wanted:
        archive.release(number, _ACTOR)
    print(f"{len(wanted)} jobs are tried again")
    return OK


def _verify(args: argparse.Namespace) -> int:
    problems = list(open_archive(_config_of(args)).verify())
    for problem in problems:
        print(problem)
    print(f"{len(problems)} contradictions" if problems else "files, jobs, index and audit trail agree")
    return FAILED if problems else OK


def _audit_verify(args: argparse.Namespace) -> int:
    archive = open_archive(_config_of(args))
    verdict = archive.audit.verify(args.anchor)
    if verdict.broken_at is not None:
        print(f"broken: {verdict.why}")
        return FAILED
    problems = 0
    for problem in archive.receipts.problems():
        problems += 1
        print(problem)
    if problems:
        print(f"{verdict.entries} entries, unbroken; {problems} receipts are not those that were published")
        return FAILED
    print(f"{verdict.entries} entries, unbroken; last digest {verdict.head}")
    return OK


def _audit_export(args: argparse.Namespace) -> int:
    for entry in open_archive(_config_of(args)).audit.entries(after=args.after):
        print(json.dumps(entry.as_dict()))
    return OK


def _crosswalk_export(args: argparse.Namespace) -> int:
    entries = open_archive(_config_of(args)).export_crosswalk(args.project, _ACTOR)
    if args.output:
        print(f"{export_to(args.output, entries)} entries written")
    else:
        write_entries(entries, sys.stdout)
    return OK


def _receipts_export(args: argparse.Namespace) -> int:
    *studies, target = args.what
    if bool(studies) == args.all:
        raise UserError("name the studies and a file, or --all and a file: lethe receipts export STUDY_UID OUT.json")
    archive = open_archive(_config_of(args))
    if args.originals:
        documents = with_values(archive, archive.export_originals(studies, _ACTOR))
    else:
        documents = map(document, archive.export_receipts(studies, _ACTOR))
    with private_file(Path(target)) as file:
        print(f"{write_documents(documents, file)} receipts written")
    return OK


def _crosswalk_lookup(args: argparse.Namespace) -> int:
    found = open_archive(_config_of(args)).look_up(asked(args.value), args.project, _ACTOR)
    if not found:
        print("lethe: not in the crosswalk", file=sys.stderr)
        return FAILED
    write_entries(found, sys.stdout)
    return OK


def _crosswalk_import(args: argparse.Namespace) -> int:
    config = _config_of(args)
    _demand_project(config, args.project)
    archive, patients = open_archive(config), read_patients(args.file)
    use = archive.try_patients if args.dry_run or patients.mistakes else archive.import_patients
    comparison = use(args.project, patients.pairs, _ACTOR)
    conflicts = [f"line {patients.lines[number]}: {why}" for number, why in comparison.conflicts]
    for problem in patients.mistakes + conflicts:
        print(problem)
    counts = f"{comparison.unchanged} unchanged, {len(conflicts)} conflicts, {len(patients.mistakes)} invalid"
    if patients.mistakes or conflicts:
        print(f"{len(comparison.added)} could be added, {counts}; nothing was imported")
        return FAILED
    if args.dry_run:
        print(f"{len(comparison.added)} would be added, {counts}; nothing was imported")
        return OK
    released = release_held(archive, args.project, _ACTOR)
    print(f"{len(comparison.added)} added, {counts}; {released} held objects are tried again")
    return OK


def _config_check(args: argparse.Namespace) -> int:
    config = load_config(Path(args.config or _DEFAULT_CONFIG))
    print(f"{args.config or _DEFAULT_CONFIG}: good; {len(config.peers)} peers, {len(config.projects)} projects")
    return OK


def _key_new(_args: argparse.Namespace) -> int:
    print(new_key().decode())
    return OK


def _key_rotate(args: argparse.Namespace) -> int:
    config = _config_of(args)
    _demand_project(config, args.project)
    kept = open_archive(config).rotate_key(key_name(args.project), new_key(), _ACTOR, args.project)
    print(f"project {args.project} has a new key from now on; the old one is kept as keys/{kept}")
    return OK


def _demo(args: argparse.Namespace) -> int:
    return demo(stay=not args.once)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _user_reset(args: argparse.Namespace) -> int:
    archive = open_archive(_config_of(args))
    with transaction(archive.database):
        password = archive.users.reset_password(args.name)
        archive.audit.record(Actor("command line"), "password-reset", args.name)
    print(f"{args.name} logs in with the one-time password {password}")
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lethe", description="A DICOM node that forgets who the patient was.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str, example: str) -> argparse.ArgumentParser:
        return _command(commands, name, run, text, example)

    add("serve", _serve, "run everything; Ctrl-C or SIGTERM drains and stops", "lethe serve --config config.toml")
    for name, text in (
        ("receive", "run the DICOM receiver alone"),
        ("worker", "run one de-identification worker alone"),
        ("deliver", "run the sender alone"),
        ("web", "run portal, DICOMweb and FHIR alone"),
    ):
        add(name, _part, text, f"lethe {name} --config config.toml")
    one = add("deidentify", _deidentify, "clean files and folders", "lethe deidentify study/ clean/ --maps maps/")
    one.add_argument("source", nargs="+", type=Path, metavar="SRC", help="files and folders")
    one.add_argument("target", type=Path, metavar="DST", help="folder for the results, named by their new UIDs")
    one.add_argument("--project", default="default", metavar="NAME", help="whose profile and key to use")
    one.add_argument("--maps", type=Path, metavar="DIR", help="write uids.csv and patients.csv here; they re-identify")
    one.add_argument("--jobs", type=_positive, metavar="N", help="processes (default: workers of the configuration)")
    text = "put the originals back into files made elsewhere on clean studies; the results hold PHI"
    one = add("reidentify", _reidentify, text, "lethe reidentify results/ identified/ --project trial")
    one.add_argument("source", nargs="+", type=Path, metavar="SRC", help="files and folders")
    one.add_argument("target", type=Path, metavar="DST", help="folder for the results, readable by you alone")
    one.add_argument("--project", default="default", metavar="NAME", help="the project whose studies they are about")
    one = add("send", _send, "send files to a peer", "lethe send clean/ --to archive")
    one.add_argument("path", nargs="+", type=Path, metavar="PATH", help="files and folders")
    one.add_argument("--to", required=True, metavar="PEER", help="name of a peer, or AETITLE@host:port")
    one = add("echo", _echo, "ask whether a peer answers", "lethe echo archive")
    one.add_argument("peer", metavar="PEER", help="name of a peer, or AETITLE@host:port")
    one = add("status", _status, "show counts by state", "lethe status --json")
    one.add_argument("--json", action="store_true", help="as JSON")
    one = add("retry", _retry, "try quarantined and failed jobs again", "lethe retry 17")
    one.add_argument("job", nargs="*", type=int, metavar="JOB", help="job numbers (default: all)")
    add("verify", _verify, "check that files, jobs, index and audit trail agree", "lethe verify")
    add("demo", _demo, "show the whole flow with sample studies in a throw-away folder", "lethe demo").add_argument(
        "--once", action="store_true", help="stop after the tables instead of staying up"
    )
    _grouped(commands)
    return parser


def _grouped(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands of two words."""

    def group(name: str, text: str) -> argparse._SubParsersAction[argparse.ArgumentParser]:
        return commands.add_parser(name, help=text, description=text).add_subparsers(required=True, metavar="COMMAND")

    one = _command(
        group("user", "accounts"), "reset", _user_reset, "give an account a new one-time password", "lethe user reset"
    )
    one.add_argument("name", nargs="?", default="admin", metavar="NAME", help="the account (default: admin)")
    audit = group("audit", "prove or export the audit trail")
    one = _command(
        audit,
        "verify",
        _audit_verify,
        "prove that the chain is unbroken and every receipt the one that was published",
        "lethe audit verify",
    )
    one.add_argument("--anchor", default="", metavar="DIGEST", help="a last digest noted earlier; must still be there")
    one = _command(
        audit, "export", _audit_export, "write all entries as JSON lines", "lethe audit export > audit.jsonl"
    )
    one.add_argument("--after", type=int, default=0, metavar="N", help="only entries after number N")
    _command(
        group("config", "explain the configuration"), "check", _config_check, "name every mistake", "lethe config check"
    )
    _crosswalk(group("crosswalk", "what became what; it re-identifies"))
    one = _command(
        group("receipts", "what was done to each instance"),
        "export",
        _receipts_export,
        "write what was done to each instance as JSON",
        "lethe receipts export --all receipts.json",
    )
    one.usage = "lethe receipts export [-h] [--config FILE] [--originals] (STUDY_UID ... | --all) OUT.json"
    one.add_argument(
        "what", nargs="+", metavar="STUDY_UID ... OUT.json", help="studies, then a file that only you can read"
    )
    one.add_argument("--all", action="store_true", help="of all studies")
    one.add_argument("--originals", action="store_true", help="with each element before and after; it re-identifies")
    key = group("key", "project keys")
    _command(key, "new", _key_new, "print a new random project key", "lethe key new")
    one = _command(
        key, "rotate", _key_rotate, "give a project a new key, and keep the old one", "lethe key rotate default"
    )
    one.add_argument("project", metavar="PROJECT", help="name of a project")


def _crosswalk(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = _command(
        commands,
        "export",
        _crosswalk_export,
        "write what became what as CSV",
        "lethe crosswalk export --output crosswalk.csv",
    )
    one.add_argument("--project", default="", metavar="NAME", help="of this project alone (default: all)")
    one.add_argument("--output", type=Path, metavar="FILE", help="a file that only you can read (default: print it)")
    one = _command(
        commands,
        "import",
        _crosswalk_import,
        "take over a site's own list of patients: all of it or nothing",
        "lethe crosswalk import patients.csv --project trial --dry-run",
    )
    one.add_argument(
        "file", type=Path, metavar="FILE", help="CSV with the columns id_old (Patient ID), id_new (trial ID)"
    )
    one.add_argument("--project", default="default", metavar="NAME", help="whose list it is")
    one.add_argument("--dry-run", action="store_true", help="only say what would be added, is unchanged, conflicts")
    one = _command(
        commands,
        "lookup",
        _crosswalk_lookup,
        "find an original or a pseudonym",
        "lethe crosswalk lookup TRIAL-017",
    )
    one.add_argument("value", nargs="+", metavar="VALUE", help='originals or pseudonyms; "-" reads them from the input')
    one.add_argument("--project", default="", metavar="NAME", help="in this project alone (default: all)")


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
    parser.add_argument("--config", metavar="FILE", help=f"configuration (default: {_DEFAULT_CONFIG})")
    parser.set_defaults(run=run)
    return parser
