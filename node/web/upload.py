"""The page on which a person hands files in. Its script sends them by STOW-RS, so that there is one way in."""

from __future__ import annotations

from flask import Blueprint, render_template

from lethe.storage.users import Permission, needs


def blueprint() -> Blueprint:
    """/upload"""
    upload = Blueprint("upload", __name__)

    @upload.get("/upload")
    @needs(Permission.STORE)
    def page() -> str:
        return render_template("upload.html")

    return upload
