"""Makes certificates for trials, and says how a configuration names one."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding

from ..dimse.certificates import certificates_in, fingerprint_of
from ..errors import UserError
from ..exports import private_file
from ..trial_certificate import certificate_and_key
from .exits import OK


def new(args: argparse.Namespace) -> int:
    certificate_file, key_file = (args.output.with_name(args.output.name + kind) for kind in (".crt", ".key"))
    for path in (certificate_file, key_file):
        if path.exists():
            raise UserError(f"{path} is there already and is not overwritten")
    certificate, key = certificate_and_key(args.subject, args.host, days=args.days, now=datetime.now(UTC))
    for path, text in ((key_file, key), (certificate_file, certificate)):
        with private_file(path) as file:
            file.write(text)
    print(f"{certificate_file} and {key_file}, its private key")
    return show(argparse.Namespace(file=certificate_file))


def show(args: argparse.Namespace) -> int:
    try:
        found = certificates_in(args.file)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{args.file}: {getattr(error, 'strerror', None) or 'not a PEM file of certificates'}"
        ) from None
    for one in found:
        print(f"subject      {one.subject.rfc4514_string()}")
        print(f"fingerprint  {fingerprint_of(one.public_bytes(Encoding.DER))}")
        print(f"valid        {one.not_valid_before_utc:%Y-%m-%d} to {one.not_valid_after_utc:%Y-%m-%d}")
    return OK
