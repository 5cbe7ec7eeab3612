"""Films from end to end: looked at, covered and encoded again by the real ffmpeg, and what comes out is decoded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from builders import PHI
from burned_pictures import drawn
from burned_screens import WORDS, is_gone, page
from films import (
    AVC,
    AVC_FRAGMENTS,
    BLURAY,
    HEVC,
    HEVC_10,
    MPEG2_HIGH,
    MPEG2_MAIN,
    decoded,
    film_of,
    filmed,
    plain_scene,
    scene,
    tissue,
    video,
    written,
)
from programs import SHARED, need

from lethe.node.burned.box import Box
from lethe.node.burned.review import NotProven, Reviewed
from lethe.node.choices import Fill, PixelPolicy
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.deid.errors import CannotClean
from lethe.node.ffmpeg import Ffmpeg
from lethe.node.projects import Projects, projects_of
from lethe.storage.archive import Archive

SYNTAXES = {
    "MPEG-2 main": (MPEG2_MAIN, "", "mpeg2video"),
    "MPEG-2 program stream": (MPEG2_MAIN, "vob", "mpeg2video"),
    "MPEG-2 bare": (MPEG2_HIGH, "mpeg2video", "mpeg2video"),
    "H.264": (AVC, "", "libx264"),
    "H.264 Blu-ray": (BLURAY, "", "libx264"),
    "HEVC": (HEVC, "", "libx265"),
    "HEVC 10 bit": (HEVC_10, "", "libx265"),
}
COUNT = 10
TELLING = ["-metadata", "title=FEATHERSTONE ANTONIA", "-metadata", "comment=MRN-7741-AZF"]
SOUND = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-map", "0:v", "-map", "1:a", "-c:a", "aac"]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projects]:
    need("ffmpeg", "ffprobe")
    archive = Archive(tmp_path_factory.mktemp("films"))
    configs = [ProjectConfig(str(policy), pixel_policy=policy) for policy in PixelPolicy]
    configs.append(ProjectConfig("contrast", fill=Fill.CONTRAST))
    yield projects_of(Config(projects=tuple(configs)), archive.files)
    left = [path.name for path in archive.files.incoming().iterdir()]
    archive.close()
    assert not [name for name in left if name.startswith("film-")], "a folder to work in is still there"


Clean = Callable[..., tuple[bytes, dict[str, Any]]]


@pytest.fixture(scope="module")
def clean(projects: Projects) -> Clean:
    def clean(raw: bytes, project: str = "auto", reviewed: Reviewed | None = None) -> tuple[bytes, dict[str, Any]]:
        cleaned = projects[project].clean(BytesIO(raw), reviewed)
        return b"".join(cleaned.chunks()), cleaned.receipt

    return clean


def text_boxes() -> list[Box]:
    return [box.grown(-3, -3) for box in drawn(WORDS)[1]]


def streams(film: bytes, path: Path) -> list[dict[str, Any]]:
    path.write_bytes(film)
    asked = ["ffprobe", "-v", "error", "-show_streams", "-print_format", "json", str(path)]
    found: list[dict[str, Any]] = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)["streams"]
    return found


class TestText:
    @pytest.mark.parametrize("name", SYNTAXES)
    def test_is_gone_from_every_frame_in_the_same_transfer_syntax(
        self, clean: Clean, tmp_path: Path, name: str
    ) -> None:
        syntax, container, encoder = SYNTAXES[name]
        frames = scene(COUNT, WORDS)
        film = filmed(frames, tmp_path, syntax, container, after=TELLING)
        raw, receipt = clean(video(film, syntax, COUNT))
        header, made = pydicom.dcmread(BytesIO(raw)), film_of(raw)
        assert header.file_meta.TransferSyntaxUID == syntax
        shown = decoded(made)
        assert len(shown) == COUNT == header.NumberOfFrames
        for frame, before in zip(shown, decoded(film), strict=True):
            assert all(is_gone(frame, box, most=16) for box in text_boxes())
            away = np.abs(frame[150:].astype(int) - before[150:])
            assert away.mean() < 3, "what is no text is what it was"
        assert receipt["pixels"]["encoder"] == encoder and receipt["pixels"]["changed"] == COUNT
        assert receipt["pixels"]["video"].startswith("ffmpeg ")
        assert {one["frames"] for one in receipt["pixels"]["boxes"]} == {"all"}
        assert not any(edge % 2 for one in receipt["pixels"]["boxes"] for edge in one["box"]), "whole pixels of colour"

    def test_makes_attributes_say_so(self, clean: Clean, tmp_path: Path) -> None:
        film = filmed(scene(COUNT, WORDS), tmp_path, AVC)
        raw, receipt = clean(video(film, AVC, COUNT, BurnedInAnnotation="YES"))
        header = pydicom.dcmread(BytesIO(raw))
        assert header.BurnedInAnnotation == "NO" and header.LossyImageCompression == "01"
        assert list(header.LossyImageCompressionMethod) == ["ISO_14496_10", "ISO_14496_10"]
        assert header.LossyImageCompressionRatio[0] == 30 and header.LossyImageCompressionRatio[1] > 1
        assert [item.CodeValue for item in header.DerivationCodeSequence] == ["113040"]
        assert "113101" in [item.CodeValue for item in header.DeidentificationMethodCodeSequence]
        assert not [value for value in (*PHI.values(), "FEATHER", "ANTONIA") if value in json.dumps(receipt)]

    @pytest.mark.parametrize(
        ("syntax", "order", "field_order"),
        [(MPEG2_MAIN, "1", ("tt", "bt")), (AVC, "1", ("tt", "bt")), (AVC, "0", ("bb", "tb"))],
    )
    def test_is_gone_from_fields_and_pixels_that_are_no_squares(
        self, clean: Clean, tmp_path: Path, syntax: str, order: str, field_order: tuple[str, ...]
    ) -> None:
        fields = ["-flags", "+ildct+ilme", "-vf", f"setsar=12/11,setfield={'tff' if order == '1' else 'bff'}"]
        fields += ["-x264-params", "tff=1" if order == "1" else "bff=1"] if syntax == AVC else []
        film = filmed(scene(COUNT, WORDS), tmp_path, syntax, after=fields)
        made = film_of(clean(video(film, syntax, COUNT))[0])
        (before,), (after,) = streams(film, tmp_path / "before"), streams(made, tmp_path / "after")
        assert before["field_order"] in field_order and after["field_order"] in field_order
        assert before["sample_aspect_ratio"] == after["sample_aspect_ratio"] != "1:1"
        assert all(is_gone(frame, box, most=16) for frame in decoded(made) for box in text_boxes())

    def test_that_changes_is_gone_as_well(self, clean: Clean, tmp_path: Path) -> None:
        first, then = scene(COUNT, WORDS[:1]), scene(COUNT, [("ACC9920771 VANDERQUIST", 300, 360)])
        film = filmed(np.concatenate([first, then]), tmp_path, AVC)
        raw, _ = clean(video(film, AVC, 2 * COUNT))
        places = text_boxes()[:1] + [box.grown(-3, -3) for box in drawn([("ACC9920771 VANDERQUIST", 300, 360)])[1]]
        shown = decoded(film_of(raw))
        assert len(shown) == 2 * COUNT
        assert all(is_gone(frame, box, most=16) for frame in shown for box in places)

    def test_of_slides_is_gone_from_each(self, clean: Clean, tmp_path: Path) -> None:
        slides = [page(seed, ground=20, ink=230) for seed in range(8)]
        frames = np.stack([one for one, _ in slides for _ in range(8)])
        shown = decoded(film_of(clean(video(filmed(frames.astype(np.uint8), tmp_path, AVC), AVC, len(frames)))[0]))
        for at, (_, boxes) in enumerate(slides):
            for frame in shown[8 * at : 8 * at + 8]:
                assert all(is_gone(frame, box.grown(0, -1), most=40) for box in boxes)

    def test_of_a_second_in_a_long_film_is_gone(self, clean: Clean, tmp_path: Path) -> None:
        frames = scene(240)
        frames[130:155] = scene(25, WORDS)
        raw, receipt = clean(video(filmed(frames, tmp_path, AVC), AVC, 240))
        shown = decoded(film_of(raw))
        assert len(shown) == 240 and receipt["pixels"]["looks"] > 5
        assert all(is_gone(frame, box, most=16) for frame in shown[130:155] for box in text_boxes())

    def test_that_moves_is_gone_wherever_it_goes(self, clean: Clean, tmp_path: Path) -> None:
        frames = tissue(40)
        inks = written(frames, "FEATHERSTONE ANTONIA", [(20 + 3 * at, 250 - 2 * at) for at in range(40)], size=12)
        film = filmed(frames, tmp_path, AVC)
        raw, _ = clean(video(film, AVC, 40))
        for shown, before, ink in zip(decoded(film_of(raw)), decoded(film), inks, strict=True):
            assert np.mean(before[ink] > 225) > 0.9 and np.mean(shown[ink] > 225) < 0.05

    def test_that_is_technical_stays_with_phi(self, clean: Clean, tmp_path: Path) -> None:
        film = filmed(scene(COUNT, [*WORDS, ("W 400  L 40", 30, 360)]), tmp_path, AVC)
        raw, receipt = clean(video(film, AVC, COUNT), "phi")
        technical = drawn([("W 400  L 40", 30, 360)])[1][0].grown(-3, -3)
        for frame in decoded(film_of(raw)):
            assert all(is_gone(frame, box, most=16) for box in text_boxes())
            assert not is_gone(frame, technical, most=100)
        assert receipt["pixels"]["kept"]

    def test_is_refused_where_no_rule_covers_it(self, clean: Clean, tmp_path: Path) -> None:
        film = filmed(scene(COUNT, WORDS), tmp_path, AVC)
        with pytest.raises(NotProven, match="no rule for the device") as refusal:
            clean(video(film, AVC, COUNT), "regions")
        assert (refusal.value.found.frames, refusal.value.found.rows) == (COUNT, 400)

    def test_is_covered_where_a_reviewer_says_so(self, clean: Clean, tmp_path: Path) -> None:
        film, box = filmed(scene(COUNT, WORDS), tmp_path, AVC), Box(20, 10, 280, 50)
        raw, receipt = clean(video(film, AVC, COUNT), "auto", Reviewed(frames={3: (box,)}, accepts_rest=True))
        gone = [is_gone(frame, text_boxes()[0], most=16) for frame in decoded(film_of(raw))]
        assert gone == [number == 3 for number in range(COUNT)]
        assert receipt["pixels"]["boxes"] == [{"box": list(box), "frames": [4], "why": "reviewer"}]

    def test_contrast_fills_with_white_or_black(self, clean: Clean, tmp_path: Path) -> None:
        film = filmed(scene(COUNT, WORDS), tmp_path, AVC)
        raw, _ = clean(video(film, AVC, COUNT), "contrast")
        box = text_boxes()[0].grown(-4, -4)
        assert decoded(film_of(raw))[0][box.rows, box.columns].min() > 200

    def test_is_covered_in_the_film_of_the_shared_set(self, clean: Clean) -> None:
        path = SHARED / "data" / "generated" / "video_mpeg4_avc_burnedin.dcm"
        if not path.exists():
            pytest.skip("../shared is not there")
        raw, receipt = clean(path.read_bytes())
        assert receipt["pixels"]["covered"] > 10 and pydicom.dcmread(BytesIO(raw)).NumberOfFrames == 24

    def test_done_again_gives_the_same_bytes(self, projects: Projects, clean: Clean, tmp_path: Path) -> None:
        raw = video(filmed(scene(COUNT, WORDS), tmp_path, AVC), AVC, COUNT)
        first, again = clean(raw)[0], projects.varied("auto").clean(BytesIO(raw))
        assert first == b"".join(again.chunks())


class TestWithoutText:
    @pytest.mark.parametrize("syntax", [AVC, BLURAY, HEVC])
    def test_shows_the_very_same_pixels_and_says_nothing_else(self, clean: Clean, tmp_path: Path, syntax: str) -> None:
        film = filmed(plain_scene(COUNT), tmp_path, syntax, after=TELLING)
        assert b"x26" in film, "encoders sign what they make, in a message of the codestream"
        raw, receipt = clean(video(film, syntax, COUNT))
        made = film_of(raw)
        assert np.array_equal(decoded(made), decoded(film))
        assert receipt["pixels"]["covered"] == receipt["pixels"]["changed"] == 0
        assert "wrapped anew" in receipt["pixels"]["encoder"]
        assert not [word for word in (b"ANTONIA", b"7741", b"x26", b"Lavf", b"Lavc") if word in made]
        assert pydicom.dcmread(BytesIO(raw)).LossyImageCompressionMethod == "ISO_14496_10", "not compressed once more"

    @pytest.mark.parametrize("syntax", [AVC, MPEG2_MAIN])
    def test_loses_sound_and_words(self, clean: Clean, tmp_path: Path, syntax: str) -> None:
        film = filmed(plain_scene(COUNT), tmp_path, syntax, before=SOUND, after=TELLING)
        assert len(streams(film, tmp_path / "before")) == 2
        made = film_of(clean(video(film, syntax, COUNT))[0])
        (left,) = streams(made, tmp_path / "after")
        assert left["codec_type"] == "video" and b"ANTONIA" not in made
        assert len(decoded(made)) == COUNT

    def test_frames_that_an_edit_list_skips_are_looked_at(self, clean: Clean, tmp_path: Path) -> None:
        whole = tmp_path / "whole.mp4"
        frames = np.concatenate([scene(10, WORDS), scene(20)])
        whole.write_bytes(filmed(frames, tmp_path, AVC, after=["-g", "30", "-bf", "0"]))
        skipped = tmp_path / "skipped.mp4"
        cut = ["ffmpeg", "-v", "error", "-y", "-ss", "0.6", "-i", str(whole), "-c", "copy", str(skipped)]
        subprocess.run(cut, check=True)
        film = skipped.read_bytes()
        assert len(decoded(film)) < 30, "a player begins after the text"
        raw, receipt = clean(video(film, AVC, 30))
        assert len(decoded(film_of(raw))) == 30 and receipt["pixels"]["covered"] >= 2

    @pytest.mark.parametrize(("syntax", "codec"), [(AVC, "h264"), (HEVC, "hevc")])
    def test_what_is_cut_off_is_not_in_the_new_film(
        self, clean: Clean, tmp_path: Path, syntax: str, codec: str
    ) -> None:
        below = np.full((COUNT, 80, 640), 30, np.uint8)
        below[:, 20:60, 8:600:12] = 230
        whole = filmed(np.concatenate([plain_scene(COUNT), below], axis=1), tmp_path, syntax)
        film = _cut(whole, tmp_path, f"{codec}_metadata=crop_bottom=80")
        assert len(decoded(film)) == COUNT, "a player shows 400 rows"
        made = film_of(clean(video(film, syntax, COUNT))[0])
        uncut = _cut(made, tmp_path, f"{codec}_metadata=crop_bottom=0")
        assert all(stream["height"] < 416 for stream in streams(uncut, tmp_path / "uncut"))


def _cut(film: bytes, folder: Path, how: str) -> bytes:
    before, after = folder / "before.mp4", folder / "after.mp4"
    before.write_bytes(film)
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(before), "-c", "copy", "-bsf:v", how, str(after)]
    subprocess.run(command, check=True)
    return after.read_bytes()


class TestFragments:
    @pytest.mark.parametrize("cuts", [(), (1001,), (999, 2001, 3000)], ids=["one", "two, odd", "four, odd"])
    def test_are_one_film(self, clean: Clean, tmp_path: Path, cuts: tuple[int, ...]) -> None:
        film = filmed(scene(COUNT, WORDS), tmp_path, AVC)
        raw, _ = clean(video(film, AVC_FRAGMENTS, COUNT, cuts=cuts))
        assert all(is_gone(frame, box, most=16) for frame in decoded(film_of(raw)) for box in text_boxes())


def spoiled(film: bytes) -> bytes:
    third = len(film) // 3
    return film[:third] + (bytes(range(256)) * third)[:third] + film[2 * third :]


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "attributes", "why"),
        [
            (lambda film: film, {"NumberOfFrames": COUNT + 1}, "more or fewer frames"),
            (lambda film: film, {"NumberOfFrames": COUNT - 1}, "more or fewer frames"),
            (lambda film: film, {"NumberOfFrames": 0}, "Number of Frames"),
            (lambda film: film, {"Rows": 200}, "another size"),
            (lambda film: film[: len(film) // 2], {}, "video: "),
            (spoiled, {}, "video: "),
            (lambda _: b"", {}, "no MP4"),
            (lambda _: bytes(5000), {}, "no MP4"),
            (lambda film: film[:40] + bytes(5000), {}, "video: "),
            (lambda _: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", {}, "no MP4"),
        ],
    )
    def test_what_contradicts_itself(
        self,
        clean: Clean,
        tmp_path: Path,
        change: Callable[[bytes], bytes],
        attributes: dict[str, object],
        why: str,
    ) -> None:
        film = filmed(scene(COUNT), tmp_path, AVC)
        with pytest.raises(CannotClean, match=why) as refusal:
            clean(video(change(film), AVC, COUNT, **attributes))
        assert not [value for value in PHI.values() if value in str(refusal.value)]

    def test_a_film_whose_frames_change_their_size(self, clean: Clean, tmp_path: Path) -> None:
        """Shown as small as the first ones, the later ones would hide what is written in them."""
        large = np.repeat(np.repeat(scene(COUNT, WORDS, size=6), 2, axis=1), 2, axis=2)
        films = [filmed(frames, tmp_path, AVC, "h264", after=["-bf", "0"]) for frames in (scene(COUNT), large)]
        with pytest.raises(CannotClean, match="video: "):
            clean(video(b"".join(films), AVC, 2 * COUNT))

    def test_a_film_of_another_codec(self, clean: Clean, tmp_path: Path) -> None:
        film = filmed(scene(COUNT), tmp_path, HEVC)
        with pytest.raises(CannotClean, match=r"coded as its transfer syntax|nothing of its film"):
            clean(video(film, AVC, COUNT))

    @pytest.mark.parametrize("number", ["4.105", "4.106", "4.106.1", "7.1"])
    def test_films_with_two_views_and_flows(self, clean: Clean, tmp_path: Path, number: str) -> None:
        film = filmed(scene(COUNT), tmp_path, AVC)
        with pytest.raises(CannotClean, match="video"):
            clean(video(film, f"1.2.840.10008.1.2.{number}", COUNT))

    def test_every_film_where_no_ffmpeg_is(
        self, tmp_path: Path, projects: Projects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raw = video(filmed(scene(COUNT), tmp_path, AVC), AVC, COUNT)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(CannotClean, match="apt-get install ffmpeg"):
            projects.varied("auto").clean(BytesIO(raw))


class TestProcess:
    """What is called ffmpeg here misbehaves; ffprobe is the real one."""

    @pytest.fixture
    def pretend(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Ffmpeg]:
        need("ffmpeg", "ffprobe")
        real, programs = shutil.which("ffmpeg"), tmp_path / "programs"
        programs.mkdir()

        def pretend(script: str) -> Ffmpeg:
            program = programs / "ffmpeg"
            program.write_text(f"#!/bin/sh\nREAL={real}\n{script}\n", encoding="utf-8")
            program.chmod(0o755)
            monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
            work = tmp_path / "work"
            work.mkdir()
            # Where the real one has to be waited for, the machine may be busy.
            return Ffmpeg(lambda: work, seconds=1 if "sleep" in script else 60)

        return pretend

    ENCODES = 'case "$*" in *libx264*) %s;; *) exec $REAL "$@";; esac'

    @pytest.mark.parametrize(
        ("script", "why"),
        [
            ("exec sleep 600", "stood still"),
            ("exit 3", "could not be decoded|more or fewer"),
            (ENCODES % "exit 3", "could not be encoded"),
            (ENCODES % "exec sleep 600", "stood still"),
            (ENCODES % "cat >/dev/null; exec sleep 600", "stood still"),
            (ENCODES % "cat >/dev/null; exit 0", "video: "),
            # It encodes something else than it was given.
            (ENCODES % 'exec $REAL -f lavfi -i testsrc=size=640x400:rate=25 -frames:v 10 "${@##pipe:0}"', "video: "),
        ],
    )
    def test_that_hangs_fails_or_lies_is_a_refusal(
        self, pretend: Callable[[str], Ffmpeg], projects: Projects, tmp_path: Path, script: str, why: str
    ) -> None:
        raw = video(filmed(scene(COUNT, WORDS), tmp_path, AVC), AVC, COUNT)
        tool = pretend(script)
        project = projects.varied("auto")
        object.__setattr__(project, "films", tool)
        with pytest.raises(CannotClean, match=why):
            project.clean(BytesIO(raw))
        assert list((tmp_path / "work").iterdir()) == []

    @pytest.mark.parametrize("script", ["kill -9 $$", ENCODES % "kill -9 $$"])
    def test_that_somebody_kills_says_nothing_of_a_film(
        self, pretend: Callable[[str], Ffmpeg], projects: Projects, tmp_path: Path, script: str
    ) -> None:
        raw = video(filmed(scene(COUNT, WORDS), tmp_path, AVC), AVC, COUNT)
        project = projects.varied("auto")
        object.__setattr__(project, "films", pretend(script))
        with pytest.raises(ChildProcessError):
            project.clean(BytesIO(raw))
        assert list((tmp_path / "work").iterdir()) == []

    def test_a_full_disk_says_nothing_of_a_film(
        self, projects: Projects, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        place = tmp_path / "disk"
        place.mkdir()
        film = filmed(scene(COUNT, WORDS), tmp_path, AVC)
        room = f"size={-(-len(film) // 4096) * 4}k"  # for itself, and none for what is made of it
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", room, "tmpfs", str(place)], capture_output=True)
        if mounted.returncode:
            pytest.skip("no file system can be mounted here")
        request.addfinalizer(lambda: subprocess.run(["umount", "--lazy", str(place)], check=True))
        project = projects.varied("auto")
        object.__setattr__(project, "films", Ffmpeg(lambda: place))
        with pytest.raises(OSError, match="No space left"):
            project.clean(BytesIO(video(film, AVC, COUNT)))
        assert list(place.iterdir()) == []

    def test_learns_nothing_of_its_surroundings(
        self, pretend: Callable[[str], Ffmpeg], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LETHE_ADMIN_TOKEN", "secret")
        tool = pretend(f'env > {tmp_path}/seen; exec $REAL "$@"')
        assert tool.edition.startswith("ffmpeg ")
        names = {line.split("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
        assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "LANG"}
