"""Answers what is asked about workitems: with data sets, or by a refusal's status and Warning."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps

from flask import Response

from lethe.storage.entries import DicomJson
from lethe.storage.steprules import StepRefused, Why
from lethe.storage.workitems import Gone

from .answers import Service, failure, json_array, warned
from .nativexml import xml_alone, xml_parts

View = Callable[..., Response]
Answer = tuple[int, tuple[str, ...]]
"""A status, and what the Warning says."""


def refusing(table: Mapping[Why, Answer]) -> Callable[[View], View]:
    """A view whose refusals are answered by this table; whatever is not in it is a 400."""

    def answered(view: View) -> View:
        @wraps(view)
        def wrapped(service: Service, **values: str) -> Response:
            try:
                return view(service, **values)
            except StepRefused as refusal:
                status, warnings = table.get(refusal.why, (400, ()))
                response = failure(refusal)
                response.status_code = status
                return warned(service, response, warnings)
            except Gone as gone:
                response = failure(gone)
                response.status_code = 410
                return response

        return wrapped

    return answered


def given(service: Service, items: Iterable[DicomJson], *, as_xml: bool) -> Response:
    """Workitems, as JSON or as XML."""
    texts = _texts(service, items)
    return xml_parts(texts) if as_xml else json_array(texts)


def given_alone(service: Service, item: DicomJson) -> Response:
    """A workitem as XML without multipart around it."""
    return xml_alone(next(_texts(service, [item])))


def _texts(service: Service, items: Iterable[DicomJson]) -> Iterator[bytes]:
    base = json.dumps(service.base())[1:-1]
    for one in items:
        text = json.dumps(dict(sorted(one.items())), separators=(",", ":"), ensure_ascii=False)
        # Where the results of Lethe's own are; a value of a client's has its quotation marks escaped.
        yield text.replace(
            '"00081190":{"vr":"UR","Value":["studies/', f'"00081190":{{"vr":"UR","Value":["{base}/studies/'
        ).encode()
