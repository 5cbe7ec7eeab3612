"""Has files synced while whoever wrote them goes on.

The system's own threads do it, whose whole work is fsync(2). One of Python would take the interpreter from whoever goes
on, as it begins and as it ends, some twenty times for each object that comes in.
"""

from __future__ import annotations

import ctypes
import errno
import os


class Syncing:
    """Syncs what is behind a descriptor: a file, or a folder with the names in it."""

    def now(self, descriptor: int) -> None:
        """Return once it is durable. Raises OSError."""
        os.fsync(descriptor)

    def soon(self, descriptor: int) -> Sync:
        """Begin to, with a descriptor that is closed when that was waited for."""
        return Sync(descriptor)


class Sync:
    """A thread that runs fsync(2) and nothing else; without one to be had, it is over as it begins. To be waited for as
    `concurrent.futures.Future` is."""

    def __init__(self, descriptor: int) -> None:
        self._thread, self._descriptor = ctypes.c_ulong(), descriptor
        self._failure: OSError | None = None
        if _create(ctypes.addressof(self._thread), _SMALL, _FSYNC, descriptor):
            self._descriptor = -1
            try:
                os.fsync(descriptor)
            except OSError as error:
                self._failure = error
            finally:
                os.close(descriptor)

    def result(self) -> None:
        """Wait for its end. Raises OSError."""
        if (failure := self.exception()) is not None:
            raise failure

    def exception(self) -> OSError | None:
        """Wait for its end; what it failed with. Why it did, only that thread knew, and asking once more would say
        that all is well: of a write that failed, Linux tells once."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            returned = ctypes.c_long()
            code = _join(self._thread, ctypes.addressof(returned))
            if code or returned.value & 0xFFFFFFFF:  # an int in the place of a pointer
                self._failure = OSError(errno.EIO, os.strerror(errno.EIO))
            os.close(descriptor)
        return self._failure

    def __del__(self) -> None:
        """Nobody wants to know. But the thread may not have begun, and would then sync what has this number by that
        time: if that fails, whoever wrote it would be told that all is well, for the failure was told to us."""
        self.exception()


_C = ctypes.CDLL(None)
_FSYNC = ctypes.cast(_C.fsync, ctypes.c_void_p)
_create, _join = _C.pthread_create, _C.pthread_join
_create.argtypes = (ctypes.c_void_p,) * 4
_join.argtypes = (ctypes.c_ulong, ctypes.c_void_p)

_SMALL = ctypes.create_string_buffer(256)
"""A pthread_attr_t, of 64 bytes at most: of stacks this small, the C library keeps enough to use them again."""
_C.pthread_attr_init(_SMALL)
_C.pthread_attr_setstacksize(_SMALL, ctypes.c_size_t(256 << 10))
