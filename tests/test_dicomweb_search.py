"""QIDO-RS over a real archive (PS3.18 10.6): behaviours 40 to 91 of the checklist."""

from __future__ import annotations

import json
import zlib

import pytest
from dicomweb_archive import app_over, publish
from pydicom.dataset import Dataset

from lethe.dicomweb import qido
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor

ROOT = "http://node.test/dicom-web"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("search"))
    names = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Анна^Müller"}
    publish(archive, "CT_small.dcm", StudyID="", AccessionNumber="50%_[x]", **names)
    publish(
        archive, "MR_small.dcm", PatientName="Doe^Jane", StudyDate="20200105", AccessionNumber="A-1", PatientSex="F"
    )
    same = {"PatientName": "Doe^Jane", "StudyDate": "20200105", "AccessionNumber": "A-1", "PatientSex": "F"}
    for number in (2, 3, 10):
        publish(archive, "MR_small.dcm", SOPInstanceUID=f"1.2.3.{number}", InstanceNumber=number, **same)
    publish(archive, "rtdose.dcm", SOPInstanceUID="1.9.1", Modality="")
    publish(archive, "test-SR.dcm")
    yield archive
    archive.close()


@pytest.fixture
def get(archive):
    client = app_over(archive).test_client()

    def get(path: str, **headers: str):
        return client.get(f"/dicom-web{path}", headers={key.replace("_", "-"): value for key, value in headers.items()})

    return get


def values(response, tag: str) -> list:
    assert response.status_code == 200, response.text
    assert response.content_type == "application/dicom+json"
    return [(result[tag].get("Value") or [None])[0] for result in response.json]


def names(response) -> list[str]:
    return [] if response.status_code == 204 else [name and name["Alphabetic"] for name in values(response, "00100010")]


def mr(archive):
    return archive.index.instance("1.2.3.2")


def test_a_study_has_its_required_attributes_known_or_not(get):
    result = get("/studies?PatientName=Анна^Müller").json[0]
    assert list(result) == sorted(result)
    required = "00080020 00080030 00080050 00080061 00080090 00100010 00100020 00100030 00100040 0020000D 00200010"
    assert {*required.split(), "00201206", "00201208", "00081190"} <= set(result)
    assert result["00200010"] == {"vr": "SH"}
    assert result["00201206"] == {"vr": "IS", "Value": [1]}
    assert result["00081190"]["Value"] == [f"{ROOT}/studies/{result['0020000D']['Value'][0]}"]
    assert not {"00080018", "0020000E", "00080060"} & set(result)
    assert result.get("00080005", {"Value": ["ISO_IR 192"]})["Value"] == ["ISO_IR 192"]


def test_a_study_without_modality_has_an_empty_list_of_them(get):
    results = get("/studies").json
    assert {"vr": "CS", "Value": []} in [result["00080061"] for result in results]


def test_series_and_instances_have_theirs(get, archive):
    entry = mr(archive)
    series = get(f"/studies/{entry.study_uid}/series").json
    assert len(series) == 1
    assert {"00080060", "0008103E", "0020000E", "00200011", "00201209", "0020000D"} <= set(series[0])
    assert "00100010" not in series[0]
    assert series[0]["00201209"]["Value"] == [4]
    instances = get(f"/studies/{entry.study_uid}/series/{entry.series_uid}/instances").json
    assert [result["00200013"]["Value"][0] for result in instances] == [1, 2, 3, 10]
    assert {"00080016", "00080018", "00200013", "0020000D", "0020000E", "00280010", "00280100"} <= set(instances[0])
    assert not {"00100010", "00201209"} & set(instances[0])
    for result in instances:
        url = result["00081190"]["Value"][0]
        assert url.endswith(f"/instances/{result['00080018']['Value'][0]}")
        assert get(url.removeprefix(ROOT)).status_code == 200


def test_a_keyword_in_any_case_is_a_key_and_never_passed_over(get):
    for name in ("PatientID", "patientID", "patientid", "PATIENTID"):
        assert get(f"/studies?{name}=nobody").status_code == 204
    assert len(get("/instances?rows=64&includefield=columns").json) == 4
    assert len(get("/studies?_=1&access_token=x&status=y").json) == len(get("/studies").json)


