#!/usr/bin/env python3
"""Kill parts of a running node with SIGKILL at random points of a transfer, and show that nothing is lost or doubled.

usage: kill.py [--instances 500] [--kills 100] [--seed 0]
A modality sends, and sends again what was not acknowledged; a second receiver takes what is delivered; meanwhile random
parts of the node (receiver, worker, courier, web, or the supervisor with all of them) are killed. At the end every
acknowledged instance must be published once and delivered, and files, jobs, index and audit trail must agree.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kill_trial import kill_while_sending


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("instances", 500), ("kills", 100), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lethe-kill-") as folder:
        print(kill_while_sending(Path(folder), args.instances, args.kills, args.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
