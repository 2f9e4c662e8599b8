"""The first connection to the broker: patient for as long as it is told, and clear about what is wrong."""

import asyncio
import math
import time

import msgspec
import pytest
from tailrace_broker.connection import close, connect
from tailrace_operator.local.broker import LocalBroker
from tailrace_protocol.errors import TailraceError


@pytest.fixture
async def broker(tmp_path):
    async with LocalBroker(tmp_path) as running:
        yield running


async def test_a_broker_that_is_away_is_waited_for_within_the_limit_and_named(broker):
    await broker.stop()
    begun = time.monotonic()
    with pytest.raises(TailraceError, match=f"no NATS server answers at {broker.url} .*Connect call failed.*check"):
        await connect(broker.settings_for("worker"), "test", within_s=1.0)
    assert 0.9 < time.monotonic() - begun < 3


async def test_a_broker_that_comes_later_is_found_and_later_cuts_are_mended_at_once(broker):
    await broker.stop()
    reconnected = asyncio.Event()

    async def on_reconnect():
        reconnected.set()

    settings = broker.settings_for("worker")
    connecting = asyncio.create_task(connect(settings, "test", on_reconnect=on_reconnect, within_s=math.inf))
    await asyncio.sleep(3)
    await broker.restart()
    client = await asyncio.wait_for(connecting, 10)
    assert client.is_connected
    await broker.restart()
    # What was patience at start must not delay a reconnect.
    await asyncio.wait_for(reconnected.wait(), 1.5)
    await close(client)


async def test_a_refused_password_is_said_and_read_again(broker, tmp_path):
    file = tmp_path / "password"
    file.write_text("wrong")
    settings = msgspec.structs.replace(broker.settings_for("worker"), password_file=str(file))
    with pytest.raises(TailraceError, match="refuses the user 'worker': check that its password"):
        await connect(settings, "test", within_s=1.0)
    connecting = asyncio.create_task(connect(settings, "test", within_s=math.inf))
    await asyncio.sleep(0.5)
    file.write_text(broker.credentials.password("worker"))
    client = await asyncio.wait_for(connecting, 10)
    assert client.is_connected
    await close(client)


async def test_a_missing_password_file_is_named(broker, tmp_path):
    settings = msgspec.structs.replace(broker.settings_for("worker"), password_file=str(tmp_path / "nowhere"))
    with pytest.raises(TailraceError, match=r"nowhere.*provide that file"):
        await connect(settings, "test")
