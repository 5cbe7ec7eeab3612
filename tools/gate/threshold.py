#!/usr/bin/env python3
"""Show how low the gate's threshold has to be: of drawn frames with text, how sure it is of those in which the detector
finds some; of drawn frames without, how often it is as sure.

usage: threshold.py WEIGHTS [--frames 200] [--seed 77]
Needs the project's own environment, `make types`, and the fonts of train.py. Says the logits and the SHA-256 that
node/burned/gate.py has to name.
"""

from __future__ import annotations

import argparse
import sys
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from samples import NONE, TEXT, Sample, made_sample

from lethe.node.burned import gate as gates
from lethe.node.burned.dbnet import DbNet

_SCALE = 736 / 288


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--seed", type=int, default=77)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    digest = sha256(args.weights.read_bytes()).hexdigest()
    gates._DIGEST = digest
    gate, finder, random = gates.Gate(args.weights), DbNet(), np.random.default_rng(args.seed)
    none, found = list[float](), list[float]()
    for _ in range(args.frames):
        sample = made_sample(random, genuine=[])
        highest = max(gate.highest(one) for one in gates._sizes(sample.picture))
        if not sample.cells.any():
            none.append(highest)
        elif _is_found(finder, sample):
            found.append(highest)
    found.sort()
    print(digest, f"{len(found)} frames with text that is found, {len(none)} without text")
    print("least sure of text:", " ".join(f"{one:.1f}" for one in found[:20]))
    for threshold in (-5, -4, -3, -2, -1, 0, 1, 2):
        missed, cleared = np.mean(np.array(found) < threshold), np.mean(np.array(none) < threshold)
        print(f"{threshold:3d}: {missed:6.2%} of text cleared, {cleared:6.2%} of frames without text cleared")
    return 0


def _is_found(finder: DbNet, sample: Sample) -> bool:
    text = np.kron(sample.cells == TEXT, np.ones((8, 8), bool))
    assert NONE == 0
    return any(text[box.rows, box.columns].any() for box, _ in finder.find(sample.picture, _SCALE))


if __name__ == "__main__":
    sys.exit(main())
