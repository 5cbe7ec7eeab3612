"""Sends event reports to those who follow workitems (PS3.18 8.10.5), each over WebSocket channels that he has opened.

A channel follows the reports of its AE title in the database, whichever part wrote them. Where one left off is written
down only when its other end has shown that it read so far, so what was on its way when anything broke comes once more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable

log = logging.getLogger("lethe.events")

_LOOK_AGAIN = 0.25
_LATER = 2.0
_THREADS = 4
_Found = TypeVar("_Found")


class Channels:
    """The open channels of one process."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._threads = ThreadPoolExecutor(_THREADS, "events")
        self._bell = asyncio.Event()
        self.open = 0
        """How many there are."""

    async def watch(self) -> None:
        """Wake the channels whenever there are new reports, until canceled."""
        last = -1
        while True:
            try:
                newest = await self.ask(self._archive.step_events.newest) if self.open else last
            except Unavailable as error:
                log.warning("%s", error)
                newest = last
            if newest != last:
                last, bell, self._bell = newest, self._bell, asyncio.Event()
                bell.set()
            await asyncio.sleep(_LOOK_AGAIN)

    async def follow(self, connection: ServerConnection, title: str) -> None:
        """Send the reports of an AE title until the other end closes the channel."""
        reader = asyncio.create_task(_passed_over(connection))
        self.open += 1
        try:
            await self._send(connection, title, reader)
        except ConnectionClosed:
            pass
        except Exception as error:  # its words may quote what a report says
            log.error("a channel is closed, for its reports cannot be read (%s)", type(error).__name__)
            raise
        finally:
            self.open -= 1
            reader.cancel()

    async def ask(self, question: Callable[..., _Found], *about: object) -> _Found:
        """The answer of the database, which may take its time, in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, question, *about)

    async def _send(self, connection: ServerConnection, title: str, reader: asyncio.Task[None]) -> None:
        events, at = self._archive.step_events, -1
        while not reader.done():
            bell = self._bell  # before it is asked what there is: nothing then comes unnoticed
            try:
                at = await self.ask(events.mark, title) if at < 0 else at
                reports = await self.ask(events.after, title, at)
                for report in reports:
                    await connection.send(report.text)
                if reports:
                    await (await connection.ping())  # answered by who has read what came before it
                    at = reports[-1].number
                    await self.ask(events.received, title, at)
                    continue
            except Unavailable as error:
                log.warning("%s", error)
                await asyncio.sleep(_LATER)
                continue
            waiting = asyncio.create_task(bell.wait())
            await asyncio.wait({waiting, reader}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()


async def _passed_over(connection: ServerConnection) -> None:
    """Whatever the other end says; nothing is expected of it. Ends with the connection."""
    with suppress(ConnectionClosed):
        async for _message in connection:
            pass
