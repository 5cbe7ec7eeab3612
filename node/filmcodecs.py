"""Says how ffmpeg is asked for a film in each of DICOM's transfer syntaxes, as PS3.5 8.2.5 to 8.2.8 want it."""

from __future__ import annotations

from lethe.node.burned.film import Film

_SYNTAX = "1.2.840.10008.1.2.4."
_PICTURES = {
    "mpeg2video": "0-175|179|181|183-184",
    "h264": "1-5|7-8",
    "hevc": "0-9|16-21|32-34",
}
"""The units of a codestream that are pictures or say how they are coded; not user data, messages (SEI), fillers."""
_MUXERS = {"mp4": "mp4", "mpegts": "mpegts", "mpeg": "vob", "mpegvideo": "mpeg2video", "h264": "mp4", "hevc": "mp4"}
DEMUXERS = {"mp4": "mov", "mpegts": "mpegts", "mpeg": "mpeg", "mpegvideo": "mpegvideo", "h264": "h264", "hevc": "hevc"}
"""What ffmpeg calls a container that it is to read; it never guesses."""
_THREADS = "2"
"""Always as many: an encoder's result depends on it."""
_AVC_LEVELS = {"102": "4.1", "103": "4.1", "104": "4.2"}


def wrapped(film: Film) -> list[str]:
    """The end of a command: the same container, and in it pictures alone."""
    return [*_nothing_else(film), "-bsf:v", _pictures(film), "-f", _MUXERS[film.container]]


def unwrapped(film: Film) -> list[str]:
    """The same for a stream in which nothing stands apart from the pictures, as an MP4 has it in its tables: where no
    filter looks."""
    return [*_nothing_else(film), "-bsf:v", f"{film.codec}_mp4toannexb,{_pictures(film)}", "-f", "mpegts"]


def uncut() -> list[str]:
    """The same for H.264 of which all is shown that is coded: what it cuts off is only said in its parameters."""
    edges = ":".join(f"crop_{side}=0" for side in ("left", "right", "top", "bottom"))
    return ["-bsf:v", f"h264_metadata={edges}", "-f", "mp4"]


def _nothing_else(film: Film) -> list[str]:
    fields = "+ildct+ilme" if film.first_field and film.codec == "mpeg2video" else ""
    return ["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags:v", f"+bitexact{fields}"]


def _pictures(film: Film) -> str:
    return f"filter_units=pass_types={_PICTURES[film.codec]}"


def encoder(film: Film, syntax: str) -> list[str]:
    """Arguments that encode frames as well as the transfer syntax allows, a key frame each second."""
    number = syntax.removeprefix(_SYNTAX).removesuffix(".1")
    numerator, denominator = map(int, film.rate.split("/"))
    second = str(max(round(numerator / denominator), 1))
    shape = [f"setsar={film.aspect}"] if film.aspect else []
    shape += [f"setfield={film.first_field}"] if film.first_field else []
    filters = ["-vf", ",".join(shape)] if shape else []
    meant = [*filters, "-pix_fmt", film.pixels, *film.colours, "-g", second, "-threads", _THREADS]
    if film.codec == "mpeg2video":
        level, most, buffer = ("8", "15M", "1835k") if number == "100" else ("4", "80M", "9781k")
        quality = ["-q:v", "2", "-qmin", "1", "-bf", "2", "-maxrate", most, "-bufsize", buffer]
        return ["-c:v", "mpeg2video", "-profile:v", "4", "-level:v", level, *quality, *meant]
    if film.codec == "h264":
        more = ["bluray-compat=1:slices=4"] if number == "103" else []
        more += [f"{film.first_field}=1"] if film.first_field else []
        options = ["-x264-params", ":".join(more)] if more else []
        size = ["-profile:v", "high", "-level:v", _AVC_LEVELS[number], "-maxrate", "50M", "-bufsize", "50M"]
        return ["-c:v", "libx264", "-preset", "medium", "-crf", "16", "-bf", "2", *size, *meant, *options]
    profile = "main10" if film.deep else "main"
    options = ["-x265-params", f"level-idc=5.1:high-tier=0:info=0:frame-threads=1:pools={_THREADS}:keyint={second}"]
    return ["-c:v", "libx265", "-preset", "medium", "-crf", "16", "-profile:v", profile, *meant, *options]
