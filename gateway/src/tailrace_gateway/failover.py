"""Knowing of a dead worker within milliseconds, and handing its requests back to the queue.

The broker says when a connection drops, and whose it was. The gateway that accepted a stream knows from the
attempt's first event who writes it and where its request is acknowledged, and refuses it there in the dead worker's
name; the broker then delivers it to another worker at once instead of after `ack_wait`.
"""

import logging

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from tailrace_protocol import subjects

from tailrace_gateway.hub import Hub

log = logging.getLogger("tailrace.gateway.failover")


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
            await self._hand_back(advisory.client.name, advisory.reason)

    async def _hand_back(self, client: str, reason: str) -> None:
        orphans = [
            live.started
            for live in self._hub.own.values()
            if live.ended is None
            and live.started is not None
            and subjects.worker_client_name(live.started.worker) == client
        ]
        for started in (started for started in orphans if started.ack):
            await self._hub.nc.publish(started.ack, b"-NAK")
        if orphans:
            self.handed_back += len(orphans)
            log.warning("worker.lost client=%s reason=%s streams=%d", client, reason, len(orphans))
