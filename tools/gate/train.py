#!/usr/bin/env python3
"""Train the gate (node/burned/gate.py) on pictures that are drawn for it, and write its weights.

usage: train.py OUT.onnx [--steps 2400] [--seed 1]
Needs an environment of its own, with torch, onnx, numpy, opencv-python-headless, pillow and pydicom, and `.types` (made
by `make types`) on PYTHONPATH; fonts: Debian's fonts-dejavu, -liberation, -open-sans, -inconsolata, -freefont-ttf,
-wqy-zenhei, -vlgothic, -kacst. Nothing but what is drawn here, and five slices of pydicom's wheel, is learned from.

What counts is that each text lights at least one cell, and nothing else does: so the brightest cell of each text counts
as much as all of its cells, and of what is no text the worst cells count most. Frames without text that still light
are shown more often.
"""

from __future__ import annotations

import argparse
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from net import Gate, save
from samples import CELL, SIDE, TEXT, Sample, genuine_slices, made_sample
from torch import Tensor
from torch.nn.functional import max_pool2d, softplus

BATCH, SHARD, FIRST, MOST = 12, 250, 1000, 6000
RATE, WORST = 2e-3, 0.004
CROP = 24
"""Cells of the part of a sample that is shown at a time."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    random = np.random.default_rng(args.seed)
    gate = Gate().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(gate.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, args.steps, pct_start=0.1)
    samples, worst, begun = list[Sample](), list[float](), time.monotonic()
    with get_context("spawn").Pool(1) as pool:
        shards = pool.imap(_shard, ((args.seed * 1_000_003 + number) for number in range(MOST // SHARD)))
        for step in range(args.steps):
            wanted = FIRST + (MOST - FIRST) * min(step / (0.6 * args.steps), 1)
            while len(samples) + SHARD <= wanted:
                more = next(shards)
                samples += more
                worst += [0.0] * len(more)
            chosen = _chosen(random, np.array(worst))
            loss, highest = _loss(gate, _batch(random, [samples[one] for one in chosen]))
            for one, high in zip(chosen, highest, strict=True):
                worst[one] = high if not (samples[one].cells == TEXT).any() else 0.0
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(gate.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            if step % 100 == 0:
                spent = time.monotonic() - begun
                print(step, f"{float(loss.detach()):.3f}", len(samples), f"{spent:.0f} s", flush=True)
            if step % 400 == 399:
                save(gate, args.out)
                torch.save(gate.state_dict(), args.out.with_suffix(".pt"))
                gate.train()
    save(gate, args.out)
    torch.save(gate.state_dict(), args.out.with_suffix(".pt"))
    return 0


def _shard(seed: int) -> list[Sample]:
    cv2.setNumThreads(1)
    random, genuine = np.random.default_rng(seed), genuine_slices()
    return [made_sample(random, genuine=genuine) for _ in range(SHARD)]


def _chosen(random: np.random.Generator, worst: np.ndarray) -> list[int]:
    """Half of them evenly, half by how likely they looked like text and were none."""
    odds = np.where(worst > -3, np.clip(worst + 3, 0, 6) + 0.2, 0.1)
    hard = random.choice(len(worst), BATCH // 3, p=odds / odds.sum())
    return [*random.integers(0, len(worst), BATCH - BATCH // 3).tolist(), *hard.tolist()]


def _batch(random: np.random.Generator, samples: list[Sample]) -> tuple[Tensor, Tensor]:
    """Turned, mirrored, black for white."""
    pictures, cells = list[np.ndarray](), list[np.ndarray]()
    for one in samples:
        turns = int(random.choice([0, 0, 0, 1, 2, 3]))
        picture, there = (np.rot90(part, turns) for part in _part(random, one))
        if random.random() < 0.3:
            picture, there = picture[:, ::-1], there[:, ::-1]
        if random.random() < 0.2:
            picture = 255 - picture
        pictures.append(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        cells.append(np.ascontiguousarray(there))
    batch = torch.from_numpy(np.stack(pictures)).float() * (2 / 255) - 1
    return batch.contiguous(memory_format=torch.channels_last), torch.from_numpy(np.stack(cells))


def _part(random: np.random.Generator, one: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Some of a sample, as it is, enlarged twice, or all of it made smaller."""
    chance = random.random()
    if chance < 0.15:
        small = cv2.resize(one.picture, (CROP * CELL, CROP * CELL), interpolation=cv2.INTER_AREA)
        return small, cv2.resize(one.cells, (CROP, CROP), interpolation=cv2.INTER_NEAREST)
    wide = CROP // 2 if chance < 0.4 else CROP
    down, across = random.integers(0, SIDE // CELL - wide + 1, 2)
    picture = one.picture[down * CELL : (down + wide) * CELL, across * CELL : (across + wide) * CELL]
    cells = one.cells[down : down + wide, across : across + wide]
    if wide == CROP:
        return picture, cells
    large = cv2.resize(picture, (CROP * CELL, CROP * CELL), interpolation=cv2.INTER_LINEAR)
    return large, cv2.resize(cells, (CROP, CROP), interpolation=cv2.INTER_NEAREST)


def _loss(gate: Gate, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, list[float]]:
    pictures, cells = batch
    logits = gate(pictures)[:, 0]
    text, none = cells == TEXT, cells == 0
    missed, wrong = softplus(-logits), softplus(logits)
    # a cell's neighbours may stand for it: of each text, some cell nearby has to light
    near = max_pool2d(torch.where(text, logits, -20.0)[:, None], 5, 1, 2)[:, 0]
    of_text = ((missed * 0.3 + softplus(-near)) * text).sum() / text.sum().clamp(min=1)
    flat = torch.where(none, wrong, 0.0).flatten(1)
    hard = flat.topk(max(int(flat.shape[1] * WORST), 1), dim=1).values
    of_none = flat.sum() / none.sum().clamp(min=1) * 3 + hard.mean()
    highest = torch.where(none, logits, -20.0).flatten(1).amax(1).detach().tolist()
    return of_text + of_none, highest


if __name__ == "__main__":
    sys.exit(main())
