"""Chooses the lane: fast for objects like those before, careful for all others. Both give the same."""

from __future__ import annotations

from functools import partial
from typing import BinaryIO

from .cleaned import Cleaned
from .deidentify import PixelRule, deidentify
from .documents import DocumentRule, refuse_documents
from .faces import FaceRule, refuse_faces
from .fast import FastLane
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
    ) -> None:
        self._carefully = partial(
            deidentify,
            profile=profile,
            pseudonyms=pseudonyms,
            pixel_rule=pixel_rule,
            document_rule=document_rule,
            face_rule=face_rule,
        )
        self._fast = FastLane(profile, pseudonyms, pixel_rule)

    def clean(self, file: BinaryIO) -> Cleaned:
        """Clean the object in an open Part 10 file. Raises CannotClean with the reason where it is not possible."""
        cleaned = self._fast.clean(file)
        if cleaned is None:
            file.seek(0)
            cleaned = self._carefully(file)
        return cleaned
