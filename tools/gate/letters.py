"""Writes text into frames: every script, size, slant and strength in which somebody may have written a name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from bodies import Grey, Random
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FONTS = Path("/usr/share/fonts")
_LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALPHABETS = {
    "latin": _LATIN + _LATIN.lower(),
    "digits": "0123456789",
    "accents": "ÄÖÜßÉÈÊÑÇØÅŁŽŠČŘÕÍÓÚäöüéèêñçøåłžščřõíóú" + _LATIN,
    "cyrillic": "".join(map(chr, range(0x410, 0x450))),
    "greek": "".join(map(chr, [*range(0x391, 0x3A2), *range(0x3A3, 0x3CA)])),
    "arabic": "".join(map(chr, range(0x627, 0x64B))),
    "cjk": "".join(map(chr, range(0x4E00, 0x6E00, 7))) + "山田太郎王李張氏名男女年月日病院科室",
    "kana": "".join(map(chr, [*range(0x3042, 0x3093), *range(0x30A2, 0x30F3)])),
}
_FONTS_OF = {
    "latin": ("DejaVu", "Liberation", "OpenSans", "Inconsolata", "Free"),
    "cyrillic": ("DejaVu", "Liberation", "Free"),
    "greek": ("DejaVu", "Liberation", "Free"),
    "arabic": ("Kacst", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    "cjk": ("wqy",),
    "kana": ("VL-",),
}
_HERSHEY = (0, 1, 2, 3, 4, 5, 6)
_SMALLEST, _LARGEST = 6, 80


@dataclass(frozen=True)
class Written:
    """How strongly ink covers each pixel (0 to 1), and the height of its letters."""

    ink: Grey
    size: int


_CLEAR, _CLEAR_SMALL, _SMALL = 1.2, 2.0, 14
"""How much stronger than what is around it text has to be, or nobody can ask that it is seen."""

Place = NDArray[np.bool_]


@dataclass(frozen=True)
class Text:
    """Where a text is; `clear` if it can be seen there."""

    place: Place
    clear: bool


def write(random: Random, frame: Grey, noise: float) -> tuple[Grey, list[Text]]:
    """The frame with text. `noise` is the frame's own."""
    texts: list[Text] = []
    spread = max(float(np.percentile(frame, 99.5) - np.percentile(frame, 0.5)), 0.05)
    size = _size(random)
    for _ in range(int(random.choice([1, 1, 2, 3, 5]))):
        one = written(random, size if random.random() < 0.7 else _size(random))
        ink = _placed(random, one, len(frame))
        if ink.max() < 0.5:
            continue
        place = cv2.dilate((ink > 0.2).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if any(np.any(place & other.place) for other in texts):
            continue
        inked = _inked(random, frame, ink, (spread, noise))
        texts.append(Text(place, _clear(frame, inked, place, one.size)))
        frame = inked
    return frame, texts


def _clear(before: Grey, after: Grey, place: Place, size: int) -> bool:
    rough = before - cv2.GaussianBlur(before, (0, 0), max(size / 2, 3))
    changed = np.abs(after - before)[place]
    strength = float(changed[changed >= changed.max() / 2].mean())
    return strength > float(rough[place].std()) * (_CLEAR_SMALL if size < _SMALL else _CLEAR)


def _size(random: Random) -> int:
    if random.random() < 0.35:
        return int(np.exp(random.uniform(np.log(_SMALLEST), np.log(_LARGEST))))
    return int(random.integers(6, 26))


def written(random: Random, size: int) -> Written:
    """A word, a number or a line, upright on its own small canvas."""
    if random.random() < 0.15:
        return _hershey(random, size)
    script = str(random.choice([*_ALPHABETS], p=[0.34, 0.22, 0.1, 0.08, 0.06, 0.07, 0.08, 0.05]))
    font = ImageFont.truetype(str(random.choice(_fonts(script))), max(round(size * 1.3), 6))
    text = _text(random, script)
    left, top, right, bottom = font.getbbox(text)
    canvas = Image.new("L", (max(int(right - left), 1) + 4, max(int(bottom - top), 1) + 4), 0)
    draw = ImageDraw.Draw(canvas)
    if random.random() < 0.15:
        draw.fontmode = "1"
    draw.text((2 - left, 2 - top), text, 255, font)
    return Written(np.asarray(canvas, np.float32) / 255, size)


def _hershey(random: Random, size: int) -> Written:
    face, thick = int(random.choice(_HERSHEY)), int(random.integers(1, max(2, size // 9) + 1))
    text = _text(random, str(random.choice(["latin", "digits"])))
    scale = cv2.getFontScaleFromHeight(face, max(size, 6), thick)
    (width, height), base = cv2.getTextSize(text, face, scale, thick)
    canvas = np.zeros((height + base + 4, width + 4), np.uint8)
    cv2.putText(canvas, text, (2, height + 2), face, scale, 255, thick, int(random.choice([cv2.LINE_8, cv2.LINE_AA])))
    return Written(canvas.astype(np.float32) / 255, size)


_KNOWN_FONTS: dict[str, list[Path]] = {}


def _fonts(script: str) -> list[Path]:
    if script not in _KNOWN_FONTS:
        starts = _FONTS_OF.get(script, _FONTS_OF["latin"])
        paths = [path for ending in ("ttf", "ttc", "otf") for path in sorted(FONTS.rglob(f"*.{ending}"))]
        fitting = [path for path in paths if path.name.startswith(starts) and "Math" not in path.name]
        _KNOWN_FONTS[script] = fitting or [path for path in paths if "DejaVuSans" in path.name]
    return _KNOWN_FONTS[script]


def _text(random: Random, script: str) -> str:
    letters = _ALPHABETS[script]
    words = []
    for _ in range(int(random.choice([1, 1, 2, 3]))):
        length = int(random.integers(1, 4)) if script in ("cjk", "kana") else int(random.integers(2, 10))
        word = "".join(random.choice([*letters], length))
        words.append(word.capitalize() if random.random() < 0.4 else word.upper() if random.random() < 0.5 else word)
    if script == "digits" and random.random() < 0.6:
        return str(random.choice([".", "/", "-", ":"])).join(words)
    return str(random.choice([" ", " ", ", ", "^", ": "])).join(words)


def _placed(random: Random, one: Written, side: int) -> Grey:
    """The ink within the frame: mostly along an edge, sometimes turned or slanted, sometimes cut off."""
    ink, chance = one.ink, random.random()
    if chance < 0.15:
        ink = np.ascontiguousarray(np.rot90(ink, random.integers(1, 4)))
    elif chance < 0.25:
        ink = _turned(ink, float(random.uniform(-45, 45)))
    rows, columns = ink.shape
    frame = np.zeros((side, side), np.float32)
    away = [int(random.integers(-2, max(side - length + 3, -1) if length < side else 0)) for length in (rows, columns)]
    if random.random() < 0.4:
        away[int(random.integers(2))] = int(random.integers(0, 12))
    top, left = (max(one, 0) for one in away)
    part = ink[top - away[0] : side - away[0], left - away[1] : side - away[1]]
    frame[top : top + part.shape[0], left : left + part.shape[1]] = part
    return frame


def _turned(ink: Grey, angle: float) -> Grey:
    rows, columns = ink.shape
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), angle, 1.0)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    width, height = int(rows * sine + columns * cosine) + 2, int(rows * cosine + columns * sine) + 2
    turn[:, 2] += (width / 2 - columns / 2, height / 2 - rows / 2)
    return cv2.warpAffine(ink, turn, (width, height)).astype(np.float32)


def _inked(random: Random, frame: Grey, ink: Grey, strengths: tuple[float, float]) -> Grey:
    """The frame with that ink: over it, added to it, outlined, or in a box."""
    spread, noise = strengths
    low, high = (float(one) for one in np.percentile(frame, (0.5, 99.5)))
    chance = random.random()
    if chance < 0.3:  # as strong as it takes to be seen in the noise, and not much more
        strength = max(noise * random.uniform(3, 12), spread * 0.012) * random.choice([-1, 1])
        return (frame + ink * strength).astype(np.float32)
    if chance < 0.45:
        strength = max(spread * random.uniform(0.03, 0.5), 3 * noise) * random.choice([-1, 1])
        return (frame + ink * strength).astype(np.float32)
    values = [high, high, high + spread, high + 3 * spread, low, low - spread * 0.3, (low + high) / 2]
    value = float(random.choice(values))
    around = frame[cv2.dilate(ink, np.ones((5, 5), np.uint8)) > 0.2]
    if chance > 0.9:
        edge = cv2.dilate(ink, np.ones((3, 3), np.uint8))
        frame = frame * (1 - edge) + (low if value > (low + high) / 2 else high) * edge
    elif chance > 0.84:
        rows, columns = np.nonzero(ink > 0.2)
        frame = frame.copy()
        box = slice(max(rows.min() - 3, 0), rows.max() + 4), slice(max(columns.min() - 3, 0), columns.max() + 4)
        frame[box] = low if value > (low + high) / 2 else high
    elif abs(value - float(np.median(around))) < max(0.15 * spread, 5 * noise):
        value = high + spread * 0.3 if float(np.median(around)) < (low + high) / 2 else low
    return (frame * (1 - ink) + value * ink).astype(np.float32)
