"""A client nobody here wrote, dicomweb-client, against a running server."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_archive import live, publish, sample
from dicomweb_client.api import DICOMwebClient
from pydicom.encaps import generate_frames
from pydicom.filewriter import dcmwrite

from lethe.storage.archive import Archive

OCTETS = "application/octet-stream"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("client"))
    publish(archive, "CT_small.dcm")
    publish(archive, "MR_small.dcm")
    publish(archive, "MR_small.dcm", SOPInstanceUID="1.2.3.2", InstanceNumber=2)
    publish(archive, "rtdose.dcm")
    publish(archive, "JPEG2000.dcm")
    publish(archive, "waveform_ecg.dcm")
    yield archive
    archive.close()


@pytest.fixture(scope="module")
def client(archive):
    with live(archive) as url:
        yield DICOMwebClient(url=url)


def uids(name: str) -> dict[str, str]:
    ds = pydicom.dcmread(sample(name))
    return {
        "study_instance_uid": str(ds.StudyInstanceUID),
        "series_instance_uid": str(ds.SeriesInstanceUID),
        "sop_instance_uid": str(ds.SOPInstanceUID),
    }


def test_searching(client):
    studies = client.search_for_studies()
    assert len(studies) == 5
    assert len(client.search_for_studies(limit=2, get_remaining=True)) == 5
    mr = client.search_for_studies(search_filters={"ModalitiesInStudy": "MR"})
    assert len(mr) == 1
    study = mr[0]["0020000D"]["Value"][0]
    assert len(client.search_for_series(study)) == 1
    assert len(client.search_for_instances(study)) == 2
    assert len(client.search_for_instances()) == 6
    assert client.search_for_studies(search_filters={"PatientID": "nobody"}) == []
    found = client.search_for_studies(search_filters={"PatientName": "*"}, fields=["00081030"], fuzzymatching=True)
    assert all("00081030" in result for result in found)
    assert pydicom.Dataset.from_json(studies[0]).StudyInstanceUID


def test_retrieving_instances(client):
    one = client.retrieve_instance(**uids("CT_small.dcm"))
    assert one == pydicom.dcmread(sample("CT_small.dcm"))
    study = {key: value for key, value in uids("MR_small.dcm").items() if key == "study_instance_uid"}
    assert [ds.InstanceNumber for ds in client.retrieve_study(**study)] == [1, 2]
    series = uids("MR_small.dcm")
    del series["sop_instance_uid"]
    any_syntax = (("application/dicom", "*"),)
    assert len(client.retrieve_series(**series, media_types=any_syntax)) == 2
    assert len(list(client.iter_series(**series))) == 2


def test_an_instance_is_the_same_file(client):
    ours = client.retrieve_instance(**uids("JPEG2000.dcm"), media_types=(("application/dicom", "*"),))
    out = io.BytesIO()
    dcmwrite(out, ours)
    again = io.BytesIO()
    dcmwrite(again, pydicom.dcmread(sample("JPEG2000.dcm")))
    assert out.getvalue() == again.getvalue()


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "rtdose.dcm", "JPEG2000.dcm", "waveform_ecg.dcm"])
def test_metadata_can_be_read_back(client, name):
    names = uids(name)
    metadata = client.retrieve_instance_metadata(**names)
    ds = pydicom.Dataset.from_json(metadata, bulk_data_uri_handler=lambda _: b"")
    original = pydicom.dcmread(sample(name))
    compared = 0
    for element in original:
        if element.VR not in ("SQ", "DS", "FL", "FD", "PN", "OB", "OW", "UN") and element.tag != 0x00080005:
            assert ds[element.tag].value == element.value or not element.value, element.tag
            compared += 1
    assert compared > 20
    assert len(client.retrieve_study_metadata(names["study_instance_uid"])) >= 1


def test_frames_native_and_stored(client):
    dose = pydicom.dcmread(sample("rtdose.dcm"))
    frames = client.retrieve_instance_frames(**uids("rtdose.dcm"), frame_numbers=[2, 1])
    assert frames == [dose.pixel_array[1].tobytes(), dose.pixel_array[0].tobytes()]
    jpeg = pydicom.dcmread(sample("JPEG2000.dcm"))
    names = {**uids("JPEG2000.dcm"), "frame_numbers": [1]}
    stored = [next(generate_frames(jpeg.PixelData))]
    assert client.retrieve_instance_frames(**names, media_types=((OCTETS, "*"),)) == stored
    assert client.retrieve_instance_frames(**names, media_types=("image/jp2",)) == stored
    assert client.retrieve_instance_frames(**names) == [jpeg.pixel_array.tobytes()]
    assert list(client.iter_instance_frames(**names, media_types=("*/*",))) == [jpeg.pixel_array.tobytes()]


def test_bulk_data_whole_and_in_part(client):
    metadata = client.retrieve_instance_metadata(**uids("waveform_ecg.dcm"))
    uri = metadata["54000100"]["Value"][0]["54001010"]["BulkDataURI"]
    value = pydicom.dcmread(sample("waveform_ecg.dcm")).WaveformSequence[0].WaveformData
    assert client.retrieve_bulkdata(uri) == [value]
    assert client.retrieve_bulkdata(uri, byte_range=(10, 19)) == [value[10:20]]
    assert client.retrieve_bulkdata(uri, media_types=(OCTETS,)) == [value]


def test_what_no_other_test_calls(archive, tmp_path):
    """Where a new version of the client has a new method, this fails until a test calls it."""
    changes = {"StudyInstanceUID": "1.2.4.1", "SeriesInstanceUID": "1.2.4.2"}
    for number in (1, 2, 3):
        publish(archive, "CT_small.dcm", SOPInstanceUID=f"1.2.4.2.{number}", InstanceNumber=number, **changes)
    names = ["1.2.4.1", "1.2.4.2", "1.2.4.2.1"]
    with live(archive) as url:
        client = DICOMwebClient(url=url)
        client.set_chunk_size(100_000)
        client.set_http_retry_params(retry=False)
        assert [ds.InstanceNumber for ds in client.iter_study(names[0])] == [1, 2, 3]
        metadata = client.retrieve_series_metadata(*names[:2])
        assert [one["00200013"]["Value"] for one in metadata] == [[1], [2], [3]]
        pixels = pydicom.dcmread(sample("CT_small.dcm")).PixelData
        assert list(client.iter_bulkdata(metadata[0]["7FE00010"]["BulkDataURI"])) == [pixels]
        assert client.lookup_keyword(client.lookup_tag("PatientID")) == "PatientID"
        stored = client.store_instances([client.retrieve_instance(*names)])
        assert stored.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == names[2]
        client.delete_instance(*names)
        assert len(client.search_for_instances(names[0])) == 2
        client.delete_series(*names[:2])
        assert client.search_for_studies(search_filters={"StudyInstanceUID": names[0]}) == []
        publish(
            archive, "MR_small.dcm", SOPInstanceUID="1.2.5.3", StudyInstanceUID="1.2.5.1", SeriesInstanceUID="1.2.5.2"
        )
        client.delete_study("1.2.5.1")
        assert client.search_for_instances("1.2.5.1") == []
    called = re.findall(r"client\.(\w+)\(", Path(__file__).read_text())
    assert {name for name in dir(DICOMwebClient) if not name.startswith("_")} == set(called)


def test_rendered(client):
    names = uids("CT_small.dcm")
    assert client.retrieve_instance_rendered(**names)[:2] == b"\xff\xd8"
    assert client.retrieve_instance_rendered(**names, media_types=("image/png",))[:4] == b"\x89PNG"
    frame = client.retrieve_instance_frames_rendered(**names, frame_numbers=[1], media_types=("image/jpeg",))
    assert frame[:2] == b"\xff\xd8"
    array = client.retrieve_series_rendered(
        names["study_instance_uid"], names["series_instance_uid"], media_types=("image/jpeg",)
    )
    assert np.frombuffer(array[:2], np.uint8).tolist() == [255, 216]
