"""Draws what scanners show where no text is: bodies, bones, lungs, vessels, metal, tables, noise. Nothing is copied."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
Random = np.random.Generator
"""Grey levels are 0 to about 1 before noise."""


def drawn_body(random: Random, side: int) -> Grey:
    """A frame without text."""
    kind = random.choice(["slice", "slice", "slice", "brain", "chest", "breast", "vessels", "texture", "flat"])
    frame = _KINDS[kind](random, side)
    for extra, odds in ((_table, 0.2), (_wires, 0.25), (_metal, 0.15), (_dots, 0.3), (_shutter, 0.12), (_grid, 0.04)):
        if random.random() < odds:
            frame = extra(random, frame)
    frame = cv2.GaussianBlur(frame, (0, 0), random.uniform(0.4, 1.8)) if random.random() < 0.85 else frame
    outside = frame < 0.01
    frame = frame + noise(random, side) * _strength(random, frame)
    if random.random() < 0.3:
        frame[outside] = 0
    if random.random() < 0.25:
        frame = _field_of_view(random, frame)
    if random.random() < 0.3:
        frame = np.maximum(frame, random.choice([0.0, 0.03]))
    return _resampled(random, frame) if random.random() < 0.4 else frame.astype(np.float32)


def noise(random: Random, side: int) -> Grey:
    """Noise of standard deviation 1, as one of many reconstruction kernels leaves it."""
    white = random.normal(0, 1, (side, side)).astype(np.float32)
    kind = random.integers(5)
    if kind == 1:
        white = cv2.GaussianBlur(white, (0, 0), random.uniform(0.4, 2.5))
    elif kind == 2:  # sharp kernels: a band of frequencies
        fine = random.uniform(0.5, 1.6)
        white = cv2.GaussianBlur(white, (0, 0), fine) - cv2.GaussianBlur(white, (0, 0), fine * random.uniform(1.2, 2.5))
    elif kind == 3:
        along = random.uniform(0.4, 2.0, 2)
        white = cv2.GaussianBlur(white, (0, 0), along[0], sigmaY=along[1])
    elif kind == 4:
        white = white + 2 * cv2.GaussianBlur(random.normal(0, 1, white.shape).astype(np.float32), (0, 0), 2.0)
    return (white / (float(white.std()) + 1e-6)).astype(np.float32)


def smooth(random: Random, side: int, sigma: float) -> Grey:
    """A landscape from 0 to 1."""
    small = max(int(side / sigma) + 3, 3)
    field = cv2.resize(random.random((small, small)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    low, high = float(field.min()), float(field.max())
    return ((field - low) / max(high - low, 1e-6)).astype(np.float32)


def _strength(random: Random, frame: Grey) -> Grey:
    """How strong noise is, by place."""
    base = float(10 ** random.uniform(-3.2, -0.9))
    if random.random() < 0.5:
        return (base * (0.4 + smooth(random, len(frame), 60.0) + frame * random.uniform(0, 1.5))).astype(np.float32)
    return np.full_like(frame, base)


def _blob(random: Random, frame: Grey, grey: float, size: float) -> tuple[tuple[int, int], tuple[int, int], float]:
    side = len(frame)
    middle = tuple(int(one) for one in random.uniform(0.1, 0.9, 2) * side)
    axes = tuple(max(int(one), 1) for one in random.uniform(0.3, 1.0, 2) * size)
    turned = float(random.uniform(0, 180))
    cv2.ellipse(frame, middle, axes, turned, 0, 360, grey, -1, cv2.LINE_AA)
    return (middle[0], middle[1]), (axes[0], axes[1]), turned


def _outline(random: Random, side: int, rough: float) -> NDArray[np.int32]:
    """A closed curve around the middle."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 9):
        radius += random.normal(0, rough / wave) * np.cos(wave * angle + random.uniform(0, 6.3))
    across, down = random.uniform(0.3, 0.65, 2) * side
    middle = random.uniform(0.35, 0.65, 2) * side
    points = np.stack([middle[0] + across * radius * np.cos(angle), middle[1] + down * radius * np.sin(angle)], 1)
    return points.astype(np.int32)


