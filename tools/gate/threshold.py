#!/usr/bin/env python3
"""Show what the gate's thresholds clear: of drawn frames with text, how many of those in which the detector finds some;
and how many of those without. Also how likely text was to the network at its first look.

usage: threshold.py WEIGHTS [--frames 200] [--seed 77]
Needs the project's own environment, `make types`, and the fonts of train.py. Says the SHA-256 that
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
    none, found, cleared = list[float](), list[float](), {True: 0, False: 0}
    for _ in range(args.frames):
        sample = made_sample(random, genuine=[])
        sizes = gates._sizes(sample.picture)
        highest = max(float(gate._heat(strip).max()) for one in sizes for strip in gates._strips(one))
        if not sample.cells.any():
            cleared[False] += gate.clears(sample.picture)
            none.append(highest)
        elif _is_found(finder, sample):
            found.append(highest)
            cleared[True] += gate.clears(sample.picture)
    found.sort()
    print(f"cleared: {cleared[True]} of {len(found)} with text, {cleared[False]} of {len(none)} without")
    print(digest, f"{len(found)} frames with text that is found, {len(none)} without text")
    print("least sure of text:", " ".join(f"{one:.1f}" for one in found[:20]))
    for threshold in (-5, -4, -3, -2, -1, 0, 1, 2):
        missed, spared = np.mean(np.array(found) < threshold), np.mean(np.array(none) < threshold)
        print(f"first look {threshold:3d}: {missed:6.2%} of text cleared, {spared:6.2%} of frames without")
    return 0


def _is_found(finder: DbNet, sample: Sample) -> bool:
    text = np.kron(sample.cells == TEXT, np.ones((8, 8), bool))
    assert NONE == 0
    return any(text[box.rows, box.columns].any() for box, _ in finder.find(sample.picture, _SCALE))


if __name__ == "__main__":
    sys.exit(main())