def test_an_offset_from_utc_is_told_at_every_level(archive, get):
    publish(archive, "CT_small.dcm", SOPInstanceUID="1.2.3.77", SeriesInstanceUID="1.2.3.7", StudyInstanceUID="1.2.3.6",
            TimezoneOffsetFromUTC="+0100")  # fmt: skip
    try:
        for path in ("/studies?StudyInstanceUID=1.2.3.6", "/studies/1.2.3.6/series", "/studies/1.2.3.6/instances",
                     "/studies/1.2.3.6/series/1.2.3.7/instances"):  # fmt: skip
            assert values(get(path), "00080201") == ["+0100"], path
    finally:
        archive.delete("1.2.3.6", actor=Actor("somebody"))


def test_a_key_of_a_lower_level_is_given_back(get):
    assert values(get("/studies?Rows=64"), "00280010") == values(get("/series?Rows=64"), "00280010") == [64]
    assert values(get("/studies?PhotometricInterpretation=MONOCHROME2&Rows=64"), "00280004") == ["MONOCHROME2"]


def requests(*items: tuple[str, str]) -> list[Dataset]:
    found = []
    for step, procedure in items:
        item = Dataset()
        item.ScheduledProcedureStepID, item.RequestedProcedureID, item.RequestedProcedureDescription = (
            step,
            procedure,
            "x",
        )
        found.append(item)
    return found


def test_of_a_sequence_what_matches_is_given_back(archive, get):
    uids = {"SOPInstanceUID": "1.2.3.88", "SeriesInstanceUID": "1.2.3.8", "StudyInstanceUID": "1.2.3.9"}
    items = requests(("S1", "R1"), ("S2", "R2"))
    publish(archive, "CT_small.dcm", RequestAttributesSequence=items, ReferencedImageSequence=[], **uids)
    try:
        for path in ("/instances", "/series", "/studies", "/studies/1.2.3.9/instances", "/studies/1.2.3.9/series"):
            (item,) = get(f"{path}?RequestAttributesSequence.ScheduledProcedureStepID=S1").json[0]["00400275"]["Value"]
            assert {tag: one["Value"] for tag, one in item.items()} == {"00400009": ["S1"], "00401001": ["R1"]}, path
            asked = "RequestAttributesSequence.RequestedProcedureDescription=x"
            two = get(f"{path}?{asked}").json[0]["00400275"]["Value"]
            assert [sorted(item) for item in two] == [["00321060", "00400009", "00401001"]] * 2
            whole = get(f"{path}?RequestAttributesSequence.RequestedProcedureID=R2&includefield=all").json[0]
            assert len(whole["00400275"]["Value"]) == 2
    finally:
        archive.delete("1.2.3.9", actor=Actor("somebody"))


def test_a_private_key_is_given_back_at_every_level(get):
    key = "00090010=GEMS_IDEN_01&00091001=GE_GENESIS_FF"
    for path in ("/studies", "/series", "/instances"):
        (result,) = get(f"{path}?{key}").json
        assert result["00090010"]["Value"] == ["GEMS_IDEN_01"]
        assert result["00091001"]["Value"] == ["GE_GENESIS_FF"]


def test_a_search_that_would_read_too_much_says_so(get, monkeypatch):
    monkeypatch.setattr("lethe.storage.selection.MOST_READ", 2)
    response = get("/instances?Rows=64")
    assert response.status_code == 413
    assert "ask for a study" in response.json["error"]


def test_a_star_is_no_number_and_no_date(get):
    for key in ("Rows", "AcquisitionNumber", "AcquisitionDate", "ContentTime", "InstanceNumber", "StudyDate"):
        assert get(f"/instances?{key}=*").status_code == 400, key
    assert len(get("/instances?Manufacturer=*").json) == 7


