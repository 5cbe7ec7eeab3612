"""Applies a softcopy presentation state to the picture of an image (PS3.3 A.33, PS3.4 N.2): VOI and presentation LUT,
pseudo-colour, shutters, overlays, graphics, displayed area and aspect, rotation and flip, and text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from .lettering import Map, is_drawable, lettered
from .overlays import activated, mask_of
from .pictures import cut
from .rendering import Look, only, palette_of
from .shutters import shuttered

STATES = tuple(f"1.2.840.10008.5.1.4.1.1.11.{number}" for number in (1, 2, 3))
"""Grayscale, Color and Pseudo-Color Softcopy Presentation State Storage."""
_TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
_MODALITY = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")
_VOI = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")
_CHARACTERS = "Some characters of the presentation state's text cannot be drawn."


@dataclass(frozen=True)
class Presentation:
    """A presentation state, and the SOP Instance UID of the image it is applied to."""

    name: str
    ds: Dataset
    image: str

    @property
    def passed_over(self) -> tuple[str, ...]:
        """What of it is not shown, in sentences of ours."""
        annotations = self._for_image("GraphicAnnotationSequence")
        texts = (text for annotation in annotations for text in annotation.get("TextObjectSequence") or ())
        return () if all(map(is_drawable, texts)) else (_CHARACTERS,)

    @property
    def first_frame(self) -> int:
        """The first frame of the image that it is for."""
        for series in self.ds.get("ReferencedSeriesSequence") or ():
            for image in series.get("ReferencedImageSequence") or ():
                if image.get("ReferencedSOPInstanceUID") == self.image and (frames := _frames_of(image)):
                    return frames[0]
        return 1

    def images(self) -> Iterator[tuple[str, str]]:
        """Series and SOP Instance UID of each image it refers to."""
        for series in self.ds.get("ReferencedSeriesSequence") or ():
            for image in series.get("ReferencedImageSequence") or ():
                yield str(series.get("SeriesInstanceUID", "")), str(image.get("ReferencedSOPInstanceUID", ""))

    def look(self, look: Look, frame: int) -> Look:
        """How a frame of the image is to be shown with it: it replaces what the image says (PS3.4 N.2)."""
        modality = only(self.ds, _MODALITY)
        voi = next((only(item, _VOI) for item in self._for_image("SoftcopyVOILUTSequence", frame)), None)
        inverse = self.ds.get("PresentationLUTShape") == "INVERSE"
        grey = look.photometric in ("MONOCHROME1", "MONOCHROME2")
        return replace(
            look,
            modality=modality if len(modality) else look.modality,
            voi=look.voi if voi is None else voi,
            photometric=("MONOCHROME1" if inverse else "MONOCHROME2") if grey else look.photometric,
        )

    def finished(self, image: Image.Image, header: Dataset, frame: int) -> Image.Image:
        """The windowed picture of a frame of the image with that header, as the state wants it."""
        image = self._looked_up(image)
        image = shuttered(image, self.ds, frame)
        for holder, group in activated(self.ds, header):
            image = _covered(image, mask_of(holder, group, image.size, frame))
        image = self._drawn_on(image, frame, "PIXEL")
        area = next(self._for_image("DisplayedAreaSelectionSequence", frame), Dataset())
        left, top, width, height = _displayed(image.size, area)
        across, down = _stretched(area)
        image = cut(image, (left, top, width, height))
        if (across, down) != (1, 1):
            width, height = round(width * across), round(height * down)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        angle = int(self.ds.get("ImageRotation") or 0) % 360
        image = image.transpose(_TURNS[angle]) if angle in _TURNS else image
        flipped = self.ds.get("ImageHorizontalFlip") == "Y"
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else image
        image = self._drawn_on(image, frame, "DISPLAY")

        def placed(point: tuple[float, float]) -> tuple[float, float]:
            x, y = (point[0] - left) * across, (point[1] - top) * down
            x, y = {90: (height - y, x), 180: (width - x, height - y), 270: (y, width - x)}.get(angle, (x, y))
            return (image.width - x if flipped else x), y

        return self._lettered(image, frame, placed)

    def _for_image(self, sequence: str, frame: int | None = None) -> Iterator[Dataset]:
        """The items of a sequence that are for this image, and for that frame; those that name none are for all."""
        for item in self.ds.get(sequence) or ():
            references = item.get("ReferencedImageSequence") or ()
            if not references or any(_names(one, self.image, frame) for one in references):
                yield item

    def _looked_up(self, image: Image.Image) -> Image.Image:
        if image.mode == "L" and "RedPaletteColorLookupTableDescriptor" in self.ds:
            return Image.fromarray(palette_of(self.ds, 256)[np.asarray(image)])
        if image.mode != "L" or not self.ds.get("PresentationLUTSequence"):
            return image
        table = self.ds.PresentationLUTSequence[0]
        count, _, bits = (int(value) for value in table.LUTDescriptor)
        data = table.LUTData
        values = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.asarray(data)
        places = np.rint(np.linspace(0, (count or 65536) - 1, 256)).astype(int).clip(0, len(values) - 1)
        return image.point(np.rint(values[places] / ((1 << bits) - 1) * 255).clip(0, 255).astype(int).tolist())

    def _annotations(self, frame: int, sequence: str) -> list[Dataset]:
        """The graphic or text objects that are for this image and frame."""
        return [
            one
            for annotation in self._for_image("GraphicAnnotationSequence", frame)
            for one in annotation.get(sequence) or ()
        ]

    def _lettered(self, image: Image.Image, frame: int, placed: Map) -> Image.Image:
        texts = self._annotations(frame, "TextObjectSequence")
        image = image.copy() if texts else image
        for text in texts:
            lettered(image, text, placed)
        return image

    def _drawn_on(self, image: Image.Image, frame: int, units: str) -> Image.Image:
        """With the graphics that are given in these units: of the image's pixels, or of what is displayed of it."""
        graphics = [
            graphic
            for graphic in self._annotations(frame, "GraphicObjectSequence")
            if (graphic.get("GraphicAnnotationUnits") == "DISPLAY") == (units == "DISPLAY")
        ]
        if not graphics:
            return image
        image = image.copy()
        canvas = ImageDraw.Draw(image)
        for graphic in graphics:
            _draw(canvas, graphic, image.size, _white(image))
        return image


