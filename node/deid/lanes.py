"""Chooses the lane: fast for objects like those before, careful for all others. Both give the same."""

from __future__ import annotations

from functools import partial
from typing import BinaryIO

from .cleaned import Cleaned
from .deidentify import PixelRule, deidentify
from .documents import DocumentRule, refuse_documents
from .faces import FaceRule, refuse_faces
from .fast import FastLane
from .frames import FrameRule, leave_frames
from .latin9 import know_latin_9
from .pixels import may_carry_text
from .profile import Profile
from .pseudonyms import Pseudonyms


class Deidentifier:
    """De-identifies the objects of one project. It remembers what it has seen; one thread may use it."""

    def __init__(
        self,
        profile: Profile,
        pseudonyms: Pseudonyms,
        pixel_rule: PixelRule = may_carry_text,
        document_rule: DocumentRule = refuse_documents,
        face_rule: FaceRule = refuse_faces,
        frame_rule: FrameRule = leave_frames,
    ) -> None:
        know_latin_9()
        self._carefully = partial(
            deidentify,
            profile=profile,
            pseudonyms=pseudonyms,
            pixel_rule=pixel_rule,
            document_rule=document_rule,
            face_rule=face_rule,
            frame_rule=frame_rule,
        )
        # Who looks at frames needs the header decoded, and has work for longer than that takes.
        self._fast = FastLane(profile, pseudonyms, pixel_rule) if frame_rule is leave_frames else None

    def clean(self, file: BinaryIO) -> Cleaned:
        """Clean the object in an open Part 10 file. Raises CannotClean with the reason where it is not possible."""
        cleaned = self._fast.clean(file) if self._fast else None
        if cleaned is None:
            file.seek(0)
            cleaned = self._carefully(file)
        return cleaned
