"""An engine that fails in a way nobody foresaw costs its stream an error, not endless silence or a worker its slot."""

import msgspec
import pytest
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Ended, TokenGroup, decode_event
from tailrace_protocol.requests import Request
from tailrace_protocol.settings import NatsSettings, WorkerSettings
from tailrace_protocol.subjects import ModelKey, StreamId
from tailrace_worker.engines.engine import Step
from tailrace_worker.generation import Generation, Tools
from tailrace_worker.intake import Delivery
from tailrace_worker.metrics import Metrics

STREAM = StreamId.new(ModelKey("default", "sim"), "gateway1", 1)


class Broker:
    """Connection and JetStream in one, which keep what is published."""

    max_payload = 1_000_000
    is_connected = True

    def __init__(self):
        self.stats = {"reconnects": 0}
        self.published = []

    async def publish(self, subject, data, **_):
        self.published.append(decode_event(data))


class Intake:
    def __init__(self):
        self.fates = []

    async def acknowledge(self, delivery):
        self.fates.append("acknowledged")

    async def hand_back(self, delivery):
        self.fates.append("handed back")

    async def stop_pulling(self):
        self.fates.append("stopped pulling")


class BuggyEngine:
    healthy = True

    def __init__(self, good_steps):
        self.good_steps = good_steps

    async def generate(self, job):
        if self.good_steps is None:
            raise ZeroDivisionError("a bug")
        return self.steps()

    async def steps(self):
        for _ in range(self.good_steps):
            yield Step((TokenGroup(0, [1]),), (b"{}",))
        raise ZeroDivisionError("a bug")


class DeadEngine(BuggyEngine):
    healthy = False

    async def generate(self, job):
        raise TailraceError(ErrorCode.ENGINE_FAILED, "the engine is dead")


async def test_a_dead_engine_fails_no_stream_and_takes_no_more():
    broker, intake = Broker(), Intake()
    settings = WorkerSettings("default", "sim", NatsSettings([]), capacity=1)
    tools = Tools("worker1", broker, broker, DeadEngine(0), intake, settings, Metrics("sim"))
    request = Request(str(STREAM), "chat", "chatcmpl-1", 1, True, msgspec.Raw(b'{"model":"sim"}'))
    await Generation(tools, request, Delivery(b"", "$JS.ACK.x", 1, 0.0)).run()
    assert intake.fates == ["stopped pulling", "handed back"]
    assert broker.published == []


@pytest.mark.parametrize(
    ("good_steps", "fate"), [(None, "acknowledged"), (0, "handed back"), (3, "handed back")], ids=["at once", "0", "3"]
)
async def test_an_unforeseen_failure_of_the_engine_gives_the_request_up_or_to_another_worker(good_steps, fate):
    broker, intake = Broker(), Intake()
    settings = WorkerSettings("default", "sim", NatsSettings([]), capacity=1)
    tools = Tools("worker1", broker, broker, BuggyEngine(good_steps), intake, settings, Metrics("sim"))
    request = Request(str(STREAM), "chat", "chatcmpl-1", 1, True, msgspec.Raw(b'{"model":"sim"}'))
    await Generation(tools, request, Delivery(b"", "$JS.ACK.x", 1, 0.0)).run()
    assert intake.fates == [fate]
    if fate == "acknowledged":
        last = broker.published[-1]
        assert isinstance(last, Ended)
        assert (last.outcome, last.error.code) == ("failed", "engine_failed")
        assert "ZeroDivisionError" in last.error.message
