"""Progress over NATS, twice a second, and in the log. A broker that is away never holds up a download."""

import asyncio
import contextlib
import logging
import time

from nats.aio.client import Client
from nats.errors import Error as NatsError
from tailrace_broker.connection import close, connect
from tailrace_broker.tasks import end
from tailrace_protocol import subjects
from tailrace_protocol.errors import TailraceError
from tailrace_protocol.fetch import FetchSettings
from tailrace_protocol.settings import NatsSettings
from tailrace_protocol.wire import encode

from tailrace_fetcher.progress import LastLine, Progress, line_is_due

log = logging.getLogger("tailrace.fetcher")

_PERIOD_S = 0.5
_AGAIN_S = 5.0
#: How long the last report may hold up the end.
_LAST_S = 2.0


class Reporter:
    """Tells of one download until it is closed."""

    def __init__(self, settings: FetchSettings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._subject = subjects.fetch_report(subjects.ModelKey(settings.namespace, settings.model))
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Reporter":
        self._tasks = [asyncio.create_task(self._tick())]
        if self._settings.nats is not None:
            self._tasks.append(asyncio.create_task(self._connect(self._settings.nats)))
        return self

    async def __aexit__(self, *_: object) -> None:
        log.info("%s", self._progress.line())
        if self._settings.nats is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_S):
                    await self._connected.wait()
        await self._publish()
        await end(*self._tasks)
        await close(self._client)

    async def _connect(self, nats: NatsSettings) -> None:
        name, level = f"tailrace-fetcher-{self._settings.namespace}-{self._settings.model}", logging.WARNING
        while True:
            try:
                self._client = await connect(nats, name)
            except TailraceError as error:
                log.log(level, "fetch.no_reports reason=%s", error.message)
                level = logging.DEBUG  # once is enough
                await asyncio.sleep(_AGAIN_S)
            else:
                self._connected.set()
                return

    async def _tick(self) -> None:
        last: LastLine | None = None
        while True:
            now, progress = time.monotonic(), self._progress
            if line_is_due(last, now, progress):
                log.info("%s", progress.line())
                last = LastLine(now, progress.percent, progress.state)
            await self._publish()
            await asyncio.sleep(_PERIOD_S)

    async def _publish(self) -> None:
        """Dropped when the broker is away: a report that comes late says nothing."""
        if self._client is None or not self._client.is_connected:
            return
        with contextlib.suppress(NatsError, OSError):
            await self._client.publish(self._subject, encode(self._progress.report(self._settings)))
