"""Exports receipts."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UserError
from ..exports import private_file
from ..parts import open_archive
from ..receipts import document, with_values, write_documents
from .context import ACTOR, config_of
from .exits import OK


def export(args: argparse.Namespace) -> int:
    *studies, target = args.what
    if bool(studies) == args.all:
        raise UserError("name the studies and a file, or --all and a file: lethe receipts export STUDY_UID OUT.json")
    archive = open_archive(config_of(args))
    if args.originals:
        documents = with_values(archive, archive.export_originals(studies, ACTOR))
    else:
        documents = map(document, archive.export_receipts(studies, ACTOR))
    with private_file(Path(target)) as file:
        print(f"{write_documents(documents, file)} receipts written")
    return OK