def test_relational_searches_add_the_levels_above(get, archive):
    entry = mr(archive)
    assert "00100010" in get("/series").json[0]
    assert "00100010" in get(f"/series?StudyInstanceUID={entry.study_uid}").json[0]
    everything = get("/instances").json
    assert len(everything) == 7
    assert {"00100010", "00080060", "00080018"} <= set(everything[0])
    of_study = get(f"/studies/{entry.study_uid}/instances").json
    assert len(of_study) == 4
    assert "00080060" in of_study[0]
    assert "00100010" not in of_study[0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PatientName=doe^jane", 1),
        ("PatientName=D%2A", 1),
        ("PatientName=d*", 1),
        ("00100010=D?e^*", 1),
        ("PatientName=D?", 0),
        ("PatientName=анна*", 1),
        ("PatientName=*", 4),
        ("PatientName=", 4),
        ("AccessionNumber=50%25_[x]", 1),
        ("AccessionNumber=50%25*", 1),
        ("AccessionNumber=*[x]", 1),
        ("AccessionNumber=%25", 0),
        ("AccessionNumber=A_1", 0),
        ("StudyDate=20200105", 1),
        ("StudyDate=20200101-20201231", 1),
        ("StudyDate=20200105-", 1),
        ("StudyDate=20200106-20200107", 0),
        ("StudyDate=-20200105", 3),
        ("StudyDate=20200104-20200105&StudyTime=2300-2200", 1),
        ("StudyDate=20200105-20200106&StudyTime=2300-2200", 0),
        ("SeriesDate=19970429-19970430&SeriesTime=1200-1130", 1),
        ("SeriesDate=19970430-19970501&SeriesTime=1200-1130", 0),
        ("ModalitiesInStudy=MR", 1),
        ("ModalitiesInStudy=CT%5CMR", 2),
        ("Modality=SR", 1),
        ("StudyDate=20200105&PatientSex=M", 0),
        ("StudyDate=20200105&PatientSex=F", 1),
        ("SOPInstanceUID=1.2.3.2", 1),
        ("_=123&access_token=x&orderby=y&X-Signature=1", 4),
        ("fuzzymatching=false&PatientSex=F", 1),
        ("InstanceAvailability=ONLINE", 4),
        ("InstanceAvailability=O*", 4),
        ("00080056=OFFLINE%5CONLINE", 4),
        ("InstanceAvailability=", 4),
        ("InstanceAvailability=OFFLINE", 0),
        ("InstanceAvailability=ONLINE&PatientSex=F", 1),
        ("PatientID=1CT1%20", 1),
        ("PatientID=%201CT1", 1),
        ("PatientName=%20doe^jane%20", 1),
        ("ModalitiesInStudy=CT%20", 1),
        ("ModalitiesInStudy=CT%20%5C%20MR", 2),
        ("Manufacturer=%20GE*%20", 1),
        ("PatientID=%5C1CT1", 1),
        ("RetrieveURL=", 4),
        ("SpecificCharacterSet=ISO_IR%20100", 4),
        ("includefield=", 4),
        ("includefield=,&limit=", 4),
        ("includefield=RequestAttributesSequence.ScheduledProcedureStepID", 4),
    ],
)
def test_matching(get, query, found):
    response = get(f"/studies?{query}")
    assert response.status_code == (200 if found else 204), response.text
    if found:
        assert len(response.json) == found, names(response)
    else:
        assert response.data == b""


def test_lists_of_uids_with_comma_and_backslash_and_of_any_length(get, archive):
    ids = [entry["0020000D"]["Value"][0] for entry in get("/studies").json]
    assert len(get(f"/studies?StudyInstanceUID={ids[0]},{ids[2]}").json) == 2
    assert len(get(f"/studies?0020000d={ids[0]}%5C{ids[1]}").json) == 2
    many = ",".join([f"1.2.840.99999.{number}" for number in range(200)] + [ids[3]])
    assert len(get(f"/studies?StudyInstanceUID={many}").json) == 1


