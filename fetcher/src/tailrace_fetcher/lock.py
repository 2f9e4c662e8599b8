"""One fetcher at a time for each target, on any file system that pods can share.

The lock is a file that its holder rewrites; whoever waits watches it, and takes it over when it has stood still for
the lease. Each side trusts its own clock only, and only for durations. Kernel locks would be simpler, but network file
systems keep those of a lost node, or none at all. Two holders at the same time remain possible (one was stopped for
longer than the lease): they waste bandwidth but do no harm, see `part`; the one that was overtaken notices and waits.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tailrace_fetcher.threads import in_thread

log = logging.getLogger("tailrace.fetcher")
T = TypeVar("T")

_LOOK_S = 0.25
_BEATS_PER_LEASE = 5
_SETTLE_S = 1.0


class LockLostError(Exception):
    """Another fetcher holds the lock now."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the lock file held, and since when (monotonic seconds) it has been just that."""

    content: bytes
    since: float


def look(last: Sighting | None, content: bytes, now: float) -> Sighting:
    """The sighting after reading `content`."""
    return last if last is not None and last.content == content else Sighting(content, now)


def expired(seen: Sighting, now: float, lease_s: float) -> bool:
    """Whether the holder has been silent for its lease."""
    return now - seen.since >= lease_s


class VolumeLock:
    """The lock in the file `path`."""

    def __init__(self, path: Path, lease_s: float) -> None:
        self._path = path
        self._lease_s = lease_s
        self._holder = f"{socket.gethostname()}/{secrets.token_hex(8)}"
        self._beats = 0

    async def hold(self, work: Callable[[], Awaitable[T]], waiting: Callable[[], None]) -> T:
        """The result of `work`, done while the lock is held; `waiting` is called while another holds it.

        Raises:
            LockLostError: it was taken over; the work was cancelled.
            OSError: the lock file cannot be written.
        """
        await self._acquire(waiting)
        working, keeping = asyncio.ensure_future(work()), asyncio.create_task(self._keep())
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            await keeping
            raise LockLostError
        finally:
            await _end(working, keeping)
            await in_thread(self._release)

    async def _acquire(self, waiting: Callable[[], None]) -> None:
        seen: Sighting | None = None
        while not await in_thread(self._create):
            content = await in_thread(self._read)
            if content is None:
                continue
            seen = look(seen, content, time.monotonic())
            if expired(seen, time.monotonic(), self._lease_s) and await self._take_over(content):
                return
            waiting()
            await asyncio.sleep(_LOOK_S)

    async def _take_over(self, content: bytes) -> bool:
        """Whether the lock is ours after the other waiters had time to write theirs."""
        log.warning("fetch.lock_taken_over silent_holder=%r", content.decode(errors="replace").split(" ")[0])
        await in_thread(self._replace)
        await asyncio.sleep(min(_SETTLE_S, self._lease_s / _BEATS_PER_LEASE))
        return await in_thread(self._is_ours)

    async def _keep(self) -> None:
        while await in_thread(self._beat):  # noqa: ASYNC110 - a file on a shared volume wakes nobody
            await asyncio.sleep(self._lease_s / _BEATS_PER_LEASE)

    def _content(self) -> bytes:
        return f"{self._holder} {self._beats:012d}\n".encode()

    def _create(self) -> bool:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._content())
        return True

    def _read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def _replace(self) -> None:
        draft = self._path.with_name(f"{self._path.name}.{self._holder.rpartition('/')[2]}")
        draft.write_bytes(self._content())
        draft.replace(self._path)

    def _is_ours(self) -> bool:
        return self._is_mine(self._read() or b"")

    def _is_mine(self, content: bytes) -> bool:
        return content.startswith(f"{self._holder} ".encode())

    def _beat(self) -> bool:
        """Whether the lock is still ours; then it says so.

        In place and of the same length: a reader sees the old or the new, and a full volume is no obstacle. Who takes
        over puts another file there, so that a beat that comes too late goes into the one that nobody reads.
        """
        self._beats += 1
        try:
            with self._path.open("r+b") as file:
                if not self._is_mine(file.read()):
                    return False
                file.seek(0)
                file.write(self._content())
        except FileNotFoundError:
            return False
        return True

    def _release(self) -> None:
        if self._is_ours():
            self._path.unlink(missing_ok=True)


async def _end(*tasks: "asyncio.Future[Any]") -> None:
    """Told once, unlike by `tailrace_broker.tasks.end`: told again, `in_thread` would not wait for its thread."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
