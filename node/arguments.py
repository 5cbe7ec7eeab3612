"""Says which commands there are, what each is told, and how `--help` explains it.

It names what runs a command instead of importing it (`run`, "MODULE.FUNCTION" below `commands`): nobody should wait for
the libraries of the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn, TypeAlias

DEFAULT_CONFIG = "config.toml"
_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


class _Version(argparse.Action):
    """Looks for the edition only where it is asked for: that takes longer than most commands to begin."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"lethe {version('lethe-node')}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, as everything here does; argparse shows the usage as well."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line. What it parses holds `command`, None where there was none, and `run`."""
    whole = _Parser(
        prog="lethe",
        description="A DICOM node that forgets who the patient was.",
        epilog="example: lethe serve --config config.toml; every command explains itself: lethe COMMAND --help",
    )
    whole.add_argument("--version", action=_Version, nargs=0, help="say which edition this is")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    _node(commands)
    _engine(commands)
    _peers(commands)
    _queue(commands)
    _upkeep(commands)
    _add(
        commands, "demo", "demo.run", "show the whole flow with sample studies in a throw-away folder", "lethe demo"
    ).add_argument("--once", action="store_true", help="stop after the tables instead of staying up")
    _user(_group(commands, "user", "accounts"))
    _audit(_group(commands, "audit", "prove or export the audit trail"))
    config = _group(commands, "config", "explain the configuration")
    _add(config, "check", "configuration.check", "name every mistake", "lethe config check")
    _crosswalk(_group(commands, "crosswalk", "what became what; it re-identifies"))
    _receipts(_group(commands, "receipts", "what was done to each instance"))
    _key(_group(commands, "key", "project keys"))
    _certificate(_group(commands, "certificate", "certificates for TLS"))
    _rules(_group(commands, "rules", "where devices write text into their frames, as it was learned here"))
    return whole


def _node(commands: _Commands) -> None:
    text = "run everything; Ctrl-C or SIGTERM drains and stops"
    _add(commands, "serve", "serve.run", text, "lethe serve --config config.toml")
    for name, text in (
        ("receive", "run the DICOM receiver alone"),
        ("worker", "run one de-identification worker alone"),
        ("deliver", "run the sender alone"),
        ("web", "run portal, DICOMweb and FHIR alone"),
        ("events", "send event reports of workitems alone"),
    ):
        _add(commands, name, "part.run", text, f"lethe {name} --config config.toml")


def _engine(commands: _Commands) -> None:
    one = _add(
        commands,
        "deidentify",
        "deidentify.run",
        "clean files and folders",
        "lethe deidentify study/ clean/ --maps maps/",
    )
    one.add_argument("source", nargs="+", type=Path, metavar="SRC", help="files and folders")
    one.add_argument("target", type=Path, metavar="DST", help="folder for the results, named by their new UIDs")
    one.add_argument("--project", default="default", metavar="NAME", help="whose profile and key to use")
    one.add_argument("--maps", type=Path, metavar="DIR", help="write uids.csv and patients.csv here; they re-identify")
    one.add_argument("--jobs", type=_positive, metavar="N", help="processes (default: workers of the configuration)")
    text = "put the originals back into files made elsewhere on clean studies; the results hold PHI"
    example = "lethe reidentify results/ identified/ --project trial"
    one = _add(commands, "reidentify", "reidentify.run", text, example)
    one.add_argument("source", nargs="+", type=Path, metavar="SRC", help="files and folders")
    one.add_argument("target", type=Path, metavar="DST", help="folder for the results, readable by you alone")
    one.add_argument("--project", default="default", metavar="NAME", help="the project whose studies they are about")


def _peers(commands: _Commands) -> None:
    one = _add(commands, "send", "peers.send", "send files to a peer", "lethe send clean/ --to archive")
    one.add_argument("path", nargs="+", type=Path, metavar="PATH", help="files and folders")
    one.add_argument("--to", required=True, metavar="PEER", help="name of a peer, or AETITLE@host:port")
    text = "send clean studies, series or instances again"
    one = _add(commands, "resend", "queues.resend", text, "lethe resend 2.25.17 --to archive")
    one.add_argument("uid", nargs="+", metavar="UID", help="UIDs as they are after cleaning")
    one.add_argument("--to", action="append", default=[], metavar="PEER", help="default: where their projects send")
    _pull(commands)
    one = _add(commands, "echo", "peers.echo", "ask whether a peer answers", "lethe echo archive")
    one.add_argument("peer", metavar="PEER", help="name of a peer, or AETITLE@host:port")


