"""Takes a picture from a video, by ffmpeg where it is installed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PIL import Image

from lethe.storage.holdings import Held

from . import ffmpeg
from .accept import NotAcceptable
from .answers import Service
from .streams import stream_of

_CONTAINERS = ["-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,h264,hevc"]
_CHOSEN_OF = 10
"""Films of an endoscope begin in the dark: of so many frames the one that is most like the others together is taken."""
_PICTURE = ["-frames:v", "1", "-threads", "2", "-f", "image2", "-c:v", "png"]


def still(service: Service, held: Held, number: int | None) -> Image.Image:
    """That frame of a video, counted from 1, or one that stands for its beginning. Raises NotAcceptable."""
    if not ffmpeg.is_possible():
        raise NotAcceptable("pictures of a video need ffmpeg, which is not installed; retrieve the instance instead")
    chosen = f"thumbnail={_CHOSEN_OF}" if number is None else f"select=gte(n\\,{number - 1})"
    try:
        return _taken(service, held, ["-map", "0:v:0", "-vf", chosen, *_PICTURE])
    except (ffmpeg.Failed, OSError, ValueError):
        raise NotAcceptable("no picture of that video can be made here; retrieve the instance instead") from None


def _taken(service: Service, held: Held, wanted: Sequence[str]) -> Image.Image:
    stream, folder = stream_of(service, held), service.archive.files.incoming()
    found = stream.fragments
    with service.archive.files.open("clean", held.file) as file:
        # An MP4 file is read from its end; what is stored in one piece can be, where it lies in the object.
        begin, length, whole = found.offsets[0], found.lengths[0], len(found.offsets) == 1
        place = f"subfile,,start,{begin},end,{begin + length},,:/dev/fd/{file.fileno()}" if whole else "pipe:0"
        fed: Iterable[bytes] = () if whole else stream.pieces(service)
        lent = (file.fileno(),) if whole else ()
        with ffmpeg.made([*_CONTAINERS, "-i", place], wanted, folder, fed=fed, lent=lent) as made:
            return Image.open(made).convert("RGB")
