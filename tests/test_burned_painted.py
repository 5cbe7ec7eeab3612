"""What is painted over ultrasound: words in colour over bright speckle and vessels, which are found, and vessels,
spectra and speckle, which are no words; the engines are the real ones."""

from collections.abc import Iterator, Sequence
from io import BytesIO

import cv2
import numpy as np
import pytest
from burned_objects import BASELINE, EXPLICIT, Kind
from burned_pictures import FONT
from burned_screens import CINE, frames_of, screen
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lethe.node.burned.box import Box
from lethe.node.burned.engines import eyes_of
from lethe.node.burned.painted import painted
from lethe.node.burned.sights import _with_colours
from lethe.node.burned.views import picture_of, plain_picture
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.projects import Project, projects_of
from lethe.storage.archive import Archive

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
ROWS, COLUMNS = 480, 640
YELLOW, GREEN, PINK, CYAN = (255, 255, 0), (40, 255, 40), (255, 120, 230), (0, 255, 255)


def speckled(seed: int, *, tint: Sequence[float] = (1.0, 1.0, 1.0), light: float = 0.62) -> Picture:
    """A bright cone of speckle in the tint of a device."""
    chance = np.random.default_rng(seed)
    waves = (cv2.GaussianBlur(chance.normal(size=(ROWS, COLUMNS)), (0, 0), 2.2, sigmaY=1.2) for _ in range(2))
    amount = np.hypot(*waves)
    grey = (light * amount / amount.mean()).clip(0, 1)
    cone = cv2.ellipse(np.zeros((ROWS, COLUMNS)), (320, 30), (430, 430), 90, -40, 40, 1, -1)
    return np.rint((grey * cone)[..., None] * np.array(tint) * 255).astype(np.uint8)


def with_vessels(frame: Picture, seed: int) -> Picture:
    """A Doppler's colours in it: red one way and blue the other, brighter in the middle."""
    chance, shown = np.random.default_rng(seed), frame.astype(np.float32)
    for towards in (True, False):
        track = np.add(np.cumsum(chance.normal(0, 16, (8, 2)), axis=0), (320, 250))
        lumen = np.zeros((ROWS, COLUMNS), np.uint8)
        cv2.polylines(lumen, [track.astype(np.int32)], isClosed=False, color=1, thickness=24)
        fast = cv2.distanceTransform(lumen, cv2.DIST_L2, 3) / 12 + 0.1 * chance.normal(size=lumen.shape)
        strong, pale = (90 + 165 * fast).clip(0, 255), (400 * fast - 180).clip(0, 255)
        none = np.zeros_like(strong)
        colours = np.dstack([strong, pale, none] if towards else [none, pale, strong])
        shown = np.where(lumen[..., None] > 0, colours, shown)
    return shown.astype(np.uint8)


def written(frame: Picture, text: str, at: tuple[int, int], colour: Colour, size: int = 13) -> tuple[Picture, Box]:
    image = Image.fromarray(frame)
    pen, font = ImageDraw.Draw(image), ImageFont.truetype(FONT, size)
    pen.text(at, text, fill=colour, font=font)
    return np.asarray(image), Box(*map(int, pen.textbbox(at, text, font=font)))


def share_found(frame: Picture, where: Box) -> float:
    eyes, plain = eyes_of(("rapidocr",)), plain_picture(frame)
    seen = _with_colours(frame, plain, eyes.look_at(picture_of(frame), plain), eyes)
    found = np.zeros(frame.shape[:2], bool)
    for box in seen.boxes:
        found[box.rows, box.columns] = True
    return float(found[where.rows, where.columns].mean())


@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.0, 0.93, 0.8)])
@pytest.mark.parametrize(("text", "colour"), [("OKONKWO R.", GREEN), ("MRN 4711998", PINK), ("12.03.1961", CYAN)])
def test_coloured_words_in_bright_speckle_are_found(tint: Sequence[float], text: str, colour: Colour) -> None:
    frame, where = written(speckled(len(text), tint=tint), text, (270, 300), colour)
    assert share_found(frame, where) > 0.9


@pytest.mark.parametrize(("seed", "colour"), [(1, GREEN), (2, PINK), (3, GREEN)])
def test_coloured_words_across_the_vessels_of_a_doppler_are_found(seed: int, colour: Colour) -> None:
    frame, where = written(with_vessels(speckled(seed), seed), "FEATHERSTONE", (265, 255), colour)
    assert share_found(frame, where) > 0.9


