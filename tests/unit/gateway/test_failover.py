"""Whose requests are handed back when a worker's connection drops, and when no more."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest
from tailrace_gateway.failover import Failover
from tailrace_gateway.live import LiveStream
from tailrace_protocol import subjects
from tailrace_protocol.events import Delta, Ended, Started
from tailrace_protocol.settings import ModelSettings
from tailrace_protocol.subjects import ModelKey, StreamId

MODEL = ModelKey("default", "m")


class Broker:
    """Keeps what is published; `confirm` is awaited where the log must confirm."""

    def __init__(self, confirm):
        self.sent, self._confirm, self.is_connected = [], confirm, True

    async def publish(self, subject, data, timeout=None):
        self.sent.append((subject, data))
        if timeout is not None:
            await self._confirm()


def streaming(worker, number):
    live = LiveStream(
        StreamId.new(MODEL, f"abc{number}", 1_800_000_000), ModelSettings("default", "m"), own=True, policy="cancel"
    )
    live.on_event(event := Started(1, 2, worker, f"ack.{number}"))
    live.heard.note(event, b"started", fenced=False)
    live.heard.note(Delta(1, 2, [], []), b"delta", fenced=False)
    return live


async def lose(broker, lives, worker):
    """The broker says that `worker` is gone; everything that follows has happened when this returns."""
    hub = SimpleNamespace(own={str(live.stream): live for live in lives}, nc=broker, js=broker)
    failover = Failover(hub)
    advisory = {"client": {"name": subjects.worker_client_name(worker)}, "reason": "Client Closed"}
    await failover._on_advisory(SimpleNamespace(data=msgspec.json.encode(advisory)))
    await asyncio.gather(*failover._handing_back)
    return failover


async def at_once():
    pass


async def test_last_words_come_before_the_request_is_handed_back():
    broker, (mine, other) = Broker(at_once), (streaming("a", 1), streaming("b", 2))
    failover = await lose(broker, [mine, other], "a")
    log = subjects.log(mine.stream)
    assert broker.sent == [(log, b"started"), (log, b"delta"), ("ack.1", b"-NAK")]
    assert failover.handed_back == 1


async def test_a_log_that_does_not_confirm_holds_no_request_back():
    async def never():
        raise TimeoutError

    broker, live = Broker(never), streaming("a", 1)
    await lose(broker, [live], "a")
    assert broker.sent[-1] == ("ack.1", b"-NAK")


@pytest.mark.parametrize("event", [Started(2, 3, "b", "ack.9"), Ended(1, 3, 3, "finished")])
async def test_a_stream_that_went_on_meanwhile_is_left_alone(event):
    live = streaming("a", 1)

    async def meanwhile():
        live.on_event(event)

    broker = Broker(meanwhile)
    await lose(broker, [live], "a")
    assert [subject for subject, data in broker.sent if data == b"-NAK"] == []


async def test_a_lost_connection_is_not_filled_with_what_cannot_be_sent():
    broker, live = Broker(at_once), streaming("a", 1)
    broker.is_connected = False
    await lose(broker, [live], "a")
    assert [data for _, data in broker.sent] == [b"-NAK"]
