"""The whole way of query and retrieval: sent by storescu, cleaned, found and fetched by DCMTK and by Orthanc."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
import requests
from builders import PHI, ct, saved
from programs import dcmtk, need, orthanc, running_node, storescp, wait_for

pytestmark = pytest.mark.peer


def test_what_was_cleaned_is_found_and_moved_and_its_original_is_not(tmp_path: Path) -> None:
    need("storescu", "findscu", "movescu", "getscu")
    with storescp(tmp_path / "scp") as scp, orthanc(tmp_path / "orthanc") as (dicom, url):
        peers = "".join(
            f'[[peers]]\nname = "{name}"\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n'
            for name, title, port in (("archive", "ARCHIVE", scp), ("orthanc", "ORTHANC", dicom))
        )
        with running_node(tmp_path / "node", peers) as node:
            to = ("-aec", "LETHE", "127.0.0.1", str(node.dicom))
            original = ct()
            assert dcmtk("storescu", *to, str(saved(original, tmp_path))).returncode == 0
            node.settle()
            said = dcmtk(
                "findscu", "-v", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID", "-k", "PatientName", *to
            )
            assert (said.stdout + said.stderr).count("Find Response:") == 1
            assert not [value for value in PHI.values() if value in said.stdout + said.stderr]
            for key in (f"PatientID={original.PatientID}", f"StudyInstanceUID={original.StudyInstanceUID}"):
                said = dcmtk("findscu", "-v", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", key, *to)
                assert "Find Response:" not in said.stdout + said.stderr

            modality = {"AET": "LETHE", "Host": "127.0.0.1", "Port": node.dicom}
            assert requests.put(f"{url}/modalities/lethe", json=modality, timeout=30).ok
            query = {"Level": "Study", "Query": {"PatientID": "*", "ModalitiesInStudy": "CT"}}
            answer = requests.post(f"{url}/modalities/lethe/query", json=query, timeout=30).json()
            answers = requests.get(f"{url}/queries/{answer['ID']}/answers?expand&simplify", timeout=30).json()
            assert len(answers) == 1
            assert requests.post(f"{url}/queries/{answer['ID']}/retrieve", data="ORTHANC", timeout=60).ok
            wait_for(lambda: requests.get(f"{url}/statistics", timeout=30).json()["CountInstances"] == 1)

            study = answers[0]["StudyInstanceUID"]
            keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
            said = dcmtk("movescu", "-v", "-S", "-aem", "ARCHIVE", *keys, *to)
            assert "Received Final Move Response (Success)" in said.stdout + said.stderr
            (tmp_path / "got").mkdir()
            assert dcmtk("getscu", "-S", "-od", str(tmp_path / "got"), *keys, *to).returncode == 0
            for folder in ("scp", "got"):
                (path,) = (tmp_path / folder).iterdir()
                ds = pydicom.dcmread(path)
                assert ds.StudyInstanceUID == study != original.StudyInstanceUID
                assert ds.PixelData == original.PixelData
            assert "Traceback" not in node.log.read_text()
            exported = node.lethe("audit", "export").stdout
            assert '"found"' in exported
            assert '"moved"' in exported
            assert '"got"' in exported