def _pull(commands: _Commands) -> None:
    text = "have a PACS send us studies: found by C-FIND, moved by C-MOVE or got by C-GET"
    one = _add(commands, "pull", "pull.run", text, "lethe pull pacs --list studies.txt --rate 600")
    one.add_argument("peer", metavar="PEER", help="name of a peer, or AETITLE@host:port")
    what = one.add_mutually_exclusive_group(required=True)
    what.add_argument("--study", nargs="+", metavar="UID", help="Study Instance UIDs")
    what.add_argument(
        "--query", nargs="+", metavar="KEY=VALUE", help="all studies that match, such as StudyDate=20260101-20260131"
    )
    what.add_argument("--list", type=Path, metavar="FILE", help="a Study Instance UID or Accession Number a line")
    one.add_argument("--project", default="", metavar="NAME", help="into this project (default: as the routes say)")
    one.add_argument("--get", action="store_true", help="by C-GET: from a PACS that cannot call this node")
    one.add_argument("--rate", type=_positive, metavar="N", help="no more than N instances a minute (default: any)")
    one.add_argument("--again", action="store_true", help="start over instead of going on where it stopped")
    one.add_argument("--dry-run", action="store_true", help="only list the studies that would be moved")


def _queue(commands: _Commands) -> None:
    text = "show what waits to be sent, by destination"
    one = _add(commands, "queue", "queues.show", text, "lethe queue --json")
    one.add_argument("--json", action="store_true", help="as JSON")
    below = one.add_subparsers(metavar="COMMAND")
    text = "send nothing more to a peer, not even after a restart"
    _add(below, "pause", "queues.pause", text, "lethe queue pause archive").add_argument("peer", metavar="PEER")
    text = "send to a peer again, and try at once if it was away"
    _add(below, "resume", "queues.resume", text, "lethe queue resume archive").add_argument("peer", metavar="PEER")
    text = "send what waits of a clean study before everything else"
    one = _add(below, "first", "queues.first", text, "lethe queue first 2.25.17")
    one.add_argument("study", metavar="STUDY_UID", help="its UID after cleaning")
    one.add_argument("--to", default="", metavar="PEER", help="to this peer alone (default: to all)")


def _upkeep(commands: _Commands) -> None:
    one = _add(commands, "status", "upkeep.status", "show counts by state", "lethe status --json")
    one.add_argument("--json", action="store_true", help="as JSON")
    one = _add(commands, "retry", "upkeep.retry", "try quarantined and failed jobs again", "lethe retry 17")
    one.add_argument("job", nargs="*", type=_number, metavar="JOB", help="job numbers (default: all)")
    text = "throw originals away that are held back; it cannot be undone"
    one = _add(commands, "discard", "upkeep.discard", text, "lethe discard 17 --reason 'sent by mistake'")
    one.add_argument("job", nargs="+", type=_number, metavar="JOB", help="job numbers, as the portal shows them")
    one.add_argument("--reason", required=True, metavar="TEXT", help="for the audit trail; it names no patient")
    one.add_argument("--study", action="store_true", help="and all that is held back of their studies")
    text = "check that files, jobs, index and audit trail agree, and that no disk has changed a file"
    _add(commands, "verify", "upkeep.verify", text, "lethe verify")


def _number(text: str) -> int:
    """The number of a job or an entry; argparse turns what is raised into a line."""
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {(1 << 63) - 1}")
    return int(text)


def _user(commands: _Commands) -> None:
    one = _add(commands, "reset", "accounts.reset", "give an account a new one-time password", "lethe user reset")
    one.add_argument("name", nargs="?", default="admin", metavar="NAME", help="the account (default: admin)")


def _audit(commands: _Commands) -> None:
    text = "prove that the chain is unbroken and every receipt the one that was published"
    one = _add(commands, "verify", "audit.verify", text, "lethe audit verify")
    one.add_argument("--anchor", default="", metavar="DIGEST", help="a last digest noted earlier; must still be there")
    text = "write all entries as JSON lines"
    one = _add(commands, "export", "audit.export", text, "lethe audit export > audit.jsonl")
    one.add_argument("--after", type=_number, default=0, metavar="N", help="only entries after number N")


