"""Shows what a quarantined object's frames look like, and takes a person's decision about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from lethe.dicomweb.pictures import encoded
from lethe.dicomweb.rendering import picture
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.errors import NotFound, Refused
from lethe.storage.jobs import Job

from .burned.devices import BadRules, DeviceRule, device_of, rule_from
from .burned.film import NO_TOOL
from .burned.regions import us_banner
from .burned.review import BadReview, Found, Reviewed, Suspect, found_in, reviewed_from
from .burned.video import film_in
from .deid.collect import collect_terms
from .deid.elements import said
from .deid.errors import CannotClean
from .deid.part10 import read_part10
from .deid.pixels import is_video
from .deid.profile import Profile
from .ffmpeg import Ffmpeg, is_installed

_MOST_SAMPLES = 100_000_000
_DEVICE = ("Modality", "Manufacturer", "ManufacturerModelName")


@dataclass(frozen=True)
class Form:
    """How many frames of what size an object has, and the device they are from; nothing of the patient."""

    frames: int
    rows: int
    columns: int
    device: str


@dataclass(frozen=True)
class Case:
    """One object that waits for a decision. Without a form it has no frames that can be shown. `suspects` are what was
    found in it, and the boxes of an earlier decision; without either, an ultrasound frame's banner."""

    job: Job
    form: Form | None
    found: Found | None
    suspects: tuple[Suspect, ...]

    @property
    def rule_name(self) -> str:
        """What a rule learned from it may be called."""
        return f"{self.form.device}, {self.form.columns} x {self.form.rows}"[:120] if self.form else ""


class ReviewDesk:
    """The quarantined objects of one archive, for those who may see originals."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def case(self, number: int) -> Case:
        """What there is to decide; no pixel is shown yet. Raises NotFound, Refused."""
        job = self._archive.reviewable(number)
        found = found_in(self._archive.reviews.details(number))
        decided = self._archive.reviews.decision(number)
        suspects = list(found.suspects if found else ())
        if decided:
            suspects += _as_suspects(reviewed_from(decided))
        with self._archive.original(job) as file:
            header = _header(file)
        form = _form(header)
        if form and not suspects:
            suspects = [Suspect(box, None, "banner") for box in us_banner(header, form.rows, form.columns) or ()]
        return Case(job, form, found, tuple(dict.fromkeys(suspects)))

    def frame(self, number: int, frame: int, actor: Actor) -> bytes:
        """That frame (from 1) as PNG, as large as it is; the look is audited. Raises NotFound, Refused."""
        with self._archive.view_frame(number, frame, actor) as file:
            return self._png(file, frame)

    def decide(self, number: int, document: object, actor: Actor, *, learn: str = "") -> Job:
        """Attach the decision that a JSON document holds, and try the object again; with `learn`, its boxes for all
        frames become a device rule of that name. Raises BadReview, NotFound, Refused."""
        reviewed = reviewed_from(document)
        job = self._archive.reviewable(number)
        with self._archive.original(job) as file:
            header = _header(file)
            form = _form(header)
            if form is None:
                raise Refused("its frames cannot be shown, so nobody can decide about them")
            file.seek(0)
            self._png(file, 1)
        if not reviewed.has_boxes and not reviewed.accepts_rest:
            raise BadReview("nothing was decided: no box, and the rest is not accepted")
        if not reviewed.fits(form.frames, form.rows, form.columns):
            raise BadReview("a box lies outside the frames of the object")
        rules = [_learned(learn, header, reviewed).as_document()] if learn else []
        told = {"boxes": reviewed.boxes, "accepts_rest": reviewed.accepts_rest}
        return self._archive.review(number, reviewed.as_document(), actor, told, rules)

    def _png(self, file: BinaryIO, frame: int) -> bytes:
        header = _header(file)
        form = _form(header)
        if form is None or not 1 <= frame <= form.frames:
            raise NotFound("the object has no such frame")
        if form.rows * form.columns * int(header.get("SamplesPerPixel") or 1) > _MOST_SAMPLES:
            raise Refused("the frame is too large to be shown")
        file.seek(0)
        try:
            syntax = str(header.file_meta.get("TransferSyntaxUID") or "")
            shown = self._of_film(file, frame) if is_video(syntax) else _of_still(file, header, frame)
            return encoded(shown, "image/png", 90)
        except CannotClean as error:
            raise NotFound(f"the frame cannot be shown: {error}") from None
        except Exception as error:
            raise NotFound(f"the frame cannot be decoded ({type(error).__name__})") from None

    def _of_film(self, file: BinaryIO, frame: int) -> Image.Image:
        """That frame of a film. Raises CannotClean where nothing here can decode it."""
        if not is_installed():
            raise CannotClean(NO_TOOL)
        tool = Ffmpeg(self._archive.files.incoming)
        with tool.workshop() as folder:
            _, film = film_in(read_part10(file), folder, tool)
            return Image.frombytes("RGB", (film.columns, film.rows), tool.frame(film, frame - 1))


def _as_suspects(reviewed: Reviewed) -> list[Suspect]:
    everywhere = [Suspect(box, None, "reviewed") for box in reviewed.everywhere]
    return everywhere + [Suspect(box, frame, "reviewed") for frame, boxes in reviewed.frames.items() for box in boxes]


def _learned(name: str, header: Dataset, reviewed: Reviewed) -> DeviceRule:
    if not reviewed.everywhere:
        raise BadReview("a rule is learned from boxes that hold for all frames, and there are none")
    if not _device(header):
        raise BadReview("no rule can be learned: the object does not name its device, or names the patient there")
    try:
        rule = DeviceRule(name, device_of(header), reviewed.everywhere, source="review desk")
        return rule_from(rule.as_document())
    except BadRules as error:
        raise BadReview(f"no rule can be learned: {error}") from None


def _header(file: BinaryIO) -> Dataset:
    try:
        return pydicom.dcmread(file, stop_before_pixels=True, force=True)
    except Exception:
        return Dataset()


def _form(header: Dataset) -> Form | None:
    try:
        frames, rows, columns = int(header.get("NumberOfFrames") or 1), int(header.Rows), int(header.Columns)
    except Exception:  # whatever else it holds, it is no image
        return None
    return Form(frames, rows, columns, _device(header)) if min(frames, rows, columns) > 0 else None


def _device(header: Dataset) -> str:
    """The device it is from; "" where that is not told, or where what is told holds anything of the patient."""
    try:
        terms = collect_terms(header, Profile(()))
        words = " ".join(text for keyword in _DEVICE for text in said(header, keyword))
    except CannotClean:
        return ""
    return "" if terms.finds(words) or not words.isprintable() else " ".join(words.split())


def _of_still(file: BinaryIO, header: Dataset, frame: int) -> Image.Image:
    return picture(pixel_array(file, index=frame - 1), header, frame)