def _slice(random: Random, side: int) -> Grey:
    """A cut through a trunk, an arm, a head."""
    frame = np.zeros((side, side), np.float32)
    outline = _outline(random, side, 0.12)
    skin, fat, flesh = random.uniform(0.3, 0.55), random.uniform(0.2, 0.4), random.uniform(0.4, 0.6)
    cv2.fillPoly(frame, [outline], skin, cv2.LINE_AA)
    centre = outline.mean(0)
    for shrink, grey in ((0.985, fat), (random.uniform(0.8, 0.95), flesh)):
        cv2.fillPoly(frame, [((outline - centre) * shrink + centre).astype(np.int32)], grey, cv2.LINE_AA)
    for _ in range(random.integers(0, 14)):
        _blob(random, frame, float(flesh + random.normal(0, 0.1)), side * random.uniform(0.03, 0.25))
    if random.random() < 0.4:
        frame = _lungs(random, frame)
    for _ in range(random.integers(0, 9)):
        _bone(random, frame)
    if random.random() < 0.5:
        frame = _gas(random, frame)
    inside = np.zeros_like(frame)
    cv2.fillPoly(inside, [outline], 1.0)
    frame = frame + inside * (smooth(random, side, random.uniform(3, 30)) - 0.5) * random.uniform(0, 0.15)
    return frame.clip(0, None).astype(np.float32)


def _bone(random: Random, frame: Grey) -> None:
    size = len(frame) * random.uniform(0.01, 0.12)
    middle, axes, turned = _blob(random, frame, float(random.uniform(0.7, 1.3)), size)
    if size > 6 and random.random() < 0.7:  # marrow with trabeculae
        inner = np.zeros_like(frame)
        cv2.ellipse(inner, middle, (max(axes[0] - 2, 1), max(axes[1] - 2, 1)), turned, 0, 360, 1.0, -1, cv2.LINE_AA)
        grain = cv2.GaussianBlur(random.normal(0, 1, frame.shape).astype(np.float32), (0, 0), random.uniform(0.7, 1.6))
        grain = grain / float(grain.std()) * random.uniform(0.02, 0.25) + random.uniform(0.45, 0.8)
        frame[:] = frame * (1 - inner) + grain * inner
    if random.random() < 0.3:  # spines and arches
        for _ in range(random.integers(2, 5)):
            length, thick = size * random.uniform(1, 3), random.uniform(2, 6)
            _branch(random, frame, middle, random.uniform(0, 6.3), length, 1.0, thick)


def _lungs(random: Random, frame: Grey) -> Grey:
    side = len(frame)
    area = np.zeros_like(frame)
    for _ in range(2):
        _blob(random, area, 1.0, side * random.uniform(0.15, 0.35))
    air = np.full_like(frame, random.uniform(0.03, 0.15))
    _tree(random, air, int(random.integers(5, 50)), float(random.uniform(0.3, 0.6)))
    for _ in range(random.integers(0, 60)):  # vessels cut across
        place = tuple(int(one) for one in random.integers(0, side, 2))
        cv2.circle(air, place, int(random.integers(1, 4)), float(random.uniform(0.25, 0.6)), -1, cv2.LINE_AA)
    return (frame * (1 - area) + air * area).astype(np.float32)


def _tree(random: Random, frame: Grey, count: int, grey: float) -> None:
    side = len(frame)
    for _ in range(count):
        start = tuple(int(one) for one in random.integers(0, side, 2))
        length = side * random.uniform(0.05, 0.5)
        _branch(random, frame, (start[0], start[1]), random.uniform(0, 6.3), length, grey, random.uniform(1, 5))


