"""dicomweb-client of npm, which viewers in browsers are built on, in Chromium against a running server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chromium import page
from dicomweb_archive import app_over, publish, sample, serving
from flask import send_file
from programs import need, wait_for
from pydicom import dcmread

from lethe.storage.archive import Archive

SCRIPT = Path(__file__).resolve().parents[1] / ".bench/js/node_modules/dicomweb-client/build/dicomweb-client.js"
CALLS = """
const client = new DICOMwebClient.api.DICOMwebClient({url: location.origin + '/dicom-web'});
const [study, series, sop] = UIDS;
const one = {studyInstanceUID: study, seriesInstanceUID: series, sopInstanceUID: sop};
const many = {studyInstanceUID: study, seriesInstanceUID: series};
const size = body => body.byteLength ?? body.length ?? body.size;
const first = ([body]) => new Uint8Array(body)[0];
const calls = {
    studies: async () => (await client.searchForStudies()).length,
    byName: async () => (await client.searchForStudies({queryParams: {PatientID: '1CT1'}})).length,
    series: async () => (await client.searchForSeries({studyInstanceUID: study})).length,
    instances: async () => (await client.searchForInstances(many)).length,
    studyMetadata: async () => (await client.retrieveStudyMetadata({studyInstanceUID: study})).length,
    seriesMetadata: async () => (await client.retrieveSeriesMetadata(many)).length,
    metadata: async () => (await client.retrieveInstanceMetadata(one))[0]['00080018'].Value[0],
    instance: async () => size(await client.retrieveInstance(one)),
    wholeSeries: async () => (await client.retrieveSeries(many)).map(size),
    wholeStudy: async () => (await client.retrieveStudy({studyInstanceUID: study})).map(size),
    frames: async () => (await client.retrieveInstanceFrames({...one, frameNumbers: [1]})).map(size),
    rendered: async () => first(await client.retrieveInstanceRendered(
        {...one, mediaTypes: [{mediaType: 'image/png'}]})),
    renderedFrame: async () => first(await client.retrieveInstanceFramesRendered(
        {...one, frameNumbers: [1], mediaTypes: [{mediaType: 'image/jpeg'}]})),
    frameThumbnail: async () => first(await client.retrieveInstanceFramesThumbnail(
        {...one, frameNumbers: [1], mediaTypes: [{mediaType: 'image/png'}]})),
    wadoUri: async () => size(await (await fetch(new DICOMwebClient.api.DICOMwebClient(
        {url: location.origin + '/wado'}).buildInstanceWadoURIUrl(one))).arrayBuffer()),
    stored: async () => JSON.parse(await client.storeInstances({datasets: [await client.retrieveInstance(one)]}))
        ['00081199'].Value[0]['00081155'].Value[0],
    thumbnail: async () => first(await client.retrieveInstanceThumbnail(
        {...one, mediaTypes: [{mediaType: 'image/jpeg'}]})),
    bulkdata: async () => (await client.retrieveBulkData({BulkDataURI:
        `${location.origin}/dicom-web/studies/${study}/series/${series}/instances/${sop}/bulkdata/7FE00010`
    })).map(size),
};
(async () => {
    const found = {};
    for (const [name, call] of Object.entries(calls))
        found[name] = await call().catch(error => `failed: ${error.status} ${error.message}`);
    const methods = Object.getOwnPropertyNames(DICOMwebClient.api.DICOMwebClient.prototype);
    found.uncalled = methods.filter(name => /^[a-z]/.test(name) && !CALLS.includes(`.${name}(`));
    window.found = JSON.stringify(found);
})();
"""


@contextmanager
def served(archive: Archive) -> Iterator[str]:
    """The service, and a page beside it that has the client."""
    app = app_over(archive)
    app.add_url_rule("/client.js", "client", lambda: send_file(SCRIPT, mimetype="text/javascript"))
    app.add_url_rule("/", "page", lambda: '<!doctype html><script src="/client.js"></script>')
    with serving(app, archive) as root:
        yield root


@pytest.mark.peer
def test_every_method(tmp_path: Path) -> None:
    need("chromium")
    if not SCRIPT.is_file():
        pytest.skip("not installed: npm install --prefix .bench/js dicomweb-client@0.11.3")
    archive = Archive(tmp_path / "data")
    entry = publish(archive, "CT_small.dcm")
    publish(archive, "MR_small.dcm")
    with served(archive) as url, page(tmp_path) as shown:
        shown.visit(url)
        uids = json.dumps([entry.study_uid, entry.series_uid, entry.sop_uid])
        shown.value(f"const CALLS = {json.dumps(CALLS)};\n{CALLS.replace('UIDS', uids)}")
        wait_for(lambda: shown.value("window.found"), what="the client is through")
        found = json.loads(shown.value("window.found"))
    whole, pixels = entry.size, len(dcmread(sample("CT_small.dcm")).PixelData)
    assert found == {
        "studies": 2,
        "byName": 1,
        "series": 1,
        "instances": 1,
        "studyMetadata": 1,
        "seriesMetadata": 1,
        "metadata": entry.sop_uid,
        "instance": whole,
        "wholeSeries": [whole],
        "wholeStudy": [whole],
        "frames": [pixels],
        "rendered": 0x89,
        "renderedFrame": 0xFF,
        "frameThumbnail": 0x89,
        "wadoUri": whole,
        "stored": entry.sop_uid,
        "thumbnail": 0xFF,
        "bulkdata": [pixels],
        "uncalled": ["constructor", "setDebug", "getDebug", "setVerbose", "getVerbose"],
    }
