"""schemathesis calls everything that our OpenAPI document names, rightly and wrongly, on the whole application: no
answer is a failure of ours or one that the document does not name, none has a traceback, none repeats what was sent.

The same requests on every run; `make fuzz-http` makes more (`CASES=...`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from dicomweb_archive import publish
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from lethe.node.config import Config, Http
from lethe.node.site import ADMIN_TOKEN_VARIABLE, build_app
from lethe.storage.archive import Archive
from lethe.storage.entries import Entry

TOKEN = "token-of-the-fuzzer-0123456789abcdef"
CASES = int(os.environ.get("LETHE_HTTP_CASES", "3"))
OURS = ("multipart/related", "application/dicom", "application/dicom+json", "application/json")
"""What an answer says of itself, whoever asked for it."""
CHECKS = (not_a_server_error, status_code_conformance)


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Archive, Entry]]:
    archive = Archive(tmp_path_factory.mktemp("fuzz"))
    publish(archive, "rtdose.dcm")
    yield archive, publish(archive, "SC_rgb_rle_2frame.dcm")
    archive.close()


@pytest.fixture(scope="module")
def described(entry: tuple[Archive, Entry]) -> Iterator[schemathesis.BaseSchema]:
    archive, _ = entry
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(ADMIN_TOKEN_VARIABLE, TOKEN)
        config = Config(folder=archive.folder.parent, http=Http(stow_wait=0, stow_largest=1, audit_reads=0))
        app = build_app(config, archive)
    yield openapi.from_wsgi("/dicom-web/openapi.json", app, headers={"Authorization": f"Bearer {TOKEN}"})


@schemathesis.serializer("application/dicom")
def alone(_: schemathesis.SerializationContext, value: object) -> bytes:
    return bytes(getattr(value, "data", str(value).encode()))


@schemathesis.serializer("multipart/related")
def in_a_part(_: schemathesis.SerializationContext, value: object) -> bytes:
    return b"--b\r\n\r\n" + bytes(getattr(value, "data", str(value).encode())) + b"\r\n--b--\r\n"


SETTINGS = settings(
    max_examples=CASES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_no_answer_is_a_failure_of_ours(described: schemathesis.BaseSchema, entry: tuple[Archive, Entry]) -> None:
    known = entry[1]
    there = {"study": known.study_uid, "series": known.series_uid, "instance": known.sop_uid, "numbers": "1"}
    statuses: Counter[int] = Counter()

    def call(case: schemathesis.Case) -> None:
        # Half of all addresses are made up; the others are there, so that what stands behind them is reached.
        if case.method != "DELETE" and len(str(case.query)) % 2:
            case.path_parameters = {name: there.get(name, made) for name, made in (case.path_parameters or {}).items()}
            case.headers.pop("Accept", None)
            (case.query or {}).pop("accept", None)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        if (case.media_type or "").startswith("multipart/"):
            headers["Content-Type"] = f"{case.media_type}; boundary=b"
        response = case.call_and_validate(headers=headers, checks=CHECKS)
        statuses[response.status_code] += 1
        if response.status_code >= 400 and case.method != "HEAD":
            sent = [str(one) for one in (*(case.query or {}).values(), *(case.path_parameters or {}).values())]
            assert not [one for one in sent if len(one) > 12 and one not in OURS and one in response.text]
            assert "Traceback" not in response.text

    for found in described.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if operation.method != "head":
                SETTINGS(given(case=operation.as_strategy(generation_mode=mode))(call))()
    print(dict(statuses))
    assert {200, 400, 404} <= set(statuses)