def _branch(
    random: Random, frame: Grey, start: tuple[int, int], angle: float, length: float, grey: float, thick: float
) -> None:
    """A line that bends and gets thinner, with branches."""
    place, done = np.array(start, np.float32), 0.0
    bend = random.normal(0, 0.08)
    while done < length:
        step = random.uniform(3, 9)
        ahead = place + step * np.array([np.cos(angle), np.sin(angle)], np.float32)
        width = max(round(thick * (1 - 0.7 * done / length)), 1)
        begin, end = (tuple(int(one) for one in point * 8) for point in (place, ahead))
        cv2.line(frame, begin, end, grey, width, cv2.LINE_AA, shift=3)
        if thick > 2 and random.random() < 0.06:
            branch = (int(ahead[0]), int(ahead[1]))
            _branch(random, frame, branch, angle + random.choice([-0.7, 0.7]), length - done, grey, thick * 0.6)
        place, done, bend = ahead, done + step, bend + random.normal(0, 0.05)
        angle += bend


def _gas(random: Random, frame: Grey) -> Grey:
    for _ in range(random.integers(1, 12)):
        _blob(random, frame, float(random.uniform(0.0, 0.2)), len(frame) * random.uniform(0.01, 0.08))
    return frame


def _brain(random: Random, side: int) -> Grey:
    """Something like a head in a magnet: folds, a skull, a bias over the field."""
    sigma = random.uniform(2, 9) * side / 256
    field = cv2.GaussianBlur(random.normal(0, 1, (side, side)).astype(np.float32), (0, 0), max(sigma, 1.0))
    folds = np.abs(field / float(field.std()))
    grey, white, water = random.uniform(0.2, 0.8, 3)
    frame = np.where(folds < random.uniform(0.15, 0.4), water, np.where(folds < 0.9, grey, white)).astype(np.float32)
    mask, outline = np.zeros_like(frame), _outline(random, side, 0.05)
    cv2.fillPoly(mask, [outline], 1.0, cv2.LINE_AA)
    frame = frame * mask
    for shrink in (1.0, random.uniform(1.05, 1.15)):
        ring = ((outline - outline.mean(0)) * shrink + outline.mean(0)).astype(np.int32)
        cv2.polylines(frame, [ring], True, float(random.uniform(0, 1)), int(random.integers(1, 7)), cv2.LINE_AA)
    if random.random() < 0.5:
        for _ in range(random.integers(1, 8)):
            _blob(random, frame, float(random.uniform(0, 1)), side * random.uniform(0.01, 0.12))
    if random.random() < 0.4:
        _tree(random, frame, int(random.integers(2, 20)), float(random.uniform(0.0, 1.3)))
    frame = frame * (0.4 + smooth(random, side, side / 2.5))
    if random.random() < 0.3:  # ghosts
        away = int(random.integers(10, side // 2))
        frame = frame + random.uniform(0.02, 0.1) * np.roll(frame, away, random.integers(2))
    if random.random() < 0.25:  # rings of a cut spectrum
        cut = np.fft.fftshift(np.fft.fft2(frame))
        keep = int(side * random.uniform(0.2, 0.45))
        middle = side // 2
        window = np.zeros((side, side), np.float32)
        window[middle - keep : middle + keep, middle - keep : middle + keep] = 1
        frame = np.abs(np.fft.ifft2(np.fft.ifftshift(cut * window))).astype(np.float32)
    return frame.astype(np.float32)


def _chest(random: Random, side: int) -> Grey:
    """Part of a radiograph: ribs that cross, soft shadows, sharp edges of bones."""
    frame = smooth(random, side, random.uniform(40, 150)) * random.uniform(0.3, 0.8)
    for _ in range(random.integers(0, 12)):
        rib = np.zeros_like(frame)
        middle = tuple(int(one) for one in random.uniform(-0.3, 1.3, 2) * side)
        axes = tuple(int(one) for one in random.uniform(0.2, 1.2, 2) * side)
        turned, begin, width = (
            random.uniform(0, 180),
            random.uniform(0, 360),
            int(random.integers(3, max(side // 8, 5))),
        )
        cv2.ellipse(rib, middle, axes, turned, begin, begin + random.uniform(40, 200), 1.0, width, cv2.LINE_AA)
        soft = cv2.GaussianBlur(rib, (0, 0), random.uniform(0.8, 3))
        edge = np.abs(rib - cv2.GaussianBlur(rib, (0, 0), 2.5))
        frame = frame + soft * random.uniform(0.03, 0.2) + edge * random.uniform(0, 0.1)
    if random.random() < 0.5:
        _tree(random, frame, int(random.integers(3, 30)), float(frame.mean() + random.normal(0, 0.15)))
    return frame.clip(0, None).astype(np.float32)


def _breast(random: Random, side: int) -> Grey:
    """Part of a mammogram: strands, small bright grains, black air."""
    fine = sum((smooth(random, side, scale) - 0.5) * scale for scale in (3.0, 6.0, 12.0, 25.0, 60.0))
    frame = 0.5 + 0.25 * fine / float(np.std(fine)) * random.uniform(0.2, 0.8)
    _tree(random, frame, int(random.integers(5, 40)), float(random.uniform(0.5, 0.9)))
    for _ in range(random.integers(0, 25)):
        place = tuple(int(one) for one in random.integers(0, side, 2))
        cv2.circle(frame, place, int(random.integers(0, 3)), float(random.uniform(0.8, 1.3)), -1, cv2.LINE_AA)
    mask = np.zeros_like(frame)
    axes = (int(side * random.uniform(0.5, 1.3)), int(side * random.uniform(0.5, 1.0)))
    cv2.ellipse(mask, (0, side // 2), axes, 0, 0, 360, 1.0, -1)
    return (frame * cv2.GaussianBlur(mask, (0, 0), random.uniform(1, 12))).clip(0, None).astype(np.float32)


def _vessels(random: Random, side: int) -> Grey:
    """An angiogram: dark trees on a soft ground."""
    frame = 0.7 + 0.25 * (smooth(random, side, random.uniform(30, 120)) - 0.5)
    tree = frame.copy()
    _tree(random, tree, int(random.integers(1, 25)), float(random.uniform(0.1, 0.6)))
    return (frame + (tree - frame) * random.uniform(0.2, 1.0)).astype(np.float32)


def _texture(random: Random, side: int) -> Grey:
    """Speckle and grain of any size."""
    field = noise(random, side)
    field = cv2.GaussianBlur(field, (0, 0), random.uniform(0.8, 5), sigmaY=random.uniform(0.8, 5))
    return (0.4 + 0.15 * field / float(field.std()) * random.uniform(0.1, 1)).clip(0, None).astype(np.float32)


def _flat(random: Random, side: int) -> Grey:
    frame = np.full((side, side), random.choice([0.0, 0.0, 0.3, 1.0]), np.float32)
    for _ in range(random.integers(0, 10)):
        _blob(random, frame, float(random.uniform(0, 1)), side * random.uniform(0.01, 0.4))
    return frame


_KINDS = {
    "slice": _slice, "brain": _brain, "chest": _chest, "breast": _breast,
    "vessels": _vessels, "texture": _texture, "flat": _flat,
}  # fmt: skip


def _table(random: Random, frame: Grey) -> Grey:
    """Thin lines below the body, straight or bent."""
    side = len(frame)
    for _ in range(random.integers(1, 5)):
        middle = (int(random.uniform(0.2, 0.8) * side), int(random.uniform(-1.5, 0.4) * side))
        radius = int(random.uniform(0.7, 2.5) * side)
        axes, grey = (int(radius * random.uniform(0.8, 2)), radius), float(random.uniform(0.1, 0.8))
        cv2.ellipse(frame, middle, axes, 0, 20, 160, grey, int(random.integers(1, 4)), cv2.LINE_AA)
    if random.random() < 0.5:
        top = int(random.uniform(0.6, 0.98) * side)
        for down in (0, int(random.integers(4, 40))):
            end = (side, top + down + int(random.normal(0, 3)))
            cv2.line(frame, (0, top + down), end, float(random.uniform(0.1, 0.8)), 1)
    return frame


def _wires(random: Random, frame: Grey) -> Grey:
    """Leads, tubes and drains."""
    grey = float(random.uniform(0.5, 1.5)) if random.random() < 0.8 else 0.0
    _tree(random, frame, int(random.integers(1, 5)), grey)
    if random.random() < 0.4:  # an electrode
        middle = tuple(int(one) for one in random.uniform(0, 1, 2) * len(frame))
        cv2.circle(frame, middle, int(random.integers(3, 14)), grey, int(random.choice([-1, 1, 2])), cv2.LINE_AA)
    return frame


def _metal(random: Random, frame: Grey) -> Grey:
    """Implants, with streaks in the whole frame."""
    side = len(frame)
    down, across = np.mgrid[:side, :side].astype(np.float32)
    for _ in range(random.integers(1, 4)):
        middle, _, _ = _blob(random, frame, float(random.uniform(1.2, 3)), side * random.uniform(0.01, 0.06))
        angle = np.arctan2(down - middle[1], across - middle[0])
        away = np.hypot(down - middle[1], across - middle[0]) / side + 0.03
        streaks = sum(np.cos(angle * wave + random.uniform(0, 6.3)) for wave in random.integers(2, 60, 6))
        frame = frame + streaks * random.uniform(0, 0.012) / away
    if random.random() < 0.3:
        middle = random.uniform(0.3, 0.7, 2) * side
        away = np.hypot(down - middle[1], across - middle[0])
        frame = frame + np.cos(away * random.uniform(0.2, 1.5)) * random.uniform(0, 0.04)
    return frame.astype(np.float32)


def _dots(random: Random, frame: Grey) -> Grey:
    """Single small things, bright or dark, nowhere in a row."""
    for _ in range(random.integers(1, 30)):
        away = random.choice([-1, 1]) * random.uniform(0.05, 0.5)
        place = random.integers(0, len(frame), 2)
        grey = float(max(frame[place[1], place[0]] + away, 0))
        axes = tuple(int(one) for one in random.integers(1, 7, 2))
        full = int(random.choice([-1, -1, 1]))
        cv2.ellipse(
            frame, (int(place[0]), int(place[1])), axes, random.uniform(0, 180), 0, 360, grey, full, cv2.LINE_AA
        )
    return frame


def _shutter(random: Random, frame: Grey) -> Grey:
    """A collimator's edges, or a frame pasted into a larger one."""
    side, grey = len(frame), float(random.choice([0.0, 0.0, 1.0, 0.5]))
    mask = np.zeros_like(frame)
    sides, turned = tuple(random.uniform(0.5, 0.95, 2) * side), float(random.choice([0, 0, random.normal(0, 6)]))
    box = cv2.boxPoints(((side / 2, side / 2), sides, turned))
    cv2.fillPoly(mask, [box.astype(np.int32)], 1.0, cv2.LINE_AA)
    return (frame * mask + grey * (1 - mask)).astype(np.float32)


def _grid(random: Random, frame: Grey) -> Grey:
    step, grey = int(random.integers(4, 60)), random.normal(0, 0.2)
    frame[::step] += grey
    if random.random() < 0.5:
        frame[:, ::step] += grey
    return frame.clip(0, None)


def _field_of_view(random: Random, frame: Grey) -> Grey:
    """Nothing, or one value, outside of a circle."""
    side = len(frame)
    mask = np.zeros_like(frame)
    middle = tuple(int(one) for one in random.normal(0.5, 0.1, 2) * side)
    cv2.circle(mask, middle, int(random.uniform(0.45, 0.68) * side), 1.0, -1)
    return np.where(mask > 0, frame, random.choice([0.0, -0.2, -1.0, 0.02])).astype(np.float32)


def _resampled(random: Random, frame: Grey) -> Grey:
    """Made from fewer or more pixels."""
    side = len(frame)
    small = int(side * random.uniform(0.4, 0.95))
    ways = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_NEAREST)
    way, part = ways[int(random.choice(4, p=[0.4, 0.3, 0.2, 0.1]))], frame[:small, :small]
    if random.random() >= 0.7:
        part = cv2.resize(frame, (small, small), interpolation=cv2.INTER_AREA)
    return cv2.resize(part, (side, side), interpolation=way).astype(np.float32)
