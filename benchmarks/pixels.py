#!/usr/bin/env python3
"""Find and cover burned-in text with Lethe, and with Presidio's DicomImageRedactorEngine beside it, on the same files.

usage: pixels.py [--seeds 1] [--only SET ...] [--reuse] [--write]
Works on frames that it draws; where ../shared is there, also on the team's set, on fresh ones of its generator (which
needs fonts from Debian: see its README), and on genuine screens. Each engine works in a process of its own, with one
thread; CPU times are those of that process and of the programs it calls. Everything made lies below .bench/pixels;
`--reuse` takes from there what was measured before.
Prints tables in Markdown, then what was missed; `--write` puts the tables and the pictures into docs/. Figures hold for
one machine: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from made_frames import Drawn, body, drawn_set, save_set
from pixel_score import COVERED, GONE, KEPT, Score, String, loaded, score
from pydicom.uid import UID

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
WORK = ROOT / ".bench" / "pixels"
PAGE, IMAGES = ROOT / "docs" / "pixels.md", ROOT / "docs" / "images"
ONE_ENGINE = ROOT / "benchmarks" / "one_engine.py"
ENGINES = {
    "lethe-all": "Lethe, `all`",
    "lethe-phi": "Lethe, `phi`",
    "lethe-tesseract": "Lethe, `all`, Tesseract as finder",
    "presidio": "Presidio's DICOM redactor",
}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SLICES = 40
WIDE = 1200
"""Pixels of a picture."""


@dataclass
class Run:
    """One engine on one set of files."""

    engine: str
    files: dict[str, dict[str, Any]]
    peak: float
    version: str
    scores: dict[str, Score] = field(default_factory=dict)

    def strings(self, names: Iterable[str] | None = None) -> list[String]:
        chosen = self.scores if names is None else [name for name in names if name in self.scores]
        return [string for name in chosen for string in self.scores[name].strings]


@dataclass
class Files:
    """A set of files whose strings are known."""

    name: str
    title: str
    folder: Path
    truth: dict[str, dict[str, Any]]
    runs: list[Run] = field(default_factory=list)

    def frames(self, name: str) -> int:
        return int(self.truth[name].get("frames", 1) or 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if not args.reuse:
        for record in (WORK / "out").glob("*.json"):
            record.unlink()
    sets = [one for one in all_sets(args.seeds) if not args.only or one.name in args.only]
    for one in sets:
        for engine in ENGINES:
            print(f"{one.name}: {engine}", file=sys.stderr)
            one.runs.append(scored(one, run(engine, one.folder, one.name)))
    tables = {
        "sets": sets_table(sets),
        "kinds": kinds_table([one for one in sets if one.name.startswith(("own", "dev", "seed"))]),
        "cine": cine_table(),
        "clean": clean_table(),
        "genuine": files_table([one for one in sets if one.name in ("genuine", "jsl")]),
    }
    print("\n\n".join(tables.values()))
    print("\n".join(["", "Missed:", *missed(sets)]))
    if args.write:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_tables(text, tables), encoding="utf-8")
        write_pictures()
    return 0


def all_sets(seeds: int) -> Iterator[Files]:
    own = fresh(WORK / "own")
    save_set(own, list(drawn_set()))
    yield files_of("own", "drawn here", own)
    pixels = SHARED / "pixels"
    if not pixels.is_dir():
        print("../shared is not there: only what is drawn here", file=sys.stderr)
        return
    yield files_of("dev", "the team's set", pixels / "set_dev")
    for seed in range(1, seeds + 1):
        folder = WORK / f"seed-{seed}"
        if not (folder / "truth.json").is_file():
            command = [sys.executable, pixels / "gen.py", "--set", "dev", "--seed", str(seed)]
            command += ["--bg", pixels / "bg_dev.npz", "--out", fresh(folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield files_of(f"seed{seed}", f"drawn anew, seed {seed}", folder)
    yield from genuine_sets()


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def files_of(name: str, title: str, folder: Path) -> Files:
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["files"]
    return Files(name, title, folder, truth)


def genuine_sets() -> Iterator[Files]:
    """Public files of scanners and other people's test sets, of which the boxes are known, and not the ink."""
    known = json.loads((SHARED / "data" / "ground_truth" / "burned_in.json").read_text(encoding="utf-8"))["files"]
    for name, title in (("genuine", "genuine screens"), ("jsl", "JSL: 4 to 15 pixels, wrapped values")):
        folder, files = fresh(WORK / name), {}
        for number, (path, file) in enumerate(known.items()):
            if path.startswith("jsl/") != (name == "jsl"):
                continue
            there = f"{number:02d}_{Path(path).stem[-28:]}.dcm"
            (folder / there).symlink_to(SHARED / "data" / path)
            modality = pydicom.dcmread(folder / there, stop_before_pixels=True).get("Modality", "")
            items = [boxed(one) for one in file["boxes"]]
            files[there] = {"profile": name, "modality": modality, "frames": file["frames"], "items": items}
        yield Files(name, title, folder, files)