@pytest.mark.parametrize(
    "query",
    [
        "PatientID=" + "%5C".join(map(str, range(40))),
        "NotAKeyword=1",
        "0010001=x",
        "(0010,0010)=x",
        "StudyDate=yesterday",
        "StudyDate=-",
        "StudyDate=*",
        "StudyDate=20041340",
        "StudyTime=25",
        "StudyInstanceUID=nope",
        "StudyInstanceUID=*",
        "StudyInstanceUID=,",
        "limit=-1",
        "limit=x",
        "limit=1&limit=2",
        "offset=-1",
        "offset=1.5",
        "includefield=NotAKeyword",
        "PatientID=a&PatientID=b",
        "PatientID=a&00100020=a",
        "Rows=many",
        "00091001=x",
        "RequestAttributesSequence=x",
        "PatientID.RequestedProcedureID=x",
        "RequestAttributesSequence.NotAKeyword=x",
        "NumberOfStudyRelatedInstances=one",
        "NumberOfPatientRelatedStudies=1",
        "RetrieveURL=x",
        "RequestAttributesSequence.=1",
        "RequestAttributesSequence..ScheduledProcedureStepID=1",
        "includefield=RequestAttributesSequence.",
        "includefield=RequestAttributesSequence.NotAKeyword",
        "includefield=NotASequence.PatientID",
        "includefield=PatientID.StudyID",
        "SeriesNumber=one",
    ],
)
def test_what_is_malformed_or_cannot_be_searched_for_is_refused_without_an_echo(get, query):
    response = get(f"/studies?{query}<script>")
    if response.status_code == 200:
        response = get(f"/studies?{query}")
    assert response.status_code == 400, response.text
    assert response.content_type == "application/json"
    assert "script" not in response.text
    assert "nope" not in response.text
    assert response.json["error"]


@pytest.mark.parametrize("value", ["%5C", "%5C%5C", "%20", "%5C%20%5C"])
def test_a_value_of_nothing_that_counts_is_not_taken_for_universal(get, value):
    response = get(f"/studies?PatientID={value}")
    assert response.status_code == 400
    assert "PatientID" in response.json["error"]


def test_blanks_at_the_ends_of_a_key_do_not_count_at_any_level(get):
    assert len(get("/series?Modality=MR%20").json) == 1
    assert len(get("/instances?ImageType=ORIGINAL%20&Modality=CT").json) == 1
    assert len(get("/instances?00090010=GEMS_IDEN_01%20&00091001=%20GE_GENESIS*").json) == 1
    assert get("/series?Modality=M%20R").status_code == 204


def test_every_standard_attribute_is_a_key(get):
    assert len(get("/instances?Rows=64").json) == 4
    assert len(get("/series?Rows=64").json) == len(get("/studies?Rows=64").json) == 1
    assert get("/instances?Rows=63").status_code == 204
    assert len(get("/studies?NumberOfStudyRelatedInstances=4").json) == 1
    assert values(get("/studies?SOPClassesInStudy=1.2.840.10008.5.1.4.1.1.4"), "00080062") == [
        "1.2.840.10008.5.1.4.1.1.4"
    ]
    assert values(get("/studies?PatientName=Doe*&includefield=NumberOfPatientRelatedInstances"), "00201204") == [4]


def test_attributes_of_sequences_are_keys_by_their_path(get):
    plan = "ReferencedRTPlanSequence.ReferencedSOPClassUID=1.2.840.10008.5.1.4.1.1.481.5"
    assert len(get(f"/instances?{plan}").json) == len(get(f"/studies?{plan}").json) == 1
    assert get("/instances?ReferencedRTPlanSequence.ReferencedSOPClassUID=1.2.3").status_code == 204
    assert get(f"/instances?{plan}&300C0002.ReferencedSOPInstanceUID=1.2.3").status_code == 204
    title = "ConceptNameCodeSequence.CodeValue=*&ConceptNameCodeSequence.CodeMeaning="
    assert len(get(f"/instances?{title}").json) == len(get("/instances").json)  # universal


