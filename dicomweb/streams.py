"""Gives a video as the stream that is stored (PS3.5 8.2.5 to 8.2.9): it has no frames to be had singly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flask import Response

from lethe.storage.holdings import Held

from .accept import NotAcceptable, Offer, Packing, best_possible
from .answers import Service, accepted, multipart_body, single_body, stretch
from .etags import tag_of, tagged, unchanged
from .fragments import Fragments
from .locate import CHUNK
from .multipart import Part

OCTETS, MP4 = "application/octet-stream", "video/mp4"
_MPEG2 = ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101")
_MPEG2_TYPES = ("video/mpeg", "video/mpeg2")


@dataclass(frozen=True)
class Stream:
    """The stream of one instance, and the media types that are true of it."""

    held: Held
    fragments: Fragments
    media_types: tuple[str, ...]

    def offers(self, packing: Packing) -> list[Offer]:
        """How it can be given."""
        stored = self.held.transfer_syntax
        return [Offer(name, packing, stored, frozenset({"", "*", stored})) for name in self.media_types]

    def part(self, service: Service, media_type: str, location: str) -> Part:
        """All of it as one part."""
        content_type = f"{media_type}; transfer-syntax={self.held.transfer_syntax}"
        return Part(content_type, location, lambda: self.pieces(service), sum(self.fragments.lengths))

    def pieces(self, service: Service) -> Iterator[bytes]:
        """The fragments one after the other."""
        with service.archive.files.open("clean", self.held.file) as file:
            for offset, left in zip(self.fragments.offsets, self.fragments.lengths, strict=True):
                file.seek(offset)
                while left and (data := file.read(min(left, CHUNK))):
                    left -= len(data)
                    yield data


def stream_of(service: Service, held: Held) -> Stream:
    """The stream of a video. Raises NotAcceptable where there is none."""
    with service.archive.files.open("clean", held.file) as file:
        found = service.layout_of(held, file).fragments
        if found is None or not found.offsets:
            raise NotAcceptable("the video has no stream; retrieve the instance instead")
        file.seek(found.offsets[0] + 4)
        is_mp4 = file.read(4) == b"ftyp"
    mpeg2 = _MPEG2_TYPES if held.transfer_syntax.startswith(_MPEG2) else ()
    return Stream(held, found, (OCTETS, *((MP4,) if is_mp4 else mpeg2)))


def answer(service: Service, held: Held, location: str) -> Response:
    """The stream in the form that is liked best, or a range of it if it is stored in one piece."""
    stream = stream_of(service, held)
    possible = [*stream.offers(Packing.MULTIPART), *stream.offers(Packing.SINGLE)]

    def given(offer: Offer) -> Response:
        return _given(service, stream, stream.part(service, offer.media_type, location), offer)

    return best_possible(accepted(), possible, given)


def film(service: Service, held: Held, location: str) -> Response:
    """The stream as a film that browsers play, who ask for ranges of it. Raises NotAcceptable where it is none."""
    stream = stream_of(service, held)
    if MP4 not in stream.media_types:
        raise NotAcceptable("such a video cannot be made into one that browsers play; retrieve the instance instead")
    return _given(service, stream, replace(stream.part(service, MP4, location), content_type=MP4), Offer(MP4))


def _given(service: Service, stream: Stream, part: Part, offer: Offer) -> Response:
    tag = tag_of(f"{stream.held.file}-{offer.media_type}", offer.packing)
    if known := unchanged(tag):
        return known
    found = stream.fragments
    if len(found.offsets) == 1:
        file = service.archive.files.open("clean", stream.held.file)
        return stretch(file, found.offsets[0], found.lengths[0], part, packing=offer.packing, tag=tag)
    single = offer.packing is Packing.SINGLE
    return tagged(single_body(part) if single else multipart_body([part], offer.media_type), tag)
