"""One open response, and a broker that takes its time."""

import asyncio
import contextlib

import pytest
from tailrace_gateway.delivery import pump as module
from tailrace_gateway.delivery import sse
from tailrace_gateway.delivery.pump import Pump
from tailrace_gateway.delivery.reader import Reader
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.subjects import ModelKey, StreamId

STREAM = StreamId.new(ModelKey("default", "sim"), "abcdefgh", 1_760_000_000)


@pytest.fixture
def reads(monkeypatch):
    """Reads of a log that never end, and how many were given up."""
    begun, given_up = [], []

    async def read_page(js, stream, after):
        begun.append(after)
        try:
            await asyncio.Event().wait()
        finally:
            given_up.append(after)

    monkeypatch.setattr(module, "read_page", read_page)
    return begun, given_up


def reading():
    return Pump(None, STREAM, Reader(5, 65_536, verbose=False, live=False), lambda: True)


async def test_a_client_gets_its_heartbeats_while_the_log_does_not_answer(reads):
    begun, given_up = reads
    pump = reading()
    chunks = pump.chunks()
    first = asyncio.create_task(anext(chunks))
    await asyncio.sleep(0.01)
    for _ in range(3):
        pump.say(sse.HEARTBEAT)
        async with asyncio.timeout(1):
            assert await first == sse.HEARTBEAT
        first = asyncio.create_task(anext(chunks))
        await asyncio.sleep(0.01)
    assert begun == [0], "one read, which goes on"
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    await chunks.aclose()
    await asyncio.sleep(0)
    assert given_up == [0], "nobody reads for a client that has left"


async def test_a_response_that_fails_does_not_wait_for_the_log(reads):
    pump = reading()
    chunks = pump.chunks()
    first = asyncio.create_task(anext(chunks))
    await asyncio.sleep(0.01)
    pump.fail(TailraceError(ErrorCode.SHUTTING_DOWN))
    async with asyncio.timeout(1):
        assert b"shutting_down" in await first
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)
    await asyncio.sleep(0)
    assert reads[1] == [0]
