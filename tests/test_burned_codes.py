"""Barcodes and the like are covered; nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import cv2
import numpy as np
import pytest
from burned_pictures import drawn
from burned_screens import frames_of, is_gone, screen
from numpy.typing import NDArray

from lethe.node.burned.box import Box
from lethe.node.burned.codes import codes_in
from lethe.node.burned.looking import covered
from lethe.node.burned.views import plain_picture
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.projects import projects_of
from lethe.storage.archive import Archive

Grey = NDArray[np.uint8]


def quick_response(cell: int) -> Grey:
    code = np.asarray(cv2.QRCodeEncoder.create().encode("FEATHERSTONE^ANTONIA 19580317 MRN7741"), np.uint8)
    return np.kron(code, np.ones((cell, cell), np.uint8))


def bars(width: int) -> Grey:
    chance = np.random.default_rng(width)
    row = np.repeat(np.tile([0, 255], 40), chance.integers(1, 4, 80)).astype(np.uint8)
    return np.tile(np.repeat(row, width)[:500], (60, 1))


def matrix(cell: int) -> Grey:
    chance = np.random.default_rng(cell)
    return np.kron(chance.integers(0, 2, (20, 20)) * 255, np.ones((cell, cell))).astype(np.uint8)


def grounds() -> dict[str, Grey]:
    chance = np.random.default_rng(7)
    slow = cv2.resize(chance.normal(0, 1, (20, 32)).astype(np.float32), (640, 400), interpolation=cv2.INTER_CUBIC)
    return {
        "paper": np.full((400, 640), 245, np.uint8),
        "tissue": (110 + 40 * slow + chance.normal(0, 6, slow.shape)).clip(0, 255).astype(np.uint8),
    }


def with_code(ground: Grey, code: Grey) -> tuple[Grey, Box]:
    """On a white label, slightly blurred as a scanner does."""
    frame, (rows, columns) = ground.copy(), code.shape
    frame[60 : 80 + rows, 40 : 60 + columns] = 255
    frame[70 : 70 + rows, 50 : 50 + columns] = code
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 0.7), np.uint8), Box(50, 70, 50 + columns, 70 + rows)


MADE: list[tuple[Callable[[int], Grey], int]] = [
    *((quick_response, cell) for cell in (2, 3, 4, 6)),
    *((bars, width) for width in (2, 3)),
    *((matrix, cell) for cell in (3, 5, 8)),
]


@pytest.mark.parametrize("ground", ["paper", "tissue"])
@pytest.mark.parametrize(("made", "size"), MADE)
def test_a_code_is_found(made: Callable[[int], Grey], size: int, ground: str) -> None:
    frame, where = with_code(grounds()[ground], made(size))
    found = np.zeros(frame.shape, bool)
    for box in codes_in(plain_picture(frame)):
        found[box.rows, box.columns] = True
    inner = where.grown(-8, -4)  # behind the edge of a symbol that is light
    assert found[inner.rows, inner.columns].mean() > 0.9
    label = where.grown(32, 32).within(640, 400)
    found[label.rows, label.columns] = False
    assert not found.any()


@pytest.mark.parametrize("project", ["all", "phi"])
def test_a_code_is_covered(tmp_path_factory: pytest.TempPathFactory, project: str) -> None:
    archive = Archive(tmp_path_factory.mktemp("codes"))
    policy = projects_of(Config(projects=(ProjectConfig("one", pixel_policy=project),)), archive.files)["one"]
    frame, where = with_code(grounds()["paper"], quick_response(4))
    done = b"".join(policy.clean(BytesIO(screen(frame))).chunks())
    archive.close()
    assert is_gone(frames_of(done)[0], where.grown(-2, -2), most=30)


def test_what_is_none_is_taken_for_none() -> None:
    chance = np.random.default_rng(1)
    disc = (np.hypot(*(np.mgrid[:400, :640] - np.array([200, 320])[:, None, None])) < 150) * np.uint8(230)
    text, boxes = drawn([("FEATHERSTONE ANTONIA 1958-03-17", 30, 60 + 30 * at) for at in range(8)], size=18)
    others: list[Grey] = [
        *grounds().values(),
        disc,
        chance.integers(0, 256, (400, 640)).astype(np.uint8),
        (np.indices((400, 640))[1] // 64 % 2 * 255).astype(np.uint8),
    ]
    assert not any(codes_in(plain_picture(other)) for other in others)
    assert codes_in(covered(plain_picture(text), boxes)) == []
