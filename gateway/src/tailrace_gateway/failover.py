"""Knowing of a dead worker within milliseconds, and handing its requests back to the queue.

The broker says when a connection drops, and whose it was. The gateway that accepted a stream knows from the
attempt's first event who writes it and where its request is acknowledged, and refuses it there in the dead worker's
name; the broker then delivers it to another worker at once instead of after `ack_wait`. Before that it makes sure
that the log has what clients were given.
"""

import asyncio
import logging

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from tailrace_protocol import subjects

from tailrace_gateway.hub import Hub
from tailrace_gateway.live import LiveStream

log = logging.getLogger("tailrace.gateway.failover")

#: How long the log may take to confirm a dead worker's last words; its request is handed back all the same, before the
#: broker delivers it to another by itself.
_CONFIRM_S = 0.3


class _Client(msgspec.Struct):
    name: str = ""


class _Advisory(msgspec.Struct):
    client: _Client
    reason: str = ""


_decoder = msgspec.json.Decoder(_Advisory)


class Failover:
    """Listens to disconnect advisories for one hub."""

    def __init__(self, hub: Hub) -> None:
        self.handed_back = 0
        self._hub = hub
        self._handing_back: set[asyncio.Task[None]] = set()

    async def open(self, system: Client, account: str) -> None:
        """Subscribe; `system` is the connection of the user that may do nothing else."""
        await system.subscribe(f"$SYS.ACCOUNT.{account}.DISCONNECT", cb=self._on_advisory)

    async def _on_advisory(self, message: Msg) -> None:
        try:
            advisory = _decoder.decode(message.data)
        except msgspec.MsgspecError as error:
            log.warning("advisory.malformed error=%s", error)
            return
        if advisory.client.name.startswith(subjects.WORKER_CLIENT_PREFIX):
            # In a task of its own: the next advisory need not wait until the log has confirmed what this one costs.
            task = asyncio.create_task(self._hand_back(advisory.client.name, advisory.reason))
            self._handing_back.add(task)
            task.add_done_callback(self._handing_back.discard)

    async def _hand_back(self, client: str, reason: str) -> None:
        orphans = [
            (live, live.started.ack)
            for live in self._hub.own.values()
            if live.ended is None
            and live.started is not None
            and subjects.worker_client_name(live.started.worker) == client
        ]
        if orphans:
            self.handed_back += len(orphans)
            log.warning("worker.lost client=%s reason=%s streams=%d", client, reason, len(orphans))
        await asyncio.gather(*(self._release(live, ack) for live, ack in orphans if ack))

    async def _release(self, live: LiveStream, ack: str) -> None:
        try:
            await self._say_again(live)
        except (NatsError, TimeoutError) as error:
            log.warning("worker.last_words_unconfirmed stream=%s error=%s", live.stream, type(error).__name__)
        if live.ended is None and live.started is not None and live.started.ack == ack:
            await self._hub.nc.publish(ack, b"-NAK")

    async def _say_again(self, live: LiveStream) -> None:
        """Publish what was heard last, and wait until the log has all of it: the next attempt then begins after it."""
        messages = live.heard.messages()
        if not messages or not self._hub.nc.is_connected:
            return
        *earlier, last = messages
        for message in earlier:
            await self._hub.nc.publish(subjects.log(live.stream), message)
        await self._hub.js.publish(subjects.log(live.stream), last, timeout=_CONFIRM_S)
