"""What a route matches on, and what becomes of what no route matches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pydicom
import pytest
from builders import bundled, ct, saved
from pydicom.dataset import Dataset

from lethe.node.config import Config
from lethe.node.config_file import load_config
from lethe.node.projects import projects_of
from lethe.node.routing import Router
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.intake import Arrival, Origin, Plan
from lethe.storage.jobs import Stage, State
from lethe.storage.query import Level, Query

FRIDAY_NOON = datetime.fromisoformat("2026-11-27T12:00").timestamp()
Planned = Callable[..., Plan]


def configured(tmp_path: Path, routes: str, *, projects: str = "[projects.trial]\n[projects.other]\n") -> Config:
    path = tmp_path / "config.toml"
    path.write_text(projects + routes, encoding="utf-8")
    return load_config(path)


def route(condition: str, *, project: str = "trial", source: str = "*") -> str:
    return f'[[routes]]\nfrom = "{source}"\nproject = "{project}"\n{condition}\n'


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """What a configuration of routes makes of an object."""

    def planned(routes: str, ds: pydicom.FileDataset | None = None, origin: Origin | None = None) -> Plan:
        path = saved(ds if ds is not None else scan(), tmp_path)
        arrival = Arrival(origin or Origin("CT01", "192.0.2.7", "LETHE"), path, FRIDAY_NOON)
        return Router(configured(tmp_path, routes)).plan(arrival)

    return planned


def scan() -> pydicom.FileDataset:
    ds = ct()
    ds.Modality, ds.StationName, ds.BodyPartExamined = "CT", "WARD7", "CHEST"
    ds.InstitutionName = "Süd Clinic"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    item = Dataset()
    item.RequestedProcedureID = "T-17"
    ds.RequestAttributesSequence = [Dataset(), item]
    return ds


@pytest.mark.parametrize(
    ("matches", "does_not"),
    [
        ('modality = "CT"', 'modality = "MR"'),
        ('modality = ["MR", "ct"]', 'modality = ["MR", "C"]'),
        ('sop_class = "CTImageStorage"', 'sop_class = "MRImageStorage"'),
        ('sop_class = "1.2.840.10008.5.1.4.1.1.2"', 'sop_class = "1.2.840.10008.5.1.4.1.1.88.*"'),
        ('sop_class = "1.2.840.10008.5.1.4.1.1.*"', 'sop_class = "1.2.840.10008.5.1.4.1.1"'),
        ('station = "ward*"', 'station = "WARD"'),
        ('station = "WARD?"', 'station = "WARD??"'),
        ('called = "LETHE"', 'called = "TRIAL"'),
        ('called = "L*"', 'called = "l*"'),
        ('address = "192.0.2.7"', 'address = "192.0.2.8"'),
        ('address = ["10.0.0.0/8", "192.0.2.0/24"]', 'address = "2001:db8::/32"'),
        ('hours = "07:00-19:00"', 'hours = "19:00-07:00"'),
        ('days = "mon-fri"', 'days = ["sat", "sun"]'),
        ('where = { BodyPartExamined = "CHEST" }', 'where = { BodyPartExamined = "HEAD" }'),
        ('where = { "0018,0015" = ["HEAD", "CH*"] }', 'where = { "(0018,0015)" = "HE*" }'),
        ('where = { InstitutionName = "süd*" }', 'where = { InstitutionName = "nord*" }'),
        ('where = { ImageType = "AXIAL" }', 'where = { ImageType = "LOCALIZER" }'),
        (
            'where = { "RequestAttributesSequence.RequestedProcedureID" = "T-*" }',
            'where = { "RequestAttributesSequence.ScheduledProcedureStepID" = "*" }',
        ),
        ('where = { RequestAttributesSequence = "*", Modality = "CT" }', 'where = { PatientComments = "*" }'),
    ],
)
def test_a_route_matches_on_what_it_says(planned: Planned, matches: str, does_not: str) -> None:
    if "RequestAttributesSequence =" not in matches:  # a sequence itself has no value to match
        assert planned(route(matches)).projects == ("trial",)
    assert planned(route(does_not)).projects == ()


@pytest.mark.parametrize(
    ("source", "expected"), [("CT0?", True), ("CT*", True), ("CT01", True), ("ct01", False), ("MR*", False)]
)
def test_the_source_is_a_pattern_too(planned: Planned, source: str, expected: bool) -> None:
    assert bool(planned(route("", source=source)).projects) is expected


def test_every_key_has_to_match_and_every_route_that_matches_applies(planned: Planned) -> None:
    routes = (
        route('modality = "CT"\nstation = "WARD7"')
        + route('modality = "CT"\nstation = "WARD8"', project="other")
        + route('where = { BodyPartExamined = "CHEST" }', project="other")
        + route("", source="CT01")
    )
    assert planned(routes).projects == ("trial", "other")


def test_what_no_route_matches_is_held_with_what_kept_it(planned: Planned) -> None:
    routes = route("", source="MR01") + route('called = "LETHE"\nmodality = "MR"') + route('called = "TRIAL"')
    plan = planned(routes)
    assert plan.projects == ()
    assert plan.handling.reason == "no route matches; number 2 does but for its modality"
    assert planned(route("", source="MR01")).handling.reason == "no route matches its source"
    said = planned(route('where = { InstitutionName = "NORTH" }')).handling.reason
    assert said == "no route matches; number 1 does but for its InstitutionName"


def test_an_address_over_ipv6_is_known_as_what_it_is(planned: Planned) -> None:
    origin = Origin("CT01", "::ffff:192.0.2.7")
    assert planned(route('address = "192.0.2.0/24"'), origin=origin).projects == ("trial",)
    assert planned(route('address = "192.0.2.0/24"'), origin=Origin("upload")).projects == ()


def test_the_header_is_not_read_where_no_route_asks(tmp_path: Path) -> None:
    arrival = Arrival(Origin("CT01"), tmp_path / "there is no such file", FRIDAY_NOON)
    assert Router(configured(tmp_path, route(""))).plan(arrival).projects == ("trial",)
    assert Router(configured(tmp_path, route('modality = "CT"'))).plan(arrival).projects == ()


def test_a_router_looks_anew_at_whatever_its_routes_ask_about(tmp_path: Path) -> None:
    ward, mr = saved(scan(), tmp_path), scan()
    mr.Modality = "MR"
    there, noon, midnight = Origin("CT01", "192.0.2.7", "LETHE"), FRIDAY_NOON, FRIDAY_NOON + 12 * 3600
    arrivals = {
        "the first": Arrival(there, ward, noon),
        "the same again": Arrival(there, ward, noon),
        "later": Arrival(there, ward, midnight),
        "another scan": Arrival(there, saved(mr, tmp_path), noon),
        "another source": Arrival(replace(there, source="MR01"), ward, noon),
        "another address": Arrival(replace(there, address="192.0.2.8"), ward, noon),
        "another title": Arrival(replace(there, called="TRIAL"), ward, noon),
    }
    for condition, held in (
        ("", set()),
        ('called = "LETHE"', {"another title"}),
        ('address = "192.0.2.7"', {"another address"}),
        ('hours = "07:00-19:00"', {"later"}),
        ('modality = "CT"', {"another scan"}),
    ):
        router = Router(configured(tmp_path, route(condition, source="CT01")))
        plans = {name: router.plan(arrival).projects for name, arrival in arrivals.items()}
        assert {name for name, projects in plans.items() if projects != ("trial",)} == held | {"another source"}


@pytest.mark.parametrize("name", ["image_dfl.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "rtplan.dcm"])
def test_every_encoding_is_read(planned: Planned, name: str) -> None:
    ds = bundled(name)
    assert planned(route(f'modality = "{ds.Modality}"'), ds).projects == ("trial",)
    assert planned(route('modality = "XX"'), ds).projects == ()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_private_attributes_match_in_every_encoding(planned: Planned, syntax: str) -> None:
    ds = scan()
    ds.file_meta.TransferSyntaxUID = syntax
    block = ds.private_block(0x0031, "ACME", create=True)
    block.add_new(0x01, "LO", ["Süd", "Nord"])
    within = Dataset()
    within.private_block(0x0031, "ACME", create=True).add_new(0x02, "SH", "inner")
    ds.RequestAttributesSequence = [within]
    siemens = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)  # dictionaries have this creator
    siemens.add_new(0x0A, "US", 64)
    mosaic = f"{siemens.get_tag(0x0A):08X}"
    for where in ('"0031,1001" = "süd"', '"0031,1001" = "NOR?"', f'"{mosaic}" = "64"', '"0040,0275.0031,1002" = "in*"'):
        assert planned(route(f"where = {{ {where} }}"), ds).projects == ("trial",), where
    for where in ('"0031,1001" = "west"', '"0031,1101" = "*"', f'"{mosaic}" = "6"'):
        assert planned(route(f"where = {{ {where} }}"), ds).projects == (), where


def test_a_value_of_unknown_vr_is_matched_as_text(planned: Planned) -> None:
    ds = scan()
    ds.private_block(0x0031, "ACME", create=True).add_new(0x01, "UN", b"WARD7\\X ")
    assert planned(route('where = { "0031,1001" = "ward7" }'), ds).projects == ("trial",)
    assert planned(route('where = { "0031,1001" = "ward" }'), ds).projects == ()


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda data: data[:200],
        lambda data: data.replace(b"CS\x02\x00CT", b"CS\xff\xffCT"),
        lambda data: b"no DICOM at all",
        lambda data: b"",
        lambda data: data[:132] + bytes(5000),
    ],
)
def test_what_cannot_be_read_does_not_match_and_is_held(tmp_path: Path, spoilt: Callable[[bytes], bytes]) -> None:
    path = saved(scan(), tmp_path)
    path.write_bytes(spoilt(path.read_bytes()))
    plan = Router(configured(tmp_path, route('modality = "CT"'))).plan(Arrival(Origin("CT01"), path, 0.0))
    assert plan.projects == ()
    assert plan.handling.reason == "no route matches; number 1 does but for its modality"


def test_nothing_is_read_behind_the_last_attribute_that_is_asked_about(tmp_path: Path) -> None:
    path = saved(scan(), tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x10\x00\x10\x00PN") + 6] + b"\xff" * 10_000)
    arrival = Arrival(Origin("CT01"), path, FRIDAY_NOON)
    assert Router(configured(tmp_path, route('modality = "CT"'))).plan(arrival).projects == ("trial",)
    assert Router(configured(tmp_path, route('where = { BodyPartExamined = "*" }'))).plan(arrival).projects == ()


def test_an_endless_value_is_not_read(planned: Planned) -> None:
    ds = scan()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"  # implicit VR, which has no limit of 64 kB
    ds.StationName = "WARD" * 500_000
    assert planned(route('modality = "CT"'), ds).projects == ("trial",)
    assert planned(route('station = "WARD*"'), ds).projects == ()


def test_priorities_of_route_project_and_destination_add_up(tmp_path: Path) -> None:
    peers = "".join(
        f'[[peers]]\nname = "{name}"\nae_title = "A"\nhost = "192.0.2.1"\nport = 104\npriority = {priority}\n'
        for name, priority in (("fast", 3), ("slow", -2))
    )
    projects = '[projects.trial]\npriority = 2\nsend_to = ["fast", "slow"]\n[projects.other]\nsend_to = ["slow"]\n'
    routes = route("priority = 1") + route("priority = -1") + route("", project="other")
    router = Router(configured(tmp_path, peers + routes, projects=projects))
    plan = router.plan(Arrival(Origin("CT01"), tmp_path, 0.0))
    assert plan.handling.priority == {"trial": 6, "other": -2}
    assert (plan.handling.quiet, plan.handling.study) == ({}, "")


def test_the_study_is_noted_where_a_destination_wants_it_whole(tmp_path: Path) -> None:
    peer = '[[peers]]\nname = "a"\nae_title = "A"\nhost = "192.0.2.1"\nport = 104\nsend = "study"\n'
    projects = '[projects.trial]\nsend_to = ["a"]\ncomplete_after = 90\n[projects.other]\n'
    text = peer + route("") + route("complete_after = 30") + route("", project="other")
    router, path = Router(configured(tmp_path, text, projects=projects)), saved(scan(), tmp_path)
    handling = router.plan(Arrival(Origin("CT01"), path, 0.0)).handling
    assert handling.quiet == {"trial": 30.0}
    assert len(handling.study) == 64 and str(pydicom.dcmread(path).StudyInstanceUID) not in handling.study


def test_the_titles_that_routes_spell_out_are_answered(tmp_path: Path) -> None:
    text = route('called = ["TRIAL", "L*"]') + route('called = "OTHER"')
    assert Router(configured(tmp_path, text)).called == {"TRIAL", "OTHER"}


def test_one_study_goes_to_two_projects_that_nobody_can_link(tmp_path: Path, archive: Archive) -> None:
    config = configured(
        tmp_path, route('modality = "CT"') + route('where = { BodyPartExamined = "C*" }', project="other")
    )
    router, ds = Router(config), scan()
    path = saved(ds, archive.files.incoming())
    origin = Origin("CT01")
    plan = router.plan(Arrival(origin, path, FRIDAY_NOON))
    archive.accept(path, str(ds.SOPInstanceUID), origin, plan.projects, plan.stage, plan.handling)
    worker = Worker(archive, projects_of(config, archive.files, archive.crosswalk), "worker-1")
    while worker.step():
        pass
    assert {job.state for job in archive.jobs.find(stage=Stage.CLEAN)} == {State.DONE}
    one, two = archive.index.find(Query(Level.INSTANCE))
    assert {one.project, two.project} == {"trial", "other"}
    for tag in ("0020000D", "0020000E", "00080018", "00100020"):
        assert one.text(tag) and one.text(tag) != two.text(tag)


def test_what_is_held_follows_a_route_that_matches_its_header_later(tmp_path: Path, archive: Archive) -> None:
    ds = scan()
    path = saved(ds, archive.files.incoming())
    origin = Origin("CT01", "192.0.2.7", "TRIAL")
    first = Router(configured(tmp_path, route('modality = "MR"')))
    plan = first.plan(Arrival(origin, path, FRIDAY_NOON))
    archive.accept(path, str(ds.SOPInstanceUID), origin, plan.projects, plan.stage, plan.handling)
    (job,) = archive.jobs.find()
    assert (job.state, job.reason) == (State.HELD, "no route matches; number 1 does but for its modality")
    second = Router(configured(tmp_path, route('called = "TRIAL"\nstation = "WARD9"')))
    assert archive.route_held(second.plan) == 0
    assert archive.jobs.get(job.id).reason == "no route matches; number 1 does but for its station name"
    third = Router(configured(tmp_path, route('called = "TRIAL"\nmodality = "CT"\npriority = 4')))
    assert archive.route_held(third.plan) == 1
    routed = archive.jobs.get(job.id)
    assert (routed.state, routed.project, routed.priority) == (State.READY, "trial", 4)
    assert list(archive.verify()) == []
