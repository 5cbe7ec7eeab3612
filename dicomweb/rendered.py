"""Retrieves rendered resources and thumbnails (WADO-RS, PS3.18 10.4.1.1.3 and 10.4.1.1.6).

A study or series is shown by one picture: its first image when rendered, one from its middle as a thumbnail, because
the first slice of a scan often shows nothing. Rendered as multipart it is all its images, a part each. No text is drawn
into a picture but a presentation state's own, and what is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, groupby

from flask import Response
from PIL.Image import Image

from lethe.storage.errors import NotFound
from lethe.storage.holdings import Held

from . import cine, documents, ffmpeg, frames, pictures, pixels
from .accept import MediaRange, NotAcceptable, Offer, Packing, choose
from .answers import Service, accepted, multipart_body, stretch, warned
from .captions import caption_of, captioned
from .drawing import Drawing, drawing_of
from .etags import Tag, tag_for, tagged, unchanged
from .multipart import Part
from .pictures import Viewport
from .shape import Shape, shape_of
from .stills import still
from .wishes import Wishes, wishes, wishes_of_thumbnail

_THUMBNAIL = Viewport(256, 256)
_MOST_ANIMATED = 1000
_MOST_PIXELS = 256 << 20
_CUT_OFF = f"Only the first {_MOST_ANIMATED} frames are shown."
_PARTS = tuple(Offer(name, Packing.MULTIPART) for name in pictures.MEDIA_TYPES)
_OFFERS_OF_ONE = (*(Offer(name) for name in pictures.MEDIA_TYPES), *_PARTS)
_OFFERS_OF_MANY = (*_PARTS, Offer("image/gif"))
_FILM = Offer(cine.MP4)


def rendered(
    service: Service, study: str, series: str = "", instance: str = "", numbers: str | None = None
) -> Response:
    """One image or several frames, drawn as the object or the request says; a document as what it is, also for a study
    or series that has no image."""
    uids = [uid for uid in (study, series, instance) if uid]
    held = _image_of(service, uids, part=0.0)
    if held is None:
        return documents.first_document(service, service.archive.holdings.below(*uids), accepted())
    if not instance:
        offer = choose(accepted(), (*_OFFERS_OF_ONE, _FILM))
        if offer.packing is Packing.MULTIPART:
            return _each(service, uids, offer, wishes())
    elif numbers is None and (document := documents.document(service, held, accepted())):
        return document
    return answer(service, drawing_of(service, held, None), numbers, wishes(), accepted())


def thumbnail(
    service: Service, study: str, series: str = "", instance: str = "", numbers: str | None = None
) -> Response:
    """One small image that stands for the whole; of a video where there is nothing else."""
    uids = [uid for uid in (study, series, instance) if uid]
    held = _image_of(service, uids, part=0.5) or _video_of(service, uids)
    if held is None:
        raise NotFound("it has no image")
    wanted = wishes_of_thumbnail()
    named = None if numbers is None else frames.parse_numbers(numbers)
    if pixels.is_video(held.transfer_syntax):
        return _of_video(service, held, named, wanted.within(_THUMBNAIL))
    drawing = drawing_of(service, held, None)
    try:
        shape = drawing.open().shape
        number = shape.frames // 2 + 1 if named is None else frames.within(named, shape)[0]
    except BaseException:
        drawing.close()
        raise
    return answer(service, drawing, str(number), wanted.within(_THUMBNAIL), accepted())


def _image_of(service: Service, uids: Sequence[str], *, part: float) -> Held | None:
    """The image that lies so far, of 1, into the first series that has any; the instance itself where one is named.
    Raises NotFound where nothing is there."""
    if len(uids) == 3:
        return service.archive.holdings.one(*uids)
    for _, series in groupby(service.archive.holdings.below(*uids), key=lambda one: one.series_uid):
        held = list(series)
        place = held[int(len(held) * part)]
        # Of a series of one kind the one at that place is looked at alone: a scan has thousands.
        if len({one.sop_class for one in held}) == 1 and _is_image(service, place):
            return place
        if images := [one for one in held if _is_image(service, one)]:
            return images[int(len(images) * part)]
    return None


def _is_image(service: Service, held: Held) -> bool:
    if pixels.is_video(held.transfer_syntax):
        return False
    try:
        shape_of(service.metadata_of(held))
    except NotFound:
        return False
    return True


def _video_of(service: Service, uids: Sequence[str]) -> Held | None:
    return next((one for one in service.archive.holdings.below(*uids) if pixels.is_video(one.transfer_syntax)), None)


def _of_video(service: Service, held: Held, named: Sequence[int] | None, wanted: Wishes) -> Response:
    """A picture of a video: of its first frames, or of the frame that is named."""
    number = None if named is None else frames.within(named, shape_of(service.metadata_of(held)))[0]
    offer = choose(accepted(), _OFFERS_OF_ONE)
    tag = tag_for(held.file, number, offer.media_type, offer.packing, wanted)
    if known := unchanged(tag):
        return known
    picture = pictures.fitted(still(service, held, number), wanted.viewport)
    data = pictures.encoded(picture, offer.media_type, wanted.quality)
    if offer.packing is Packing.SINGLE:
        response = _alone(data, offer)
    else:
        response = multipart_body([Part(offer.media_type, "", lambda: (data,), len(data))], offer.media_type)
    return tagged(response, tag)


def answer(
    service: Service, drawing: Drawing, numbers: str | None, wanted: Wishes, ranges: Sequence[MediaRange]
) -> Response:
    """The frames of that list in the form that is liked best, or the instance as a whole; closes the drawing."""
    shape = drawing.open().shape
    try:
        response = _best(service, drawing, numbers, _with_caption(service, drawing.held, wanted), ranges)
    except BaseException:
        drawing.close()
        raise
    response.call_on_close(drawing.close)
    moves = response.mimetype in (cine.MP4, "image/gif") and numbers is None
    cut_off = (_CUT_OFF,) if moves and shape.frames > _MOST_ANIMATED else ()
    return warned(service, response, (*drawing.passed_over, *wanted.passed_over, *cut_off))


def _best(
    service: Service, drawing: Drawing, numbers: str | None, wanted: Wishes, ranges: Sequence[MediaRange]
) -> Response:
    """In the best form; where the frames cannot be made to move, in the best of those that stand still."""
    shape = drawing.open().shape
    listed = frames.within([drawing.first_frame] if numbers is None else frames.parse_numbers(numbers), shape)
    possible = _possible(listed, numbers, shape)
    offer = choose(ranges, possible)
    try:
        return _shown(service, drawing, _frames_of(offer, listed, numbers, shape), offer, wanted)
    except NotAcceptable as error:
        if not _is_moving(offer):
            raise
        try:
            offer = choose(ranges, [one for one in possible if not _is_moving(one)])
        except NotAcceptable:
            raise error from None
        return _shown(service, drawing, listed, offer, wanted)


def _possible(listed: Sequence[int], numbers: str | None, shape: Shape) -> Sequence[Offer]:
    moving = len(listed) > 1 or (numbers is None and shape.frames > 1)
    film = (_FILM,) if moving and ffmpeg.is_possible() else ()
    return (*_OFFERS_OF_ONE, *film) if len(listed) == 1 else (*_OFFERS_OF_MANY, *film)


def _frames_of(offer: Offer, listed: Sequence[int], numbers: str | None, shape: Shape) -> Sequence[int]:
    return range(1, min(shape.frames, _MOST_ANIMATED) + 1) if numbers is None and _is_moving(offer) else listed


def _is_moving(offer: Offer) -> bool:
    return offer is _FILM or (offer.media_type == "image/gif" and offer.packing is Packing.SINGLE)


def _shown(service: Service, drawing: Drawing, shown: Sequence[int], offer: Offer, wanted: Wishes) -> Response:
    asked = (drawing.name, tuple(shown), offer.media_type, offer.packing, wanted)
    tag = tag_for(*asked)
    if known := unchanged(tag):
        return known
    if offer is _FILM:
        return _filmed(service, drawing, shown, wanted, tag)
    moving = _is_moving(offer) and len(shown) > 1
    return tagged(_moving(drawing, shown, wanted) if moving else _still(service, drawing, shown, offer, wanted), tag)


def _picture(drawing: Drawing, number: int, wanted: Wishes) -> Image:
    return captioned(pictures.fitted(drawing.picture(number, wanted.window), wanted.viewport), wanted.caption)


def _still(service: Service, drawing: Drawing, shown: Sequence[int], offer: Offer, wanted: Wishes) -> Response:
    if offer.packing is Packing.SINGLE:
        return _alone(_encoded(drawing, shown[0], offer, wanted), offer)
    parts = (_part(service, drawing, number, offer, wanted) for number in shown)
    first = next(parts)  # what is wrong with it is still an answer
    return multipart_body(chain([first], parts), offer.media_type)


def _alone(data: bytes, offer: Offer) -> Response:
    return Response(data, content_type=offer.media_type, headers={"Vary": "Accept"})


def _each(service: Service, uids: Sequence[str], offer: Offer, wanted: Wishes) -> Response:
    """All images of a study or series that can be drawn, a part each, made when its turn comes."""
    asked = (tuple(uids), service.archive.index.version_of(*uids), service.base(), offer.media_type, wanted)
    tag = tag_for(*asked)
    if known := unchanged(tag):
        return known
    images = (one for one in service.archive.holdings.below(*uids) if _is_image(service, one))
    parts = filter(None, (_drawn(service, one, offer, wanted) for one in images))
    first = next(parts, None)
    if first is None:
        raise NotAcceptable("none of the images can be drawn here; retrieve the instances instead")
    return warned(service, tagged(multipart_body(chain([first], parts), offer.media_type), tag), wanted.passed_over)


def _drawn(service: Service, held: Held, offer: Offer, wanted: Wishes) -> Part | None:
    """One of several images; one that cannot be drawn must not keep the others back."""
    drawing = drawing_of(service, held, None)
    try:
        drawing.open()
        return _part(service, drawing, 1, offer, _with_caption(service, held, wanted))
    except (NotAcceptable, NotFound):
        return None
    finally:
        drawing.close()


def _part(service: Service, drawing: Drawing, number: int, offer: Offer, wanted: Wishes) -> Part:
    data = _encoded(drawing, number, offer, wanted)
    held = drawing.held
    url = f"{service.instance_url(held.study_uid, held.series_uid, held.sop_uid)}/frames/{number}/rendered"
    # By the address of the image it would be had as it is without its presentation state.
    return Part(offer.media_type, url if drawing.is_plain else "", lambda: (data,), len(data))


def _encoded(drawing: Drawing, number: int, offer: Offer, wanted: Wishes) -> bytes:
    image, profile = drawing.coloured(_picture(drawing, number, wanted), wanted.profile)
    return pictures.encoded(image, offer.media_type, wanted.quality, profile)


def _with_caption(service: Service, held: Held, wanted: Wishes) -> Wishes:
    if not wanted.annotation:
        return wanted
    return replace(wanted, caption=caption_of(service.metadata_of(held), wanted.annotation))


def _moving(drawing: Drawing, shown: Sequence[int], wanted: Wishes) -> Response:
    images: list[Image] = []
    size = 0
    for number in shown:
        images.append(_picture(drawing, number, wanted))
        size += images[-1].width * images[-1].height
        if size > _MOST_PIXELS:
            raise NotAcceptable("so many frames of that size cannot be had as one animation; ask with a viewport")
    return Response(pictures.animated(images, drawing.milliseconds()), content_type="image/gif")


def _filmed(service: Service, drawing: Drawing, shown: Sequence[int], wanted: Wishes, tag: Tag) -> Response:
    images = (_picture(drawing, number, wanted) for number in shown)
    first = next(images)
    film = cine.filmed(chain([first], images), first.size, drawing.milliseconds(), service.archive.files.incoming())
    length = film.seek(0, os.SEEK_END)
    held = drawing.held
    url = f"{service.instance_url(held.study_uid, held.series_uid, held.sop_uid)}/rendered"
    return stretch(film, 0, length, Part(cine.MP4, url, list, length), packing=Packing.SINGLE, tag=tag)