def test_pages_are_stable_and_end_with_204(get):
    whole = values(get("/instances"), "00080018")
    assert values(get("/instances"), "00080018") == whole
    pages = [values(get(f"/instances?limit=3&offset={offset}"), "00080018") for offset in (0, 3, 6)]
    assert [uid for page in pages for uid in page] == whole
    assert get("/instances?offset=7").status_code == 204
    assert get("/instances?limit=0").status_code == 204
    assert get(f"/instances?limit={10**30}&offset={10**25}").status_code == 204


def test_more_than_one_answer_holds_is_announced(get, monkeypatch):
    monkeypatch.setattr(qido, "MOST", 2)
    response = get("/studies")
    assert len(response.json) == 2
    assert response.headers["Warning"] == f"299 {ROOT}: There are 2 additional results that can be requested"
    assert "Warning" not in get("/studies?offset=2").headers
    assert "Warning" not in get("/studies?limit=2").headers


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        *(("doe", True), ("Doe^Jane", True), ("jane doe", True), ("JA,do", True), ("*oe^J?n", True), ("j*", True)),
        *(("ane", False), ("doe john", False), ("[d]oe", False), ("d-o-e", False), ("^", False)),
        ('""', False),
    ],
)
def test_fuzzy_matching_takes_words_of_names_by_their_beginnings(get, name, matches):
    response = get(f"/studies?PatientName={name}&FuzzyMatching=True")
    assert ("Doe^Jane" in names(response)) is matches
    assert "Warning" not in response.headers


def test_fuzzy_matching_of_other_names_and_scripts(get):
    assert names(get("/studies?PatientName=muller анн&fuzzymatching=true")) == ["Анна^Müller"]
    assert names(get("/studies?PatientName=Müll&fuzzymatching=true")) == ["Анна^Müller"]
    assert get("/studies?PatientName=Muller&fuzzymatching=false").status_code == 204
    assert len(get("/instances?ReferringPhysicianName=&fuzzymatching=true").json) == 7
    assert names(get("/studies?ContentSequence.PersonName=nobody&fuzzymatching=true")) == []
    assert get("/studies?fuzzymatching=true&PatientName=" + "a%20" * 17).status_code == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("ImageType=OTHER%5CORIGINAL", 5),
        ("ImageType=OTHER%5CORIGINAL&multiplevaluematching=false", 5),
        ("ImageType=OTHER%5CDERIVED&multiplevaluematching=true", 4),
        ("ImageType=OTHER%5CORIGINAL&multiplevaluematching=true", 0),
        ("ImageType=DERIVED&MultipleValueMatching=true", 4),
        ("Modality=MR%5CCT&multiplevaluematching=true", 5),
        ("ModalitiesInStudy=MR%5CCT&multiplevaluematching=true", 0),
        ("ReferencedStudySequence.ReferencedSOPClassUID=1.2%5C1.3&multiplevaluematching=true", 0),
    ],
)
def test_multiple_value_matching_asks_for_all_values_of_what_has_several(get, query, found):
    response = get(f"/instances?{query}")
    assert (len(response.json) if response.status_code == 200 else 0) == found


@pytest.mark.parametrize("more", ["", "&emptyvaluematching=true", "&EmptyValueMatching=true"])
def test_empty_values_are_found_by_two_quotation_marks(get, more):
    empty = [one["0020000D"] for one in get("/studies").json if "Value" not in one["00080050"]]
    assert 0 < len(empty) < len(get("/studies").json)
    assert [one["0020000D"] for one in get(f"/studies?AccessionNumber=%22%22{more}").json] == empty


def test_multiple_value_matching_takes_no_wildcards(get):
    assert get("/instances?ImageType=DER*%5COTHER").status_code == 200
    response = get("/instances?ImageType=DER*%5COTHER&multiplevaluematching=true")
    assert response.status_code == 400
    assert "wildcards" in response.json["error"]


