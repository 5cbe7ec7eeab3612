"""What the DICOMweb tests share: an archive in a folder of its own, files that pydicom brings published in it, and an
app that serves it."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from flask import Flask
from pydicom.data import get_testdata_file
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID
from werkzeug.serving import make_server

from lethe.dicomweb import wadouri
from lethe.dicomweb.dicomjson import describe
from lethe.dicomweb.pixels import is_encapsulated
from lethe.dicomweb.routes import blueprint
from lethe.storage.archive import Archive
from lethe.storage.entries import CleanInstance, Entry
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage
from lethe.storage.names import clean_name

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def sample(name: str) -> Path:
    """A file of the pydicom wheel."""
    found = get_testdata_file(name, download=False)
    assert found is not None, name
    return Path(found)


def samples() -> list[Path]:
    """All files of the pydicom wheel, the broken ones too."""
    return sorted(path for path in sample("CT_small.dcm").parent.rglob("*") if path.is_file())


def publish(archive: Archive, source: Path | str, **changes: object) -> Entry:
    """Take a file in and publish it as it is, or with other attribute values."""
    source = sample(source) if isinstance(source, str) else source
    incoming = archive.files.incoming() / "object"
    if changes:
        changed = pydicom.dcmread(source)
        for keyword, value in changes.items():
            setattr(changed, keyword, value)
        changed.file_meta.MediaStorageSOPInstanceUID = changed.SOPInstanceUID
        dcmwrite(incoming, changed, enforce_file_format=False)
    else:
        shutil.copyfile(source, incoming)
    data = incoming.read_bytes()
    ds = pydicom.dcmread(incoming)
    archive.accept(incoming, str(ds.SOPInstanceUID), Origin("test"), ["default"])
    job = archive.jobs.claim(Stage.CLEAN, "test", 60)
    assert job is not None
    syntax = UID(str(ds.file_meta.TransferSyntaxUID))
    keyword = next((keyword for keyword in PIXELS if keyword in ds), None)
    vr = (
        None
        if keyword != "PixelData"
        else "OB"
        if is_encapsulated(str(syntax))
        else ds.get_item("PixelData").VR or "OW"
    )
    if keyword == "PixelData":
        del ds.PixelData
    instance = CleanInstance(
        metadata=describe(ds, pixel_data_vr=vr),
        transfer_syntax=str(syntax),
        project="default",
        file=clean_name(hashlib.sha256(data).hexdigest()),
        size=len(data),
    )
    assert archive.publish(job, [data], instance, [])
    return archive.index.instance(str(ds.SOPInstanceUID))


def url_of(entry: Entry) -> str:
    """The path of an instance."""
    return f"/dicom-web/studies/{entry.study_uid}/series/{entry.series_uid}/instances/{entry.sop_uid}"


def app_over(archive: Archive, url: str = "http://node.test/dicom-web", *, events: str = "") -> Flask:
    """An app with nothing but DICOMweb in it."""
    app = Flask("dicomweb-tests", instance_path=str(archive.folder))
    app.register_blueprint(blueprint(archive, lambda: url, events_url=lambda: events), url_prefix="/dicom-web")
    app.register_blueprint(wadouri.blueprint(archive, lambda: url), url_prefix="/wado")
    return app


@contextmanager
def live(archive: Archive) -> Iterator[str]:
    """The service's root URL while a server runs over the archive."""
    urls: list[str] = []
    app = Flask("dicomweb-live", instance_path=str(archive.folder))
    app.register_blueprint(blueprint(archive, lambda: urls[0]), url_prefix="/dicom-web")
    with serving(app, archive) as root:
        urls.append(f"{root}/dicom-web")
        yield urls[0]


@contextmanager
def serving(app: Flask, archive: Archive) -> Iterator[str]:
    """The root URL of an app over the archive while a server runs it."""
    app.teardown_appcontext(lambda _: archive.close())
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def parts_of(body: bytes, content_type: str) -> list[tuple[dict[str, str], bytes]]:
    """The parts of a multipart body, by the letter of RFC 2046."""
    boundary = content_type.rpartition("boundary=")[2].encode()
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    parts = []
    for piece in pieces[1:-1]:
        head, _, data = piece.partition(b"\r\n\r\n")
        lines = head.decode().strip().split("\r\n")
        parts.append(({line.partition(": ")[0]: line.partition(": ")[2] for line in lines}, data))
    return parts
