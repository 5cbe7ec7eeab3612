"""The portal in a real browser: Chromium renders it, runs its script, draws the thumbnails, and finds nothing to object
to."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path

import chromium
import pytest
from builders import ct, saved, slide_label
from programs import Node, need, running_node

from lethe.node.burned.box import Box
from lethe.node.burned.review import Found, Suspect
from lethe.storage.archive import Archive
from lethe.storage.database import transaction

pytestmark = pytest.mark.peer

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=4000"
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> object:
    need("chromium")
    folder = tmp_path_factory.mktemp("browser")
    with running_node(folder / "node", '[auth]\nmode = "none"\n') as node:
        paths = [str(saved(ds, folder / "sent")) for ds in (ct(), slide_label())]
        node.lethe("send", *paths, "--to", f"LETHE@127.0.0.1:{node.dicom}")
        node.settle()
        yield node


def visit(node: Node, path: str, folder: Path, *more: str) -> tuple[str, list[str]]:
    """The document as it stands after its scripts ran, and what the browser complained about."""
    return browse(node.url + path, folder, *more)


def browse(url: str, folder: Path, *more: str) -> tuple[str, list[str]]:
    command = ["chromium", *_FLAGS.split(), f"--user-data-dir={folder / 'profile'}", *more]
    seen = subprocess.run([*command, "--dump-dom", url], capture_output=True, text=True, timeout=120)
    return seen.stdout, [line for line in seen.stderr.splitlines() if ":CONSOLE" in line]


def test_the_overview_shows_the_study_its_picture_and_the_quarantine(node: Node, tmp_path: Path) -> None:
    document, complaints = visit(node, "/", tmp_path, "--window-size=1280,3000")
    assert complaints == []
    assert "an image of a slide's label" in document
    assert re.search(r'<img[^>]*/thumbnail"[^>]*class="shown"', document), "the script ran and the picture was drawn"


def test_the_study_page_shows_what_was_done(node: Node, tmp_path: Path) -> None:
    uid = node.get("/dicom-web/studies").json()[0]["0020000D"]["Value"][0]
    document, complaints = visit(node, f"/studies/{uid}", tmp_path)
    assert complaints == []
    assert "113100" in document


def test_the_review_desk_draws_the_boxes_over_the_frame(node: Node, tmp_path: Path) -> None:
    (number,) = (job["id"] for job in node.get("/api/v1/quarantine").json()["jobs"])
    archive = Archive(node.folder / "data")
    with transaction(archive.database):
        suspects = (Suspect(Box(10, 10, 60, 30), None, "unreadable"), Suspect(Box(20, 70, 90, 90), 0, "a date"))
        archive.reviews.note(number, Found(1, 100, 100, suspects).as_details())
    archive.close()
    picture = tmp_path / "review.png"
    document, complaints = visit(node, f"/quarantine/{number}", tmp_path, "--window-size=1100,1600")
    assert complaints == []
    assert re.search(r'<rect x="10" y="10" width="50" height="20"[^>]*>.*<rect x="20" y="70"', document)
    assert "50 × 20 at 10, 10 · all frames · unreadable" in document
    assert "70 × 20 at 20, 70 · frame 1 · a date" in document
    assert '"box":[10,10,60,30]' in document.replace("&quot;", '"'), "what would be sent"
    visit(node, f"/quarantine/{number}", tmp_path, "--window-size=1100,1600", f"--screenshot={picture}")
    assert picture.stat().st_size > 10_000


# What a hand does: draw a box in all frames, draw one in this frame, choose the first that was found and delete it.
_HAND = """
const svg = document.getElementById("boxes");
svg.setPointerCapture = () => {};
const place = svg.getBoundingClientRect();
const at = (type, x, y, on) => (on ?? svg).dispatchEvent(new PointerEvent(type, { bubbles: true, pointerId: 1,
  clientX: place.left + x * place.width / 100, clientY: place.top + y * place.height / 100 }));
const drag = (x, y, toX, toY) => { at("pointerdown", x, y); at("pointermove", toX, toY); at("pointerup", toX, toY); };
drag(40, 50, 10, 40);
document.getElementById("everywhere").click();
drag(0, 0, 5, 5);
drag(50, 50, 51, 51);
at("pointerdown", 12, 12, svg.querySelector("rect"));
document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "Delete", bubbles: true }));
document.body.dataset.sent = document.getElementById("decided").value;
"""


def test_boxes_are_drawn_and_removed_by_hand(node: Node, tmp_path: Path) -> None:
    (number,) = (job["id"] for job in node.get("/api/v1/quarantine").json()["jobs"])
    archive = Archive(node.folder / "data")
    with transaction(archive.database):
        archive.reviews.note(number, Found(1, 100, 100, (Suspect(Box(10, 10, 60, 30), 0, "x"),)).as_details())
    archive.close()
    page, style, script = (
        node.get(path).text for path in (f"/quarantine/{number}", "/static/lethe.css", "/static/review.js")
    )
    picture = tmp_path / "frame.png"
    picture.write_bytes(node.get(f"/quarantine/{number}/frames/1").content)
    page = re.sub(r"<script[^>]*></script>|<link[^>]*>", "", page)
    page = page.replace(f"/quarantine/{number}/frames/1", "frame.png")
    page = page.replace("</head>", f"<style>{style}</style></head>")
    hand = f"<script>{script}\naddEventListener('load', () => {{ {_HAND} }});</script>"
    (tmp_path / "page.html").write_text(page.replace("</body>", f"{hand}</body>"), encoding="utf-8")
    document, complaints = browse(f"file://{tmp_path}/page.html", tmp_path, "--window-size=1100,1600")
    assert complaints == []
    (sent,) = re.findall(r'data-sent="([^"]*)"', document)
    assert json.loads(html.unescape(sent)) == [
        {"frame": None, "box": [10, 40, 40, 50]},
        {"frame": 0, "box": [0, 0, 5, 5]},
    ]


def test_a_box_is_drawn_and_removed_by_keyboard_alone(node: Node, tmp_path: Path) -> None:
    (number,) = (job["id"] for job in node.get("/api/v1/quarantine").json()["jobs"])
    with chromium.page(tmp_path) as page:
        page.visit(f"{node.url}/quarantine/{number}")
        page.value("document.getElementById('decided').value = '[]'; document.getElementById('everywhere').focus()")
        boxes = "document.getElementById('decided').value"
        before = json.loads(page.value("document.getElementById('review').dataset.boxes"))
        for edge in ("left", "top", "right", "bottom"):
            page.press("Tab", 9)
            assert page.value("document.activeElement.labels[0].textContent.trim()") == edge
            page.write({"left": "10", "top": "20", "right": "101", "bottom": "30"}[edge])
        page.press("Tab", 9)
        page.press("Enter", 13, "\r")
        assert page.value("!document.getElementById('no-box').hidden"), "the frame has 100 columns"
        page.value("document.getElementById('right').value = 90")
        page.press("Enter", 13, "\r")
        drawn = {"frame": None, "box": [10, 20, 90, 30]}
        assert json.loads(page.value(boxes))[len(before) :] == [drawn]
        page.press("Delete", 46)
        assert drawn not in json.loads(page.value(boxes))
        assert page.complaints == []
