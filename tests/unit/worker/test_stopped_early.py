"""A worker that is told to stop before it ever served says how long it tried: its startup.deadline may be too short."""

import asyncio
import re
import threading
from types import SimpleNamespace

import pytest
from tailrace_protocol.settings import NatsSettings, SimulatedSettings, WorkerSettings
from tailrace_protocol.termination import TerminationCode
from tailrace_worker import worker as module
from tailrace_worker.engines.simulated import SimulatedEngine
from tailrace_worker.giving_up import CannotRunError, stopped_early
from tailrace_worker.worker import Worker

SETTINGS = WorkerSettings("default", "m", NatsSettings(["nats://localhost:1"]), 4, simulated=SimulatedSettings())


class SlowEngine(SimulatedEngine):
    """One that loads for ever."""

    stopped = False

    async def start(self, progress):
        progress("reading weights 40 %")
        await asyncio.Event().wait()

    async def stop(self):
        self.stopped = True


@pytest.fixture
def connected(monkeypatch):
    async def connect(*_, **__):
        return SimpleNamespace(is_connected=False, is_closed=True, jetstream=lambda: None)

    monkeypatch.setattr(module, "connect", connect)


@pytest.fixture
def away(monkeypatch):
    async def connect(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "connect", connect)


async def last_words(make_engine, until):
    """With what a worker ends that is told to stop when it says `until`."""
    stop, worker = asyncio.Event(), Worker(SETTINGS, make_engine)
    serving = asyncio.create_task(worker.serve(stop))
    async with asyncio.timeout(5):
        while worker._status.progress != until:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
        stop.set()
        with pytest.raises(CannotRunError) as raised:
            await serving
    assert raised.value.code is TerminationCode.STARTUP_TIMEOUT
    return raised.value.message


async def test_one_that_loads_says_where_it_was_and_leaves_no_engine_behind(connected):
    engine = SlowEngine(SimulatedSettings(), "m", 4)
    words = await last_words(lambda: engine, "reading weights 40 %")
    assert re.match(r"told to stop after \d+ s, before it could serve \(reading weights 40 %\): ", words)
    assert engine.stopped


async def test_one_whose_engine_is_still_imported_does_not_wait_for_it(connected):
    imported = threading.Event()
    try:
        assert "importing the engine" in await last_words(imported.wait, "importing the engine")
    finally:
        imported.set()


async def test_one_that_waits_for_the_broker_says_so(away):
    assert "waiting for the broker" in await last_words(SlowEngine, "waiting for the broker")


def test_the_words_name_the_setting():
    assert stopped_early(1800.4, "").message == (
        "told to stop after 1800 s, before it could serve: if the model needs longer, raise startup.deadline"
    )
