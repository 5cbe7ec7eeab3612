"""Sending to peers that do not take everything: DCMTK's storescp and Orthanc, limited to what is not compressed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_archive import publish, sample
from programs import Node, free_port, need, orthanc, running
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from lethe.node.config import Peer
from lethe.node.courier import Courier
from lethe.node.dimse.scu import Destination
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.jobs import Stage, State
from lethe.storage.query import Level, Query

pytestmark = pytest.mark.peer

LOSSLESS = (
    *("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"),
    *(
        "JPEG2000.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "JPEGLSNearLossless_08.dcm",
        "SC_rgb_rle_2frame.dcm",
        "MR_small_bigendian.dcm",
    ),
    *("image_dfl.dcm", "rtdose_rle.dcm", "SC_rgb_rle_16bit_2frame.dcm", "693_J2KI.dcm"),
)
"""Samples of the wheels whose decoders agree to the bit; rtdose_rle has 15 frames."""

TAKEN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """DCMTK's storescp with options of its own, which writes each data set as it comes."""
    need("storescp")
    folder.mkdir()
    port = free_port()
    command = ["/usr/bin/storescp", "+B", *options, "-aet", "ARCHIVE", "-od", str(folder), str(port)]
    with running(command, port, folder.with_suffix(".log")):
        yield port


def filled(archive: Archive) -> dict[str, pydicom.FileDataset]:
    """The samples published, by their UIDs here."""
    published = {}
    for number, name in enumerate(LOSSLESS, 1):
        uid = f"1.2.826.0.1.{number}"
        publish(archive, name, SOPInstanceUID=uid, SeriesInstanceUID=f"{uid}.2", StudyInstanceUID=f"{uid}.3")
        published[uid] = pydicom.dcmread(sample(name))
    return published


def send_all(archive: Archive, port: int, title: str) -> None:
    for entry in archive.index.find(Query(Level.INSTANCE)):
        archive.resend(entry.sop_uid, lambda _project: ["peer"], Actor("somebody"))
    peer = Peer("peer", title, "127.0.0.1", port)
    with Destination(peer, "LETHE", folder=archive.files.incoming()) as destination:
        courier = Courier(archive, destination, "deliver-1", lambda: 0.0)
        while courier.step():
            pass
    for job in archive.jobs.find(stage=Stage.SEND):
        assert job.state == State.DONE, job.reason


def same_pixels(one: pydicom.Dataset, other: pydicom.Dataset) -> bool:
    return np.array_equal(*(pydicom.pixels.pixel_array(ds, raw=True) for ds in (one, other)))


@pytest.mark.parametrize(
    ("option", "syntax"), [("+xi", ImplicitVRLittleEndian), ("+xe", ExplicitVRLittleEndian), ("+x=", None)]
)
def test_storescp_without_compression_gets_everything(
    archive: Archive, tmp_path: Path, option: str, syntax: str | None
) -> None:
    originals = filled(archive)
    with storescp(tmp_path / "scp", option) as port:
        send_all(archive, port, "ARCHIVE")
    received = [pydicom.dcmread(path) for path in (tmp_path / "scp").iterdir()]
    assert {ds.SOPInstanceUID for ds in received} == originals.keys()
    for ds in received:
        stored = originals[ds.SOPInstanceUID]
        assert ds.file_meta.TransferSyntaxUID in ([syntax] if syntax else TAKEN)
        assert same_pixels(ds, stored), stored.filename
        assert ds.get("LossyImageCompression") == stored.get("LossyImageCompression")


def test_dcmrecv_with_the_shortest_pdus_gets_everything(archive: Archive, tmp_path: Path) -> None:
    need("dcmrecv")
    settings = Path("/etc/dcmtk/storescp.cfg")  # without it, dcmrecv takes no storage class at all
    if not settings.is_file():
        pytest.skip("not here: DCMTK's storescp.cfg")
    originals, folder, port = filled(archive), tmp_path / "in", free_port()
    folder.mkdir()
    command = ["/usr/bin/dcmrecv", "-pdu", "4096", "-xf", str(settings), "AllDICOM", "-od", str(folder), str(port)]
    with running(command, port, tmp_path / "log.txt"):
        send_all(archive, port, "ARCHIVE")
    received = [pydicom.dcmread(path) for path in folder.iterdir()]
    assert {ds.SOPInstanceUID for ds in received} == originals.keys()
    assert all(same_pixels(ds, originals[ds.SOPInstanceUID]) for ds in received)


def test_storescp_that_takes_one_codec_gets_that_as_stored(archive: Archive, tmp_path: Path) -> None:
    originals = filled(archive)
    with storescp(tmp_path / "scp", "+xr") as port:  # RLE, and what is not compressed
        send_all(archive, port, "ARCHIVE")
    for path in (tmp_path / "scp").iterdir():
        ds = pydicom.dcmread(path)
        stored = originals[ds.SOPInstanceUID]
        if stored.file_meta.TransferSyntaxUID == RLELossless:
            assert ds.file_meta.TransferSyntaxUID == RLELossless
            assert ds.PixelData == stored.PixelData
        else:
            assert ds.file_meta.TransferSyntaxUID in TAKEN
            assert same_pixels(ds, stored)


def test_orthanc_that_takes_implicit_only_gets_everything(archive: Archive, tmp_path: Path) -> None:
    originals = filled(archive)
    with orthanc(tmp_path / "orthanc", AcceptedTransferSyntaxes=[ImplicitVRLittleEndian]) as (port, url):
        send_all(archive, port, "ORTHANC")
        for name in requests.get(f"{url}/instances", timeout=30).json():
            ds = pydicom.dcmread(BytesIO(requests.get(f"{url}/instances/{name}/file", timeout=30).content))
            assert ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
            assert same_pixels(ds, originals.pop(ds.SOPInstanceUID))
    assert not originals


def test_lethe_send_decodes_too(tmp_path: Path) -> None:
    files = [sample(name) for name in ("MR_small_RLE.dcm", "JPEG2000.dcm", "CT_small.dcm")]
    with storescp(tmp_path / "scp", "+xi") as port:
        said = Node(tmp_path / "node").lethe("send", *map(str, files), "--to", f"ARCHIVE@127.0.0.1:{port}")
    assert said.stdout.strip() == "3 sent, 0 not sent", said
    received = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, (tmp_path / "scp").iterdir())}
    for path in files:
        stored = pydicom.dcmread(path)
        assert same_pixels(received[stored.SOPInstanceUID], stored)
