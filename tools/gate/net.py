"""The gate's network: five convolutions down to cells of 8 x 8 pixels, and a few that look around."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """How likely each cell of a picture (batch, 3, rows, columns; -1 to 1) is part of text, as a logit."""

    def __init__(self) -> None:
        super().__init__()
        steps = [_step(3, 16, size=5, stride=2), _step(16, 24, stride=2), _step(24, 24), _step(24, 48, stride=2)]
        self.down = nn.Sequential(*steps)
        self.around = nn.ModuleList([_step(48, 48, apart=apart) for apart in (1, 2, 4)])
        self.head = nn.Conv2d(48, 1, 1)

    def forward(self, picture: Tensor) -> Tensor:
        seen = self.down(picture)
        for step in self.around:
            seen = seen + step(seen)
        logits: Tensor = self.head(seen)
        return logits


def _step(channels: int, out: int, *, size: int = 3, stride: int = 1, apart: int = 1) -> nn.Sequential:
    around = (size // 2) * apart
    conv = nn.Conv2d(channels, out, size, stride, around, dilation=apart, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


def save(gate: Gate, path: Path) -> None:
    """As a file that onnxruntime reads; any size of picture goes in."""
    gate.eval()
    axes = {"picture": {0: "batch", 2: "rows", 3: "columns"}, "cells": {0: "batch", 2: "rows", 3: "columns"}}
    torch.onnx.export(
        gate, (torch.zeros(1, 3, 64, 64),), str(path), input_names=["picture"], output_names=["cells"],
        dynamic_axes=axes, opset_version=17, dynamo=False,
    )  # fmt: skip