def _rules(commands: _Commands) -> None:
    _add(commands, "list", "rules.show", "list the learned device rules", "lethe rules list")
    text = "write the learned device rules as a file for another node"
    one = _add(commands, "export", "rules.export", text, "lethe rules export --output rules.json")
    one.add_argument("--output", type=Path, metavar="FILE", help="default: print it")
    text = "take over a file of device rules; one of a known name replaces it"
    one = _add(commands, "import", "rules.import_file", text, "lethe rules import rules.json")
    one.add_argument("file", type=Path, metavar="FILE", help="JSON, as `lethe rules export` writes it")
    one = _add(commands, "remove", "rules.remove", "forget a learned device rule", 'lethe rules remove "US ACME 9"')
    one.add_argument("name", metavar="NAME", help="its name, as `lethe rules list` shows it")


def _crosswalk(commands: _Commands) -> None:
    text, example = "write what became what as CSV", "lethe crosswalk export --output crosswalk.csv"
    one = _add(commands, "export", "crosswalk.export", text, example)
    one.add_argument("--project", default="", metavar="NAME", help="of this project alone (default: all)")
    one.add_argument("--output", type=Path, metavar="FILE", help="a file that only you can read (default: print it)")
    text = "take over a site's own list of patients: all of it or nothing"
    example = "lethe crosswalk import patients.csv --project trial --dry-run"
    one = _add(commands, "import", "crosswalk.import_list", text, example)
    one.add_argument(
        "file", type=Path, metavar="FILE", help="CSV with the columns id_old (Patient ID), id_new (trial ID)"
    )
    one.add_argument("--project", default="default", metavar="NAME", help="whose list it is")
    one.add_argument("--dry-run", action="store_true", help="only say what would be added, is unchanged, conflicts")
    text, example = "find an original or a pseudonym", "lethe crosswalk lookup TRIAL-017"
    one = _add(commands, "lookup", "crosswalk.look_up", text, example)
    one.add_argument("value", nargs="+", metavar="VALUE", help='originals or pseudonyms; "-" reads them from the input')
    one.add_argument("--project", default="", metavar="NAME", help="in this project alone (default: all)")


def _receipts(commands: _Commands) -> None:
    text, example = "write what was done to each instance as JSON", "lethe receipts export --all receipts.json"
    one = _add(commands, "export", "receipts.export", text, example)
    one.usage = "lethe receipts export [-h] [--config FILE] [--originals] (STUDY_UID ... | --all) OUT.json"
    one.add_argument(
        "what", nargs="+", metavar="STUDY_UID ... OUT.json", help="studies, then a file that only you can read"
    )
    one.add_argument("--all", action="store_true", help="of all studies")
    one.add_argument("--originals", action="store_true", help="with each element before and after; it re-identifies")


def _key(commands: _Commands) -> None:
    _add(commands, "new", "keys.new", "print a new random project key", "lethe key new")
    text = "give a project a new key, and keep the old one"
    one = _add(commands, "rotate", "keys.rotate", text, "lethe key rotate default")
    one.add_argument("project", metavar="PROJECT", help="name of a project")


def _certificate(commands: _Commands) -> None:
    text, example = "make a certificate and its key for trials", "lethe certificate new lethe --host lethe.example.org"
    one = _add(commands, "new", "certificates.new", text, example)
    one.add_argument("output", type=Path, metavar="NAME", help="writes NAME.crt and NAME.key, for you alone to read")
    one.add_argument("--host", action="append", default=[], metavar="HOST", help="host name or address it is made for")
    one.add_argument("--subject", default="CN=lethe", metavar="SUBJECT", help="whose it is (default: CN=lethe)")
    one.add_argument("--days", type=_positive, default=365, metavar="N", help="how long it is valid (default: 365)")
    text, example = "say how a configuration names a certificate", "lethe certificate show archive.crt"
    _add(commands, "show", "certificates.show", text, example).add_argument(
        "file", type=Path, metavar="FILE", help="PEM"
    )


def _group(commands: _Commands, name: str, text: str) -> _Commands:
    """The first word of commands of two."""
    group = commands.add_parser(name, help=text, description=text, epilog=f"example: lethe {name} COMMAND --help")
    return group.add_subparsers(required=True, metavar="COMMAND")


def _add(commands: _Commands, name: str, run: str, text: str, example: str) -> _Parser:
    one = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
    one.add_argument("--config", metavar="FILE", help=f"configuration (default: {DEFAULT_CONFIG})")
    one.set_defaults(run=run)
    return one


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)
