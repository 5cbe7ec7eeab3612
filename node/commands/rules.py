"""Lists, takes over and gives out what was learned of devices: where they write text into their frames."""

from __future__ import annotations

import argparse
import sys

from ..burned.devices import BadRules, DeviceRules, file_of, rule_from, rules_in
from ..errors import UserError
from ..parts import open_archive
from .context import ACTOR, config_of
from .exits import OK

_SOURCE = "learned at the review desk of a Lethe node"


def show(args: argparse.Namespace) -> int:
    learned = [rule_from(document) for document in open_archive(config_of(args)).rulebook.documents()]
    for rule in learned:
        print(f"{rule.name}: {'all but ' if rule.keeps else ''}{', '.join(str(list(box)) for box in rule.boxes)}")
    print(f"{len(learned)} learned; {len(DeviceRules.shipped().rules)} come with the program")
    return OK


def export(args: argparse.Namespace) -> int:
    learned = [rule_from(document) for document in open_archive(config_of(args)).rulebook.documents()]
    text = file_of(learned, _SOURCE)
    if args.output:
        args.output.write_text(text, encoding="utf-8")
        print(f"{len(learned)} rules written")
    else:
        sys.stdout.write(text)
    return OK


def import_file(args: argparse.Namespace) -> int:
    try:
        rules = rules_in(args.file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{args.file}: cannot be read ({error.strerror})") from None
    except (BadRules, UnicodeDecodeError) as error:
        raise UserError(f"{args.file}: {error}; nothing was imported") from None
    added, replaced = open_archive(config_of(args)).learn_rules([rule.as_document() for rule in rules], ACTOR)
    print(f"{added} added, {replaced} replaced; workers use them from their next object on")
    return OK


def remove(args: argparse.Namespace) -> int:
    open_archive(config_of(args)).forget_rule(args.name, ACTOR)
    print(f"{args.name}: removed")
    return OK