def boxed(one: dict[str, Any]) -> dict[str, Any]:
    box = [one["left"], one["top"], one["left"] + one["width"], one["top"] + one["height"]]
    return {"text": one["text"], "phi": one["phi"], "px": one["height"], "bbox": box, "frames": "all"}


def run(engine: str, folder: Path, name: str) -> Run:
    """One engine, in a process of its own."""
    out = WORK / "out" / f"{name}-{engine}"
    record = out.with_suffix(".json")
    if not record.is_file():
        command = [sys.executable, str(ONE_ENGINE), engine, str(folder), str(fresh(out))]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | ONE_THREAD).stdout
        record.write_text(said.splitlines()[-1], encoding="utf-8")
    seen = json.loads(record.read_text(encoding="utf-8"))
    return Run(engine, seen["files"], seen["peak"], seen["version"])


def scored(files: Files, seen: Run) -> Run:
    out = WORK / "out" / f"{files.name}-{seen.engine}"
    for name, file in files.truth.items():
        if not seen.files[name]["refused"]:
            seen.scores[name] = score(files.folder / name, out / name, file["items"])
    return seen


def is_gone(string: String) -> bool:
    """Of a box whose ink is not known, that it was covered is enough."""
    return string.gone >= GONE or ("mask" not in string.item and string.covered >= COVERED)


