"""Makes a film of pictures: an MP4 file that browsers play."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from PIL.Image import Image

from . import ffmpeg
from .accept import NotAcceptable

MP4 = "video/mp4"
_PLAYABLE = [
    *("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast"),
    *("-crf", "18", "-threads", "2", "-movflags", "+faststart", "-f", "mp4"),
]


def filmed(images: Iterable[Image], size: tuple[int, int], milliseconds: int, folder: Path) -> BinaryIO:
    """The pictures, all of that size, as an MP4 file, which is gone once it is closed. Raises NotAcceptable, and
    Unavailable where others are being made."""
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"1000/{milliseconds}"]
    pixels = (image.convert("RGB").tobytes() for image in images)
    try:
        return ffmpeg.made([*source, "-i", "pipe:0"], _PLAYABLE, folder, fed=pixels)
    except ffmpeg.Failed:
        raise NotAcceptable("the frames cannot be made into a film here") from None