@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.0, 0.93, 0.8), (0.85, 0.95, 1.0)])
def test_the_tint_of_a_device_is_nothing_painted(tint: Sequence[float]) -> None:
    frame = speckled(7, tint=tint)
    frame[:40] = 26, 38, 89
    assert not list(painted(frame, []))
    assert list(painted(written(frame, "OKONKWO R.", (270, 300), GREEN)[0], []))


def test_so_many_coloured_places_that_not_all_are_looked_at_are_no_fault() -> None:
    eyes, blank = eyes_of(("rapidocr",)), np.zeros((600, 600, 3), np.uint8)

    def places() -> Iterator[tuple[Picture, Box]]:
        for at in range(8):
            yield blank[:184, :294], Box(0, at, 294, at + 184)

    assert eyes.close_up(places(), []) == []


def test_vessels_are_no_word() -> None:
    for seed in range(4, 8):
        frame = with_vessels(speckled(seed, light=0.4), seed)
        assert share_found(frame, Box(0, 0, COLUMNS, ROWS)) < 0.01


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    archive = Archive(tmp_path_factory.mktemp("painted"))
    yield projects_of(Config(projects=(ProjectConfig("one"),)), archive.files)["one"]
    archive.close()


@pytest.mark.parametrize("syntax", [EXPLICIT, BASELINE])
def test_coloured_words_in_a_cine_are_covered_in_each_frame_that_has_them(project: Project, syntax: str) -> None:
    """Speckle that moves, vessels that beat; one line is there all the time, another comes in one frame."""
    seen, frames = list[tuple[int, Box]](), []
    for number in range(8):
        frame = with_vessels(np.roll(speckled(11), 3 * number, axis=1), 12 + number % 2)
        frame, always = written(frame, "FEATHERSTONE", (180, 330), GREEN, 14)
        seen.append((number, always))
        if number == 5:
            frame, once = written(frame, "MRN 7741998", (330, 150), PINK, 14)
            seen.append((number, once))
        frames.append(frame)
    kind = Kind("YBR_FULL_422" if syntax == BASELINE else "RGB")
    shown = np.stack(frames)
    if syntax == BASELINE:
        shown = np.stack([cv2.cvtColor(one, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]] for one in frames])
    done = frames_of(b"".join(project.clean(BytesIO(screen(shown, kind, syntax, SOPClassUID=CINE))).chunks()))
    for number, box in seen:
        was, part = (one[number][box.rows, box.columns].astype(int) for one in (shown, done))
        ink = np.abs(was - was.reshape(-1, 3)[np.argmax(np.ptp(frames[number][box.rows, box.columns], 2))]).max(2) < 30
        assert ink.any() and (np.abs(was - part)[ink].max(axis=-1) > 30).mean() > 0.95, (number, box)


def spectrum(seed: int) -> Picture:
    """Six beats of a Doppler's spectrum below a cone of speckle."""
    chance, frame = np.random.default_rng(seed), speckled(seed)
    frame[280:] = 0
    across = np.arange(COLUMNS - 60)
    beat = across / 95 % 1
    high = 90 * (0.8 * np.exp(-(((beat - 0.2) / 0.12) ** 2)) + 0.25 * np.exp(-(((beat - 0.5) / 0.2) ** 2)) + 0.12)
    above = 430 - np.arange(280, ROWS)[:, None]
    flow = (above > 0) & (above < high[None])
    level = flow * np.exp(-(((above - 0.75 * high) / (0.35 * high + 3)) ** 2)) * chance.rayleigh(0.9, flow.shape)
    frame[280:, 20 : COLUMNS - 40] = (255 * level.clip(0, 1))[..., None]
    return frame


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_spectrum_of_a_doppler_is_no_word_and_who_is_named_above_it_is(seed: int) -> None:
    frame, where = written(spectrum(seed), "ABERNATHY MARGARET", (12, 6), (255, 255, 255))
    assert share_found(frame, where) > 0.9
    assert share_found(frame, Box(0, 285, COLUMNS, ROWS)) < 0.02


@pytest.mark.parametrize("size", [55, 70])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", ["\u0641\u0627\u0637\u0645\u0629", "\u05db\u05d4\u05df"])
def test_large_letters_across_speckle_are_covered_in_scripts_that_are_not_read(seed: int, size: int, name: str) -> None:
    frame, where = written(speckled(seed, light=0.3), name, (240, 200), (235, 235, 235), size)
    assert share_found(frame, where) > 0.95
