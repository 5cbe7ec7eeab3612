"""Covers what a presentation state's display shutters cover (PS3.3 C.7.6.11, C.7.6.15)."""

from __future__ import annotations

from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from .overlays import mask_of


def shuttered(image: Image.Image, ds: Dataset, frame: int) -> Image.Image:
    """The picture of a frame; what a shutter covers has the shutter's value."""
    shapes = ds.get("ShutterShape")
    if not shapes:
        return image
    mask = Image.new("1", image.size, 1)
    for shape in [shapes] if isinstance(shapes, str) else shapes:
        only = Image.new("1", image.size, 0)
        if shape == "BITMAP":
            covered = mask_of(ds, int(ds.ShutterOverlayGroup), image.size, frame)
            only = covered.point([255] + 255 * [0]).convert("1")
        else:
            _SHUTTERS.get(shape, _no_shutter)(ImageDraw.Draw(only), ds, image.size)
        mask = Image.composite(only, Image.new("1", image.size, 0), mask)
    value = round(int(ds.get("ShutterPresentationValue") or 0) / 65535 * 255)
    colour = value if image.mode == "L" else (value,) * 3
    return Image.composite(image, Image.new(image.mode, image.size, colour), mask)


def _rectangle(canvas: ImageDraw.ImageDraw, ds: Dataset, _size: tuple[int, int]) -> None:
    left, right = int(ds.ShutterLeftVerticalEdge), int(ds.ShutterRightVerticalEdge)
    top, bottom = int(ds.ShutterUpperHorizontalEdge), int(ds.ShutterLowerHorizontalEdge)
    canvas.rectangle((left - 1, top - 1, right - 1, bottom - 1), fill=1)


def _circle(canvas: ImageDraw.ImageDraw, ds: Dataset, _size: tuple[int, int]) -> None:
    row, column = (int(value) - 1 for value in ds.CenterOfCircularShutter)
    radius = int(ds.RadiusOfCircularShutter)
    canvas.ellipse((column - radius, row - radius, column + radius, row + radius), fill=1)


def _polygon(canvas: ImageDraw.ImageDraw, ds: Dataset, _size: tuple[int, int]) -> None:
    numbers = [int(value) - 1 for value in ds.VerticesOfThePolygonalShutter]
    canvas.polygon(list(zip(numbers[1::2], numbers[::2], strict=False)), fill=1)


def _no_shutter(canvas: ImageDraw.ImageDraw, _ds: Dataset, size: tuple[int, int]) -> None:
    canvas.rectangle((0, 0, *size), fill=1)


_SHUTTERS = {"RECTANGULAR": _rectangle, "CIRCULAR": _circle, "POLYGONAL": _polygon}
