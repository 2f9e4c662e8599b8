"""What gateway and worker must not do on the broker, for a model `default/echo`: on one machine and on a cluster."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

_QUEUE, _LOG, _MODELS, _PAYLOADS = (
    "tr_req_default_echo",
    "tr_log_default_echo",
    "KV_tailrace_models",
    "OBJ_tailrace_payloads",
)
_STREAMS = (_QUEUE, _LOG, _MODELS, _PAYLOADS)
_API = "$JS.API"
_TOKEN = "a" * 33

_FOR_ADMINS = (
    f"{_API}.STREAM.CREATE.mine",
    f"{_API}.STREAM.RESTORE.mine",
    f"{_API}.ACCOUNT.PURGE.TAILRACE",
    f"{_API}.META.LEADER.STEPDOWN",
    f"{_API}.SERVER.REMOVE",
    f"{_API}.SERVER.EVACUATE",
    *(f"{_API}.STREAM.{act}.{stream}" for act in ("UPDATE", "DELETE", "SNAPSHOT") for stream in _STREAMS),
    *(f"{_API}.STREAM.{act}.{_LOG}" for act in ("PEER.REMOVE", "LEADER.STEPDOWN")),
    *(f"{_API}.STREAM.PURGE.{stream}" for stream in (_QUEUE, _LOG, _MODELS)),
    *(f"{_API}.CONSUMER.CREATE.{stream}" for stream in (_QUEUE, _LOG)),
    f"{_API}.CONSUMER.CREATE.{_QUEUE}.workers.tr.req.default.echo.any",
    *(f"{_API}.CONSUMER.DURABLE.CREATE.{stream}.thief" for stream in _STREAMS),
    *(f"{_API}.CONSUMER.{act}.{_QUEUE}.workers" for act in ("DELETE", "PAUSE", "RESET", "UNPIN", "LEADER.STEPDOWN")),
    f"{_API}.CONSUMER.MSG.NEXT.{_QUEUE}.thief",
    "$KV.tailrace_models.default.echo",
    "$O.others.C.x",
    "$SYS.REQ.SERVER.PING",
    "tr.elsewhere",
)
#: By user, what it must not publish. The API's own names lie below `$JS.API`.
MUST_NOT_PUBLISH = {
    "gateway": (
        *_FOR_ADMINS,
        f"{_API}.CONSUMER.MSG.NEXT.{_QUEUE}.workers",
        "tr.hb.worker.default.echo.w1",
        "tr.hb.fetch.default.echo",
    ),
    "worker": (
        *_FOR_ADMINS,
        f"{_API}.STREAM.MSG.DELETE.{_QUEUE}",
        f"{_API}.CONSUMER.CREATE.{_MODELS}",
        "tr.req.default.echo.any",
        "tr.key.default.echo.x",
        "tr.hb.gateway.g1",
    ),
}
_OTHERS = (">", "tr.>", "tr.req.>", "tr.key.>", "$KV.>", "$O.>", "$JS.>", "$JS.API.>", "$SYS.>", "tr.hb.gateway.>")
#: By user, what it must not listen to.
MUST_NOT_HEAR = {"gateway": _OTHERS, "worker": (*_OTHERS, "tr.log.>", f"tr.log.default.echo.g1.{_TOKEN}")}
#: By user, what it may publish: one of each kind that harms nothing. The integration tests do all of it for real.
MAY_PUBLISH = {
    "gateway": (f"{_API}.STREAM.INFO.{_MODELS}", f"tr.ctl.default.echo.g1.{_TOKEN}", "tr.hb.gateway.g1"),
    "worker": (f"{_API}.STREAM.INFO.{_PAYLOADS}", "tr.hb.worker.default.echo.w1", "tr.hb.fetch.default.echo"),
}


@dataclass
class Attempts:
    """A user's connection that notes what the broker refuses."""

    client: Client
    _refused: set[str] = field(default_factory=set)
    _noted: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def note(self, error: Exception) -> None:
        """The connection's error callback: `Permissions Violation for Publish to "x"`; the library writes it small."""
        if found := re.search(r'violation for (?:publish|subscription) to "([^"]+)"', str(error).lower()):
            self._refused.add(found[1])
            self._noted.set()

    async def published(self, *subjects: str) -> set[str]:
        """Those that may not be published."""
        for subject in subjects:
            await self.client.publish(subject, b"", reply=self.client.new_inbox())
        return await self._of(subjects)

    async def subscribed(self, *subjects: str) -> set[str]:
        """Those that may not be listened to."""
        for subject in subjects:
            await self.client.subscribe(subject, cb=_drop)
        return await self._of(subjects)

    async def _of(self, subjects: tuple[str, ...]) -> set[str]:
        """Of what was asked before: the broker answers in order, and this last thing is refused to everybody."""
        last = f"refused.{next(self._numbers)}"
        await self.client.publish(last, b"")
        async with asyncio.timeout(10):
            while last not in self._refused:
                self._noted.clear()
                await self._noted.wait()
        return {subject for subject in subjects if subject.lower() in self._refused}


async def _drop(_: Msg) -> None:
    return None


@asynccontextmanager
async def attempts_of(url: str, user: str, password: str) -> AsyncIterator[Attempts]:
    """What `user` tries."""
    attempts = Attempts(Client())
    await attempts.client.connect(
        url, user=user, password=password, error_cb=attempts.note, allow_reconnect=False, connect_timeout=5
    )
    try:
        yield attempts
    finally:
        with suppress(nats.errors.Error):
            await attempts.client.close()
