"""The parts of a node end when they are told to, whatever they are doing just then."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


# The kernel gives a signal to whichever thread it likes; here it is not the main thread.
_TO_ANOTHER_THREAD = """
import signal, sys, threading, time
from lethe.node.parts import stop_signals

stopping = stop_signals()

def got() -> None:
    time.sleep(0.5)  # the main thread waits by then
    signal.pthread_kill(threading.get_ident(), getattr(signal, sys.argv[1]))

threading.Thread(target=got).start()
assert stopping.wait(3600)
print("told to stop", flush=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_another_thread_gets_ends_a_part_that_waits(name: str) -> None:
    command = [sys.executable, "-c", _TO_ANOTHER_THREAD, name]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "told to stop\n"), ended.stderr


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
