"""A person drops files on the portal's page, in Chromium, and is shown what became of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import ct, saved, slide_label
from chromium import page
from programs import Node, need, running_node, wait_for

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    need("chromium")
    folder = tmp_path_factory.mktemp("upload")
    with running_node(folder / "node", 'stow_wait = 120\n[auth]\nmode = "none"\n') as node:
        yield node


def test_each_file_gets_its_verdict(node: Node, tmp_path: Path) -> None:
    junk = tmp_path / "notes.txt"
    junk.write_text("no image at all")
    paths = [*(saved(ct(), tmp_path) for _ in range(6)), saved(slide_label(), tmp_path), junk]
    with page(tmp_path) as shown:
        shown.visit(f"{node.url}/upload")
        shown.choose("#files", paths)
        wait_for(
            lambda: shown.value("document.querySelectorAll('#list .calm, #list .alert').length") == len(paths),
            what="every file has its verdict",
        )
        assert shown.value("document.getElementById('summary').textContent") == "6 clean · 1 held back · 1 not stored"
        told = shown.value("[...document.querySelectorAll('#list li')].map((row) => row.textContent)")
        assert told[-2:] == [
            f"{paths[-2].name}held back; the overview says why",
            "notes.txtnot a DICOM file, or not a complete one",
        ]
        shown.resize(375, 800)
        assert shown.value("document.documentElement.scrollWidth <= innerWidth"), "it fits a phone"
        assert (
            shown.value("Math.min(...[...document.querySelectorAll('#list .job')].map((one) => one.offsetWidth))") > 150
        )
        link = shown.value("document.querySelector('#list a').href")
        shown.visit(link)
        assert "113100" in shown.value("document.body.textContent")
        # Chromium itself notes that a body was answered with 400 (no DICOM) and with 409 (held back).
        noted = [one for one in shown.complaints if "status of 400" in one or "status of 409" in one]
        assert shown.complaints == noted
    assert node.status()["received"] == 7
    sources = {line for line in node.lethe("audit", "export").stdout.splitlines() if '"upload"' in line}
    assert len(sources) == 7


def test_a_folder_with_folders_in_it(node: Node, tmp_path: Path) -> None:
    for name in ("a", "b"):
        saved(ct(), tmp_path / "study" / name, "1.dcm")
    with page(tmp_path) as shown:
        shown.visit(f"{node.url}/upload")
        shown.choose("#folder", [tmp_path / "study"])
        wait_for(lambda: shown.value("document.querySelectorAll('#list .calm').length") == 2, what="both are clean")
        names = shown.value("[...document.querySelectorAll('#list .job')].map((one) => one.textContent)")
        assert sorted(names) == ["study/a/1.dcm", "study/b/1.dcm"]
        assert shown.complaints == []
