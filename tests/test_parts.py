"""The parts of a node end when they are told to, whatever they are doing just then."""

from __future__ import annotations

import subprocess
import sys

# A signal that comes while the main thread is within the lock of its event: what a wait does for a moment, every time.
_WITHIN_THE_LOCK = """
import os, signal, sys, time
from lethe.node.parts import stop_signals

stopping = stop_signals()
with stopping._cond:
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    for _ in range(100):
        time.sleep(0.001)  # the handler has run before this goes on
print("out of the lock", flush=True)
assert stopping.wait(60)
print("told to stop", flush=True)
"""


def test_a_signal_within_the_lock_of_its_own_event_ends_the_part_all_the_same() -> None:
    for name in ("SIGTERM", "SIGINT"):
        ended = subprocess.run(
            [sys.executable, "-c", _WITHIN_THE_LOCK, name], capture_output=True, text=True, timeout=120
        )
        assert (ended.returncode, ended.stdout) == (0, "out of the lock\ntold to stop\n"), ended.stderr


_A_PART_BEGINS = """
import resource
from lethe.node.config import Config
from lethe.node.parts import _begin

_, most = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
_begin("receive", Config())
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_part_that_crashes_leaves_nothing_of_its_memory_on_the_disk() -> None:
    ended = subprocess.run([sys.executable, "-c", _A_PART_BEGINS], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "(0, 0)\n"), ended.stderr