def sets_table(sets: Sequence[Files]) -> str:
    head = "| files | engine | PHI strings covered | area beyond text | technical kept | released |"
    lines = [head + " CPU ms, single frame | CPU ms, frame of a cine | peak MB |", "|" + "---|" * 9]
    for one in sets:
        for seen in one.runs:
            strings, over = seen.strings(), [each.over for each in seen.scores.values()]
            kept = [string.gone < KEPT for string in strings if not string.item["phi"]] if one.name != "genuine" else []
            cells = [
                one.title,
                ENGINES[seen.engine],
                share([is_gone(string) for string in strings if string.item["phi"]]),
                percent(float(np.mean(over))) if over else "",
                share(kept) if one.name != "jsl" else "",
                f"{len(seen.scores)} of {len(seen.files)}",
                milliseconds(one, seen, lambda frames: frames == 1),
                milliseconds(one, seen, lambda frames: frames > 1),
                f"{seen.peak:.0f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def milliseconds(files: Files, seen: Run, chosen: Callable[[int], bool]) -> str:
    """The mean of the files that were released."""
    some = [seen.files[name]["cpu"] / files.frames(name) for name in seen.scores if chosen(files.frames(name))]
    return f"{np.mean(some):.0f}" if some else ""


def kinds_table(sets: Sequence[Files]) -> str:
    """By modality, then by what is difficult, over all drawn sets: what is covered, and what a frame costs."""
    lines = [f"| | PHI strings | {' | '.join(ENGINES.values())} |", "|" + "---|" * (2 + len(ENGINES))]
    for key in ("modality", "profile"):
        for kind in sorted({file[key] for one in sets for file in one.truth.values()}):
            cells = [covered_of(sets, at, partial(has, key, kind)) for at in range(len(ENGINES))]
            total = sum(
                1
                for one in sets
                for file in one.truth.values()
                if file[key] == kind
                for item in file["items"]
                if item["phi"] and float(item.get("visible", 1)) >= 0.5
            )
            if total:
                lines.append(f"| {kind.replace('_', ' ')} | {total} | {' | '.join(cells)} |")
    return "\n".join(lines)


def has(key: str, kind: str, file: dict[str, Any]) -> bool:
    return bool(file[key] == kind)


def covered_of(sets: Sequence[Files], at: int, chosen: Callable[[dict[str, Any]], bool]) -> str:
    gone, spent, refused = list[bool](), list[float](), 0
    for one in sets:
        names, seen = [name for name, file in one.truth.items() if chosen(file)], one.runs[at]
        gone += [is_gone(string) for string in seen.strings(names) if string.item["phi"]]
        spent += [seen.files[name]["cpu"] / one.frames(name) for name in names if name in seen.scores]
        refused += sum(name not in seen.scores for name in names)
    cost = f"; {np.mean(spent):.0f} ms" if spent else ""
    return share(gone) + cost + (f" ({refused} refused)" if refused else "")


def files_table(sets: Sequence[Files]) -> str:
    """The genuine files one by one."""
    if not sets:
        return ""
    lines = [f"| file | size | boxes | {' | '.join(ENGINES.values())} |", "|" + "---|" * (3 + len(ENGINES))]
    for one in sets:
        for name, file in one.truth.items():
            ds = pydicom.dcmread(one.folder / name, stop_before_pixels=True)
            size = f"{ds.Columns} x {ds.Rows}" + (f" x {file['frames']}" if file["frames"] > 1 else "")
            cells = [
                share([is_gone(string) for string in seen.strings([name]) if string.item["phi"]])
                if name in seen.scores
                else "refused"
                for seen in one.runs
            ]
            count = sum(item["phi"] for item in file["items"])
            lines.append(f"| {file['modality']}, {one.name} {name[:2]} | {size} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def missed(sets: Sequence[Files]) -> Iterator[str]:
    for one in sets:
        for seen in one.runs:
            if not seen.engine.startswith("lethe"):
                continue
            for name, each in seen.scores.items():
                for string in each.strings:
                    if string.item["phi"] and not is_gone(string):
                        box, pixels = string.item["bbox"], string.item.get("px")
                        yield f"{one.name} {seen.engine} {name} {box} {pixels} px, {string.gone:.2f} of its edges gone"
            for name, file in seen.files.items():
                if file["refused"]:
                    yield f"{one.name} {seen.engine} {name} refused: {file['refused']}"


def cine_table() -> str:
    """A cine of 27 frames, each of them redacted; Presidio is given them one by one."""
    folder = fresh(WORK / "cine")
    genuine = SHARED / "data" / "deid-data" / "cine" / "GREYSCALE_CINE.dcm"
    if genuine.is_file():
        (folder / "cine.dcm").symlink_to(genuine)
    else:
        save_set(folder, [one for one in drawn_set() if len(one.frames) > 1])
    (path,) = folder.glob("*.dcm")
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    frames = int(ds.NumberOfFrames)
    lines = [
        f"{frames} frames of {ds.Columns} x {ds.Rows}, {UID(ds.file_meta.TransferSyntaxUID).name}.",
        "",
        "| engine | frames changed | CPU ms a frame | ms a frame | times Presidio's speed (CPU) | peak MB |",
        "|" + "---|" * 6,
    ]
    runs = [run(engine, folder, "cine") for engine in ("lethe-all", "lethe-phi", "presidio-frames")]
    base = runs[-1].files[path.name]["cpu"]
    for seen in runs:
        file, out = seen.files[path.name], WORK / "out" / f"cine-{seen.engine}" / path.name
        changed = "every one, by itself" if seen.engine == "presidio-frames" else str(frames_changed(path, out))
        name = ENGINES.get(seen.engine, ENGINES["presidio"] + ", frame by frame")
        spent = [f"{file[key] / frames:.0f}" for key in ("cpu", "wall")]
        lines.append(f"| {name} | {changed} | {' | '.join(spent)} | {base / file['cpu']:.1f} | {seen.peak:.0f} |")
    return "\n".join(lines)


def frames_changed(before: Path, after: Path) -> int:
    (was, _), (now, _) = loaded(before), loaded(after)
    return sum(not np.array_equal(one, other) for one, other in zip(was, now, strict=True))


def clean_table() -> str:
    """Slices without text, as what they are and called captures of a screen, for which nothing is taken for proof."""
    lines = ["| slices without text | CPU ms each | share of the full cost | left as they came |", "|" + "---|" * 4]
    spent = dict[str, float]()
    for modality in ("OT", "CT"):
        folder = fresh(WORK / f"clean-{modality}")
        save_set(folder, [Drawn("slice", modality, [body(512, 50 + at)], (), bits=12) for at in range(SLICES)])
        (folder / "truth.json").unlink()
        seen = run("lethe-phi", folder, f"clean-{modality}")
        spent[modality] = float(np.mean([file["cpu"] for file in seen.files.values()]))
        same = sum(
            frames_changed(folder / name, WORK / "out" / f"clean-{modality}-lethe-phi" / name) == 0
            for name, file in seen.files.items()
            if not file["refused"]
        )
        title = {"OT": "called Secondary Capture: looked at in full", "CT": "CT series"}[modality]
        part = percent(spent[modality] / spent["OT"])
        lines.append(f"| {title} | {spent[modality]:.0f} | {part} | {same} of {SLICES} |")
    return "\n".join(lines)


def share(values: Sequence[bool]) -> str:
    return f"{sum(values)} of {len(values)}, {percent(float(np.mean(values)))}" if values else ""


def percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def with_tables(text: str, tables: dict[str, str]) -> str:
    """The page with each table between the comment that names it and an end."""
    for name, table in tables.items():
        if table:
            found = re.compile(rf"(<!-- {name}: make bench-pixels -->\n).*?(<!-- end -->)", re.S)
            text = found.sub(lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", text)
    return text


def write_pictures() -> None:
    """What was drawn here, before and after, side by side."""
    for kind, engines, part in (
        ("us_screen", ("lethe-all", "lethe-phi"), (slice(0, 300), slice(0, 640))),
        ("ct_corners", ("lethe-all", "lethe-phi"), (slice(0, 300), slice(0, 512))),
        ("us_cine", ("lethe-all",), (slice(0, 300), slice(0, 640))),
    ):
        (source,) = (WORK / "own").glob(f"*_{kind}.dcm")
        paths = [source, *(WORK / "out" / f"own-{engine}" / source.name for engine in engines)]
        numbers = [0] if kind != "us_cine" else [0, 13]
        rows = [np.hstack([framed(path, number, part) for path in paths]) for number in numbers]
        picture = np.vstack(rows)
        scale = WIDE / picture.shape[1]
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(IMAGES / f"pixels-{kind.replace('_', '-')}.png"), small, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def framed(path: Path, number: int, part: tuple[slice, slice]) -> Any:
    frames, _ = loaded(path)
    frame = frames[number].mean(axis=-1)
    grey = (np.clip(frame / max(float(frames.max()), 1), 0, 1) * 255).astype(np.uint8)[part]
    return cv2.copyMakeBorder(grey // 8 * 8, 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=255)


if __name__ == "__main__":
    sys.exit(main())
