"""A log that nobody can write to for a while costs its stream a pause, and the request none of its deliveries."""

import asyncio

import msgspec
import pytest
from nats.errors import Error as NatsError
from nats.js.errors import NoStreamResponseError
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Accepted, Ended, Started, TokenGroup, Usage, decode_event
from tailrace_protocol.requests import Request
from tailrace_protocol.settings import NatsSettings, WorkerSettings
from tailrace_protocol.subjects import ModelKey, StreamId
from tailrace_worker import generation
from tailrace_worker.engines.engine import Step
from tailrace_worker.generation import Generation, StopReason, Tools
from tailrace_worker.intake import Delivery
from tailrace_worker.metrics import Metrics

STREAM = StreamId.new(ModelKey("default", "sim"), "gateway1", 1)
REQUEST = Request(str(STREAM), "chat", "chatcmpl-1", 1, True, msgspec.Raw(b'{"model":"sim"}'))
WAITED_S = 10.0
RETRIES = 30


class Log:
    """Connection and JetStream in one: a log that is away for so many questions, and then keeps what is said."""

    max_payload = 1_000_000
    is_connected = True

    def __init__(self, away):
        self.stats = {"reconnects": 0}
        self.away = away
        self.events = []

    async def publish(self, subject, data, timeout=None, headers=None):
        if "control" in subject or ".ctl." in subject:
            return
        event = decode_event(data)
        if not self._answers():
            raise NoStreamResponseError
        self.events.append(event)

    def _answers(self):
        self.away -= 1
        return self.away < 0

    async def read(self):
        if not self._answers():
            raise NatsError("no leader")
        return [generation.Logged(event, number, 0.0) for number, event in enumerate(self.events, 1)]


class Intake:
    def __init__(self):
        self.fates = []

    async def acknowledge(self, delivery):
        self.fates.append("acknowledged")

    async def hand_back(self, delivery):
        self.fates.append("handed back")


class Engine:
    healthy = True

    async def generate(self, job):
        return self.steps()

    async def steps(self):
        yield Step((TokenGroup(0, [1], finish="stop"),), (b'"a"',), Usage(1, 1))


@pytest.fixture
def reads(monkeypatch):
    async def at_leader(log, stream):
        for entry in await log.read():
            yield entry

    async def pages(log, stream):
        return await log.read()

    monkeypatch.setattr(generation, "read_log_at_leader", at_leader)
    monkeypatch.setattr(generation, "read_log", pages)
    monkeypatch.setattr(generation, "_OUTAGE_PAUSES_S", (0.0, 0.0))


def make(away, waited_s=WAITED_S, attempt=2):
    log, intake = Log(away), Intake()
    settings = WorkerSettings("default", "sim", NatsSettings([]), capacity=1)
    tools = Tools("worker1", log, log, Engine(), intake, settings, Metrics("sim"))
    return log, intake, Generation(tools, REQUEST, Delivery(b"", "$JS.ACK.x", attempt, waited_s))


async def test_the_request_is_kept_while_the_log_has_no_leader(reads):
    log, intake, run = make(away=RETRIES)
    log.events = [Accepted(frames=[msgspec.Raw(b"{}")], created=1, kind="chat")]
    await run.run()
    assert [type(event) for event in log.events] == [Accepted, Started, Ended]
    assert log.events[-1].outcome == "finished"
    assert intake.fates == ["acknowledged"]


async def test_a_log_that_lost_its_beginning_gets_it_again(reads):
    log, intake, run = make(away=RETRIES)
    await run.run()
    assert [type(event) for event in log.events] == [Accepted, Started, Ended]
    assert b'"role":"assistant"' in bytes(log.events[0].frames[0])
    assert intake.fates == ["acknowledged"]


async def test_a_log_that_may_have_expired_is_not_begun_anew(reads):
    log, _, run = make(away=0, waited_s=100_000)
    await run.run()
    [ended] = log.events
    assert (ended.outcome, ended.error.code) == ("failed", "replay_expired")


async def test_who_is_told_to_hand_over_does_so_in_an_outage_too(reads):
    _, intake, run = make(away=1_000_000_000)
    task = asyncio.create_task(run.run())
    await asyncio.sleep(0.05)
    run.stop(StopReason.HAND_OVER)
    await asyncio.wait_for(task, 5)
    assert intake.fates == ["handed back"]


async def test_a_body_that_cannot_be_fetched_just_now_ends_no_stream(reads, monkeypatch):
    answers = [TailraceError(ErrorCode.BROKER_UNAVAILABLE)] * 3

    async def load(js, name):
        if answers:
            raise answers.pop()
        return b'{"model":"sim"}'

    monkeypatch.setattr(generation.payloads, "load", load)
    log, intake, run = make(away=0)
    run._request = msgspec.structs.replace(REQUEST, body=msgspec.Raw(b""), body_object="kept")
    log.events = [Accepted(frames=[msgspec.Raw(b"{}")], created=1, kind="chat")]
    await run.run()
    assert log.events[-1].outcome == "finished"
    assert intake.fates == ["acknowledged"]
