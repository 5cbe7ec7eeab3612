"""Device rules: what ships is right in form, matches its devices and no others, and a site's own add up with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import ct
from pydicom.dataset import Dataset

from lethe.node.burned.box import Box
from lethe.node.burned.devices import BadRules, DeviceRule, DeviceRules, device_of, file_of, rule_from, rules_in

RULE = {"name": "US ours", "when": {"Modality": "US", "Rows": 600}, "blank": [[0, 0, 800, 60]]}


def us(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in {
        "Modality": "US",
        "Manufacturer": "Philips Medical Systems",
        "ManufacturerModelName": "iU22",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1",
        "Rows": 600,
        "Columns": 800,
        **values,
    }.items():
        setattr(ds, keyword, value)
    return ds


def one(**changes: object) -> DeviceRules:
    return DeviceRules((rule_from({**RULE, **changes}),))


def test_the_rules_that_ship_hold_together() -> None:
    rules = DeviceRules.shipped().rules
    assert len(rules) > 90
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.source for rule in rules), "each says where its figures come from"
    assert rules_in(file_of(rules, "again")) == list(rules)


def test_a_known_device_has_its_banner_blanked() -> None:
    matched = DeviceRules.shipped().boxes(us(), 600, 800)
    assert matched is not None
    assert matched.boxes == (Box(0, 0, 800, 59),)
    assert matched.rules == ("US Philips iU22, 600 high",)


@pytest.mark.parametrize(
    "changes",
    [{"Manufacturer": "Nobody"}, {"ManufacturerModelName": "iU2"}, {"Modality": "CT"}, {"Modality": "IVUS"}],
    ids=str,
)
def test_other_devices_are_left_alone(changes: dict[str, str]) -> None:
    assert DeviceRules.shipped().boxes(us(**changes), 600, 800) is None


def test_the_size_that_counts_is_the_frame_s() -> None:
    assert DeviceRules.shipped().boxes(us(Rows=600), 601, 800) is None


def test_a_plain_ct_matches_nothing() -> None:
    assert DeviceRules.shipped().boxes(ct(), 128, 128) is None


def test_a_header_that_says_nothing_or_nonsense_matches_nothing() -> None:
    assert DeviceRules.shipped().boxes(Dataset(), 600, 800) is None
    ds = us(Modality=["US", "CT"])
    assert DeviceRules.shipped().boxes(ds, 600, 800) is None


def test_boxes_are_cut_to_the_frame() -> None:
    matched = one(blank=[[0, 0, 4000, 60], [900, 0, 4000, 60]]).boxes(us(), 600, 800)
    assert matched is not None and matched.boxes == (Box(0, 0, 800, 60),)


def test_what_is_kept_says_what_goes() -> None:
    rule = {"name": "kept", "when": RULE["when"], "keep": [[0, 60, 800, 600]]}
    matched = DeviceRules((rule_from(rule),)).boxes(us(), 600, 800)
    assert matched is not None and matched.boxes == (Box(0, 0, 800, 60),)


def test_rules_add_up() -> None:
    more = rule_from({**RULE, "name": "more", "blank": [[0, 580, 800, 600], [10, 10, 20, 20]]})
    matched = one().and_also([more]).boxes(us(), 600, 800)
    assert matched is not None
    assert matched.boxes == (Box(0, 0, 800, 60), Box(0, 580, 800, 600))
    assert matched.rules == ("US ours", "more")


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"Manufacturer": "PHILIPS"}, True),
        ({"Manufacturer": {"is": "philips medical  systems"}}, True),
        ({"Manufacturer": {"is": "philips"}}, False),
        ({"Manufacturer": ["GE", "Philips"]}, True),
        ({"Manufacturer": ["GE", {"is": "Philips"}]}, False),
        ({"Modality": "U"}, False),
        ({"Rows": [480, 600], "Modality": "US"}, True),
        ({"Rows": 480, "Modality": "US"}, False),
        ({"ImageType": "screen save", "Rows": 600}, True),
        ({"ImageType": "SCREENSHOT", "Rows": 600}, False),
        ({"WindowWidth": 1, "Modality": "US"}, True),
    ],
    ids=str,
)
def test_conditions(when: dict[str, object], holds: bool) -> None:
    ds = us(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"], WindowWidth=["1.0", "2"])
    rules = one(when={"Columns": 800, **when})
    assert (rules.boxes(ds, 600, 800) is not None) == holds


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "a name"),
        ({"name": "a\nb"}, "a name"),
        ({"when": {}}, "for which Rows"),
        ({"when": {"Rows": 600}}, "for which device"),
        ({"when": {"Modality": "US"}}, "for which Rows"),
        ({"when": {"Rows": "600", "Modality": "US"}}, "Rows cannot be that"),
        ({"when": {"Rows": True, "Modality": "US"}}, "Rows cannot be that"),
        ({"when": {"Rows": 600, "Modality": ""}}, "Modality cannot be that"),
        ({"when": {"Rows": 600, "PatientName": "X"}}, '"when" names attributes among'),
        ({"when": {"Rows": 600, "Modality": []}}, "Modality cannot be that"),
        ({"when": {"Rows": 600, "Modality": {"is": 1}}}, "Modality cannot be that"),
        ({"blank": []}, "1 to 200 boxes"),
        ({"blank": [[0, 0, 0, 5]]}, "a box is"),
        ({"blank": [[0, 0, 5]]}, "a box is"),
        ({"blank": [[0, 0, 5, 5.5]]}, "a box is"),
        ({"blank": [[-1, 0, 5, 5]]}, "a box is"),
        ({"blank": ["0000"]}, "a box is"),
        ({"keep": [[0, 0, 5, 5]]}, 'either "blank" or "keep"'),
        ({"colour": 1}, "unknown: 'colour'"),
        ({"source": 1}, '"source" is a text'),
    ],
    ids=str,
)
def test_a_rule_that_means_nothing_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadRules, match=said):
        rule_from({**RULE, **changes})


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2, "rules": []}', '{"format": 1}', '{"format": 1, "rules": [1]}']
)
def test_a_file_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(BadRules):
        rules_in(text)


def test_files_are_loaded_in_order(tmp_path: Path) -> None:
    for name in ("one", "two"):
        rules = {"format": 1, "rules": [{**RULE, "name": name}]}
        (tmp_path / name).write_text(json.dumps(rules))
    assert [rule.name for rule in DeviceRules.load([tmp_path / "one", tmp_path / "two"]).rules] == ["one", "two"]


def test_what_is_learned_from_an_object_holds_for_its_like_and_no_other() -> None:
    ds = us()
    rule = DeviceRule("learned", device_of(ds), (Box(1, 2, 30, 40),))
    assert rule_from(rule.as_document()) == rule
    rules = DeviceRules((rule,))
    assert rules.boxes(us(PatientName="OTHER^ONE"), 600, 800) is not None
    for changes in ({"ManufacturerModelName": "iU22 G"}, {"Manufacturer": "Philips"}, {"SOPClassUID": "1.2"}):
        assert rules.boxes(us(**changes), 600, 800) is None
    assert rules.boxes(us(), 768, 1024) is None


def test_nothing_is_learned_of_a_device_without_a_name() -> None:
    ds = us()
    del ds.Manufacturer
    with pytest.raises(BadRules, match="manufacturer"):
        device_of(ds)
