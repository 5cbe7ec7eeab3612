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
from lethe.storage.errors import StorageError, Unavailable
from lethe.storage.jobs import State

from .config import Config, ConfigError, Peer, load_config
from .demo import demo
from .dimse.scu import Destination, is_stored
from .folder import clean_files, files_below, write_maps
from .parts import PARTS, open_archive
from .projects import new_key
from .serve import serve

OK, FAILED, USAGE, SOME_REFUSED = 0, 1, 2, 3
_DEFAULT_CONFIG = "config.toml"


class UserError(Exception):
    """Something the user can put right; the message says what and how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    args = _parser().parse_args(arguments)
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
    if config.project(args.project) is None:
        names = ", ".join(project.name for project in config.projects)
        raise UserError(f"there is no project {args.project!r}; there are: {names}")
    for source in args.source:
        if not source.exists():
            raise UserError(f"{source}: there is no such file or folder")
    paths = files_below(args.source)
    processes = args.jobs or config.node.workers
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


def _send(args: argparse.Namespace) -> int:
    config = _config_of(args)
    paths, failed = files_below(args.path), 0
    with Destination(_peer(config, args.to), config.node.ae_title) as destination:
        contexts = {path: context for path in paths if (context := _context(path)) is not None}
        destination.open(contexts.values())
        for path in paths:
            try:
                status = destination.send(path, contexts[path]) if path in contexts else None
                problem = "not a DICOM file" if status is None else "" if is_stored(status) else f"0x{status:04X}"
            except StorageError as error:
                if isinstance(error, Unavailable):
                    raise
                problem = str(error)
            if problem:
                failed += 1
                print(f"not sent: {path}: {problem}")
    print(f"{len(paths) - failed} sent, {failed} not sent")
    return FAILED if failed else OK


def _context(path: Path) -> tuple[str, str] | None:
    from pydicom.filereader import read_file_meta_info

    try:
        meta = read_file_meta_info(path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except Exception:
        return None


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
        archive.release(number, Actor("command line"))
    print(f"{len(wanted)} jobs are tried again")
    return OK


def _verify(args: argparse.Namespace) -> int:
    problems = list(open_archive(_config_of(args)).verify())
    for problem in problems:
        print(problem)
    print(f"{len(problems)} contradictions" if problems else "files, jobs, index and audit trail agree")
    return FAILED if problems else OK


def _audit_verify(args: argparse.Namespace) -> int:
    verdict = open_archive(_config_of(args)).audit.verify(args.anchor)
    if verdict.broken_at is not None:
        print(f"broken: {verdict.why}")
        return FAILED
    print(f"{verdict.entries} entries, unbroken; last digest {verdict.head}")
    return OK


def _audit_export(args: argparse.Namespace) -> int:
    for entry in open_archive(_config_of(args)).audit.entries(after=args.after):
        print(json.dumps(entry.as_dict()))
    return OK


def _config_check(args: argparse.Namespace) -> int:
    config = load_config(Path(args.config or _DEFAULT_CONFIG))
    print(f"{args.config or _DEFAULT_CONFIG}: good; {len(config.peers)} peers, {len(config.projects)} projects")
    for project in config.projects:
        from .deid.profile import Profile

        for option in Profile(project.options).ignored:
            print(f"[projects.{project.name}]: {option} is not built yet; the Basic Profile is applied instead")
    return OK


def _key_new(_args: argparse.Namespace) -> int:
    print(new_key().decode())
    return OK


def _demo(args: argparse.Namespace) -> int:
    return demo(stay=not args.once)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lethe", description="A DICOM node that forgets who the patient was.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

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
    one.add_argument("--jobs", type=int, metavar="N", help="processes (default: workers of the configuration)")
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

    audit = group("audit", "prove or export the audit trail")
    one = _command(audit, "verify", _audit_verify, "prove that the chain is unbroken", "lethe audit verify")
    one.add_argument("--anchor", default="", metavar="DIGEST", help="a last digest noted earlier; must still be there")
    one = _command(
        audit, "export", _audit_export, "write all entries as JSON lines", "lethe audit export > audit.jsonl"
    )
    one.add_argument("--after", type=int, default=0, metavar="N", help="only entries after number N")
    _command(
        group("config", "explain the configuration"), "check", _config_check, "name every mistake", "lethe config check"
    )
    _command(group("key", "project keys"), "new", _key_new, "print a new random project key", "lethe key new")


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
