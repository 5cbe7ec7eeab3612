"""Makes objects whose pixel data are a film, with text drawn into its frames, as endoscopes do."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile

import cv2
import numpy as np
import pydicom
from burned_pictures import FONT, Text, drawn
from burned_screens import patient
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_fragments

Frames = NDArray[np.uint8]
ENDOSCOPE = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
MPEG2_MAIN, MPEG2_HIGH = "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101"
AVC, BLURAY, AVC_FRAGMENTS = "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.102.1"
HEVC, HEVC_10 = "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108"
_ENCODERS = {
    MPEG2_MAIN: ["-c:v", "mpeg2video", "-q:v", "2", "-bf", "2", "-pix_fmt", "yuv420p"],
    AVC: ["-c:v", "libx264", "-crf", "12", "-preset", "veryfast", "-pix_fmt", "yuv420p"],
    HEVC: [
        "-c:v",
        "libx265",
        "-crf",
        "12",
        "-preset",
        "veryfast",
        "-pix_fmt",
        "yuv420p",
        "-x265-params",
        "pools=2:log-level=none",
    ],
}
_ENCODERS |= {MPEG2_HIGH: _ENCODERS[MPEG2_MAIN], BLURAY: _ENCODERS[AVC], AVC_FRAGMENTS: _ENCODERS[AVC]}
_ENCODERS[HEVC_10] = [word.replace("yuv420p", "yuv420p10le") for word in _ENCODERS[HEVC]]
CONTAINERS = {MPEG2_MAIN: "mpegts", MPEG2_HIGH: "mpegts", BLURAY: "mpegts"}
RATE = 25


def scene(count: int = 10, texts: Sequence[Text] = (), **more: int) -> Frames:
    """Frames of something that moves slowly, with those texts in all of them."""
    picture, _ = drawn(texts, **more)
    frames = np.repeat(picture[None], count, axis=0)
    across, down = np.meshgrid(np.arange(640), np.arange(400))
    for number, frame in enumerate(frames):
        ball = (across - 320 - 3 * number) ** 2 + (down - 240) ** 2
        frame[ball < 80**2] = (150 - ball[ball < 80**2] // 64).astype(np.uint8)
    return frames


def plain_scene(count: int = 10) -> Frames:
    """Frames of grain that slowly brightens; in what is flat a detector may see a large letter."""
    grain = 70 + np.random.default_rng(1).normal(0, 8, (400, 640))
    return np.stack([(grain + number).clip(0, 255).astype(np.uint8) for number in range(count)])


def tissue(count: int) -> Frames:
    """Frames of something uneven that moves past, none of it as bright as 230."""
    random = np.random.default_rng(5)
    coarse, fine = (cv2.GaussianBlur(random.normal(0, 1, (500, 640 + 6 * count)), (0, 0), blur) for blur in (12, 4))
    whole = 115 + 80 * coarse / np.abs(coarse).max() + 25 * fine / np.abs(fine).max()
    return np.stack([whole[50:450, 6 * at : 6 * at + 640] for at in range(count)]).astype(np.uint8)


def written(frames: Frames, text: str, places: Sequence[tuple[int, int]], size: int) -> list[NDArray[np.bool_]]:
    """Write a text into each frame, at that place from the left and from the top, and say where its ink is."""
    inks = []
    for frame, (left, top) in zip(frames, places, strict=True):
        image = Image.new("L", frame.shape[::-1], 0)
        ImageDraw.Draw(image).text((left, top), text, fill=255, font=ImageFont.truetype(FONT, size))
        ink = np.asarray(image)
        frame[:] = np.maximum(frame, ink)
        inks.append(ink == 255)
    return inks


def filmed(
    frames: Frames,
    folder: Path,
    syntax: str,
    container: str = "",
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> bytes:
    """The frames as a film in that transfer syntax; with more arguments before or after those of the encoder."""
    target = folder / "film"
    rows, columns = frames.shape[1:]
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-video_size", f"{columns}x{rows}", "-framerate", str(RATE)]
    command = ["ffmpeg", "-v", "error", "-y", *source, "-i", "pipe:0", *before, *_ENCODERS[syntax], *after]
    command += ["-f", container or CONTAINERS.get(syntax, "mp4"), str(target)]
    subprocess.run(command, input=frames.tobytes(), check=True, timeout=120)
    return target.read_bytes()


def video(film: bytes, syntax: str, count: int, *, cuts: Sequence[int] = (), **attributes: object) -> bytes:
    """An object of the patient of `PHI` with that film, in one fragment or cut at those places."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.Modality = ENDOSCOPE, "ES"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_PARTIAL_420", 0
    ds.Rows, ds.Columns, ds.NumberOfFrames = 400, 640, count
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.CineRate, ds.FrameTime, ds.FrameIncrementPointer = RATE, 1000 / RATE, 0x00181063
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod = "30", "ISO_14496_10"
    film += bytes(len(film) % 2)  # pydicom would pad behind the last item, where nothing may be
    body = b""
    for first, last in zip((0, *cuts), (*cuts, len(film)), strict=True):
        body += b"\xfe\xff\x00\xe0" + (last - first).to_bytes(4, "little") + film[first:last]
    ds.add_new(0x7FE00010, "OB", b"\xfe\xff\x00\xe0\0\0\0\0" + body)
    ds["PixelData"].is_undefined_length = True
    buffer = BytesIO()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ENDOSCOPE, "1.2.3"
    ds.SOPInstanceUID = "1.2.3"
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return patient(buffer.getvalue(), **{"SOPClassUID": ENDOSCOPE, "Modality": "ES", **attributes})


def film_of(raw: bytes) -> bytes:
    """The film in an object."""
    _, *fragments = generate_fragments(pydicom.dcmread(BytesIO(raw)).PixelData)
    return b"".join(fragments)


def decoded(film: bytes) -> Frames:
    """The frames of a film in grey, as ffmpeg shows them."""
    with NamedTemporaryFile() as file:  # an MP4 may have at its end what is needed from the beginning
        file.write(film)
        file.flush()
        command = ["ffmpeg", "-v", "error", "-i", file.name, "-map", "0:v:0", "-fps_mode", "passthrough"]
        command += ["-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, 400, 640)