def test_private_attributes_are_keys_beside_their_creators(get, archive):
    assert names(get("/studies?00090010=GEMS_IDEN_01")) == ["Анна^Müller"]
    assert get("/studies?00090010=GEMS_IDEN_02").status_code == 204
    found = get("/instances?00090010=GEMS_IDEN_01&00091001=GE_GENESIS*").json
    assert [result["00091001"]["Value"] for result in found] == [["GE_GENESIS_FF"]]
    elsewhere = get("/instances?00090011=GEMS_IDEN_01&00091101=GE_GENESIS_FF").json
    assert elsewhere == found
    assert found[0]["00090010"]["Value"] == ["GEMS_IDEN_01"]
    assert get("/instances?00090010=ANOTHER&00091001=GE_GENESIS_FF").status_code == 204
    assert get("/studies?00090010=GEMS_IDEN_01&00091001=").status_code == 200


def test_included_fields_and_matching_keys_are_returned(get):
    ohif = get("/studies?limit=101&offset=0&includefield=00081030%2C00080060%2C00080090%2C00100030").json
    assert all("00081030" in result for result in ohif)
    assert all("00080060" not in result for result in ohif)
    named = get("/studies?includefield=StudyDescription&includefield=InstitutionName,00280010").json
    assert all("00081030" in result and "00280010" not in result for result in named)
    assert all("00081030" in result for result in get("/studies?StudyDescription=").json)
    usual, everything = get("/instances").json, get("/instances?includefield=all").json
    assert len(everything[0]) > len(usual[0])


def test_a_key_of_a_lower_level_is_returned_where_it_names_one_value(get):
    (study,) = get("/studies?Modality=CT").json
    assert study["00080060"] == {"vr": "CS", "Value": ["CT"]}
    (series,) = get("/series?SOPInstanceUID=1.2.3.2&Modality=MR").json
    assert series["00080018"] == {"vr": "UI", "Value": ["1.2.3.2"]}
    assert series["00080060"] == {"vr": "CS", "Value": ["MR"]}
    for several in ("C*", "CT%5CMR", "", '""'):
        assert all("00080060" not in result for result in get(f"/studies?Modality={several}").json)


def test_instances_can_include_sequences_and_private_elements(get):
    results = get("/instances?Modality=SR&includefield=0040A730").json
    assert results[0]["0040A730"]["vr"] == "SQ"
    assert results[0]["0040A730"]["Value"]
    private = get("/instances?Modality=CT&includefield=00431040").json[0]
    assert private["00431040"]["vr"] == "FL"
    assert private["00430010"]["Value"] == ["GEMS_PARM_01"]


def test_instances_tell_the_transfer_syntax_they_can_be_had_in(get, archive):
    url = f"/studies/{mr(archive).study_uid}/instances"
    assert "00083002" not in get(url).json[0]
    for field in ("AvailableTransferSyntaxUID", "all"):
        assert values(get(f"{url}?includefield={field}"), "00083002")[0] == "1.2.840.10008.1.2.1"
    assert get("/instances?AvailableTransferSyntaxUID=1.2.840.10008.1.2.1").status_code == 400


def test_media_types_of_results(get):
    assert get("/studies", Accept="application/json").content_type == "application/dicom+json"
    assert get("/studies?accept=application/json", Accept="text/html").status_code == 200
    assert get("/studies?accept=application/dicom+json", Accept="text/html").status_code == 200
    assert get("/studies", Accept="image/png").status_code == 406
    assert get("/studies", Accept='multipart/related; type="application/dicom"').status_code == 406
    deflated = get("/studies", Accept_Encoding="deflate, gzip;q=0")
    assert deflated.headers["Content-Encoding"] == "deflate"
    assert "Content-Encoding" not in get("/studies", Accept_Encoding="gzip;q=0.5, identity").headers
    assert get("/studies", Accept="application/dicom+json;q=0, */*").mimetype == "multipart/related"
    assert json.loads(zlib.decompress(deflated.data)) == get("/studies").json
    packed = get("/studies", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.data[:2] == b"\x1f\x8b"


def test_a_parent_that_is_malformed_is_400_and_one_that_is_unknown_has_no_results(get, archive):
    assert get("/studies/nope/series").status_code == 400
    assert get("/studies/1.2.3.4.5/series").status_code == 204
    other = archive.index.instance("1.9.1")
    assert get(f"/studies/{mr(archive).study_uid}/series/{other.series_uid}/instances").status_code == 204
