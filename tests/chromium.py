"""Drives Chromium as a person does, by the DevTools protocol over two pipes; no library is needed for that."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from programs import need, wait_for

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-pipe"
)


class Page:
    """One page. What its script complains about is in `complaints`."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = os.fdopen(commands, "wb", 0), os.fdopen(answers, "rb", 0)
        self._number, self._session, self._rest = 0, "", b""
        self.complaints: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log"):
            self._call(f"{domain}.enable")

    def visit(self, url: str) -> None:
        self._call("Page.navigate", url=url)
        wait_for(lambda: self.value("document.readyState === 'complete' && location.href !== 'about:blank'"), what=url)

    def value(self, script: str) -> Any:
        """What the script evaluates to."""
        return self._call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def choose(self, selector: str, paths: list[Path]) -> None:
        """Choose files in a field."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        field = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=field, files=[str(path) for path in paths])

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key, by its name and its Windows code; `text` is what it types."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if kind == "keyDown" and text else {}
            self._call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **typed)

    def write(self, text: str) -> None:
        """Write into the field that has the focus, in the place of what is chosen there."""
        self._call("Input.insertText", text=text)

    def resize(self, width: int, height: int) -> None:
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, path: Path) -> None:
        """Keep what is seen as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._commands.close()
        self._answers.close()

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(answer["params"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = self._answers.read(65536)
            assert piece, "Chromium ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def page(folder: Path) -> Iterator[Page]:
    """A page of a Chromium of its own, which keeps what it writes in that folder."""
    need("chromium")
    (theirs_in, commands), (answers, theirs_out) = os.pipe(), os.pipe()

    def place() -> None:  # it reads from 3 and writes to 4
        high = [os.dup2(one, 100 + number) for number, one in enumerate((theirs_in, theirs_out))]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    command = ["chromium", *_FLAGS.split(), f"--user-data-dir={folder / 'profile'}"]
    with (folder / "chromium.log").open("ab") as log:
        process = subprocess.Popen(command, preexec_fn=place, close_fds=False, stdout=log, stderr=log)
    os.close(theirs_in)
    os.close(theirs_out)
    shown = Page(commands, answers)
    try:
        yield shown
    finally:
        process.terminate()
        process.wait(30)
        shown.close()
