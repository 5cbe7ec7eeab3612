"""Is a network that loses packets: two network namespaces, and between them a wire that drops some of what passes.

Both ends are the kernel's own TCP, so what is lost is sent again as it would be anywhere. Nothing leaves the machine.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import select
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest

_NEW_NAMESPACE = 0x40000000
_SET_INTERFACE, _PACKETS_ALONE = 0x400454CA, 0x0001 | 0x1000
_LONGEST_PACKET = 1 << 16
T = TypeVar("T")


class End:
    """One namespace, with an address of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._thread = ThreadPoolExecutor(1)
        self.descriptor = self._thread.submit(self._begin).result()

    def run(self, work: Callable[[], T]) -> T:
        """Do something there: its sockets, threads and child processes are of this namespace."""
        return self._thread.submit(work).result()

    def close(self) -> None:
        os.close(self.descriptor)
        self._thread.shutdown()

    def _begin(self) -> int:
        library = ctypes.CDLL(None, use_errno=True)
        if library.unshare(_NEW_NAMESPACE):
            raise OSError(ctypes.get_errno(), "no network namespace can be made")
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(descriptor, _SET_INTERFACE, struct.pack("16sH", b"wire", _PACKETS_ALONE))
        for words in ("addr add " + self.address + "/24 dev wire", "link set wire up", "link set lo up"):
            subprocess.run(["ip", *words.split()], check=True)
        return descriptor


class LossyLink:
    """Two ends; of the packets between them that share `loss` is dropped, the same ones on every run as far as the
    kernel sends the same."""

    def __init__(self, loss: float) -> None:
        self.near, self.far = End("10.99.0.1"), End("10.99.0.2")
        self.loss, self.passed, self.dropped = loss, 0, 0
        self._stop = os.eventfd(0)
        ways = ((self.near, self.far), (self.far, self.near))
        self._pumps = [threading.Thread(target=self._pump, args=(*way, random.Random(n))) for n, way in enumerate(ways)]
        for pump in self._pumps:
            pump.start()

    def close(self) -> None:
        os.eventfd_write(self._stop, 1)  # it stays readable, for both
        for pump in self._pumps:
            pump.join()  # before its descriptors are closed, whose numbers others are given then
        for end in (self.near, self.far):
            end.close()
        os.close(self._stop)

    def _pump(self, source: End, sink: End, dice: random.Random) -> None:
        poll = select.poll()
        for descriptor in (source.descriptor, self._stop):
            poll.register(descriptor, select.POLLIN)
        while self._stop not in (descriptor for descriptor, _ in poll.poll()):
            packet = os.read(source.descriptor, _LONGEST_PACKET)
            self.passed += 1
            if dice.random() < self.loss:
                self.dropped += 1
            else:
                os.write(sink.descriptor, packet)


@contextmanager
def lossy_link(loss: float) -> Iterator[LossyLink]:
    """The link, or a skipped test where the machine does not allow it."""
    if not shutil.which("ip") or not os.access("/dev/net/tun", os.W_OK):
        pytest.skip("no network namespaces can be linked here")
    try:
        link = LossyLink(loss)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces can be linked here ({error})")
    try:
        yield link
    finally:
        link.close()
