"""Draws the frames of one instance, by its own attributes or as a presentation state has them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cached_property
from typing import BinaryIO

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from lethe.storage.errors import NotFound
from lethe.storage.holdings import Held

from . import codecs, pixels, rendering
from .accept import NotAcceptable
from .answers import Service
from .colourspaces import in_space, profile_of
from .locate import readable
from .pixels import Layout
from .presentation import STATES, Presentation
from .rendering import Array, Look, Window

_FRAME_TIME = 100.0


class Drawing:
    """One instance while a request is answered."""

    def __init__(self, service: Service, held: Held, state: Presentation | None = None) -> None:
        self.held = held
        self._service = service
        self._state = state
        self._file: BinaryIO | None = None

    @property
    def name(self) -> str:
        """Tells this drawing from others, as long as its files are the same."""
        return self.held.file if self._state is None else f"{self.held.file}-{self._state.name}"

    @property
    def is_plain(self) -> bool:
        """Whether no presentation state says how it is shown."""
        return self._state is None

    @property
    def first_frame(self) -> int:
        """The frame that is shown where none is named."""
        return self._state.first_frame if self._state else 1

    @property
    def passed_over(self) -> tuple[str, ...]:
        """What of a presentation state is not shown."""
        return self._state.passed_over if self._state else ()

    def open(self) -> Layout:
        """Open the file; says where its frames lie. Raises NotAcceptable for a video."""
        if pixels.is_video(self.held.transfer_syntax):
            raise NotAcceptable("frames of a video cannot be rendered here; retrieve the instance instead")
        if self._file is None:
            opened = self._service.archive.files.open("clean", self.held.file)
            self._file = readable(opened, self.held.transfer_syntax)
        return self._layout

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def picture(self, number: int, window: Window | None) -> Image.Image:
        """Frame `number`. Raises NotAcceptable where it cannot be drawn."""
        assert self._file is not None
        frame = self._layout.array(self._file, number)
        try:
            shown = Image.fromarray(self._drawn(frame, number, window))
            return self._state.finished(shown, self._header, number) if self._state else shown
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            raise NotAcceptable(
                "the image cannot be rendered: what its attributes say of the samples is missing or contradicts them,"
                " as a palette that is not there"
            ) from None

    def coloured(self, picture: Image.Image, wanted: str) -> tuple[Image.Image, bytes]:
        """The picture in the colour space that is wanted, and the ICC profile that goes with it: none, the object's
        own, or that of the space. Greys have none."""
        if wanted == "no" or (self._layout.shape.samples == 1 and self._layout.shape.photometric != "PALETTE COLOR"):
            return picture, b""
        own = self._header.get("ICCProfile")
        own = own if isinstance(own, bytes) else b""
        if wanted == "yes":
            return picture, own or profile_of("srgb")
        return in_space(picture, own, wanted)

    def milliseconds(self) -> int:
        """How long each frame of a cine is shown (PS3.3 C.7.6.5)."""
        try:
            rate = float(self._header.get("RecommendedDisplayFrameRate") or self._header.get("CineRate") or 0)
            time = 1000 / rate if rate > 0 else float(self._header.get("FrameTime") or _FRAME_TIME)
        except (TypeError, ValueError):
            time = _FRAME_TIME
        return int(min(max(time, 20), 10_000))

    @cached_property
    def _layout(self) -> Layout:
        assert self._file is not None
        return self._service.layout_of(self.held, self._file)

    @cached_property
    def _header(self) -> Dataset:
        assert self._file is not None
        self._file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            return dcmread(self._file, stop_before_pixels=True, force=True)

    def _drawn(self, frame: Array, number: int, window: Window | None) -> Array:
        look = self._service.looks.get((self.name, number), lambda: self._look(number))
        if frame.ndim == 2 and look.palette is None and frame.dtype.kind in "iu" and frame.itemsize <= 2:
            table = self._service.greys.get(
                (self.name, number, window), lambda: rendering.grey_table(frame, look, window)
            )
            return np.take(table, frame.view(f"u{frame.itemsize}"))
        return rendering.drawn(frame, look, codecs.decoded_colours(self._layout.shape), window=window)

    def _look(self, number: int) -> Look:
        look = rendering.look_of(self._header, number)
        if self._layout.shape.bits_allocated == 1:
            look = replace(look, bits_stored=1, high_bit=0)
        return self._state.look(look, number) if self._state else look


def drawing_of(service: Service, held: Held, presentation: Held | None) -> Drawing:
    """The instance as it is shown; a presentation state is shown by the first image it refers to. Raises NotFound."""
    if held.sop_class not in STATES:
        if presentation is None:
            return Drawing(service, held)
        return Drawing(service, held, _state(service, presentation, held.sop_uid))
    state = _state(service, held, "")
    for series, uid in state.images():
        try:
            shown = service.archive.holdings.one(held.study_uid, series, uid)
        except NotFound:
            continue
        return Drawing(service, shown, _state(service, held, uid))
    raise NotFound("the images that the presentation state is for are not here")


def _state(service: Service, held: Held, image: str) -> Presentation:
    if held.sop_class not in STATES:
        raise NotFound("that instance is no presentation state")
    with readable(service.archive.files.open("clean", held.file), held.transfer_syntax) as file:
        return Presentation(held.file, dcmread(file), image)