def _names(reference: Dataset, image: str, frame: int | None) -> bool:
    listed = _frames_of(reference)
    return reference.get("ReferencedSOPInstanceUID") == image and (frame is None or not listed or frame in listed)


def _frames_of(reference: Dataset) -> list[int]:
    """The frames that a reference is to; of none, to all."""
    frames = reference.get("ReferencedFrameNumber")
    return [int(one) for one in ([frames] if isinstance(frames, (int, str)) else frames or ())]


def _covered(image: Image.Image, mask: Image.Image) -> Image.Image:
    return Image.composite(Image.new(image.mode, image.size, _white(image)), image, mask)


def _stretched(item: Dataset) -> tuple[float, float]:
    """How much wider and higher a pixel is shown, so that its height has that ratio to its width (PS3.3 C.10.4)."""
    sides = item.get("PresentationPixelSpacing") or item.get("PresentationPixelAspectRatio") or (1, 1)
    ratio = float(sides[0]) / float(sides[1])
    if not 0.1 <= ratio <= 10:
        raise ValueError("no aspect")
    return (1, ratio) if ratio >= 1 else (1 / ratio, 1)


def _displayed(size: tuple[int, int], item: Dataset) -> tuple[int, int, int, int]:
    """The displayed area: two corners, by column and row, from 1 (PS3.3 C.10.4)."""
    if "DisplayedAreaTopLeftHandCorner" not in item:
        return 0, 0, *size
    first, second = item.DisplayedAreaTopLeftHandCorner, item.DisplayedAreaBottomRightHandCorner
    left, right = sorted((int(first[0]), int(second[0])))
    top, bottom = sorted((int(first[1]), int(second[1])))
    left, top, right, bottom = max(left, 1), max(top, 1), min(right, size[0]), min(bottom, size[1])
    if left > right or top > bottom:
        return 0, 0, *size
    return left - 1, top - 1, right - left + 1, bottom - top + 1


def _draw(canvas: ImageDraw.ImageDraw, graphic: Dataset, size: tuple[int, int], colour: Any) -> None:
    """One graphic object (PS3.3 C.10.5.1.2)."""
    numbers = [float(number) for number in graphic.get("GraphicData") or ()]
    scale = size if graphic.get("GraphicAnnotationUnits") == "DISPLAY" else (1, 1)
    shift = 0 if scale == size else 0.5
    points = [(x * scale[0] - shift, y * scale[1] - shift) for x, y in zip(numbers[::2], numbers[1::2], strict=False)]
    kind, filled = graphic.get("GraphicType"), graphic.get("GraphicFilled") == "Y"
    if kind == "POINT" and points:
        canvas.point(points, fill=colour)
    elif kind == "CIRCLE" and len(points) >= 2:
        (x, y), (u, v) = points[:2]
        radius = ((u - x) ** 2 + (v - y) ** 2) ** 0.5
        canvas.ellipse(
            (x - radius, y - radius, x + radius, y + radius), outline=colour, fill=colour if filled else None
        )
    elif kind == "ELLIPSE" and len(points) >= 4:
        canvas.line(_ellipse(points), fill=colour)
    elif kind in ("POLYLINE", "INTERPOLATED") and len(points) >= 2:
        if filled:
            canvas.polygon(points, fill=colour, outline=colour)
        canvas.line(points, fill=colour)


def _ellipse(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points on an ellipse that is given by the ends of its axes."""
    ends = np.asarray(points[:4])
    centre, major, minor = ends.mean(axis=0), (ends[1] - ends[0]) / 2, (ends[3] - ends[2]) / 2
    angles = np.linspace(0, 2 * np.pi, 65)[:, None]
    return [(float(x), float(y)) for x, y in centre + np.cos(angles) * major + np.sin(angles) * minor]


def _white(image: Image.Image) -> Any:
    return 255 if image.mode == "L" else (255, 255, 255)
