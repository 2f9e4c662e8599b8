"""What the broker has not confirmed is published again; what it refused by the fence is not written at all."""

import pytest
from nats.js.errors import APIError, NoStreamResponseError
from tailrace_protocol.events import Accepted, Checkpoint, Delta, Ended, Started, TokenGroup, decode_event
from tailrace_protocol.subjects import ModelKey, StreamId
from tailrace_protocol.wire import encode
from tailrace_worker import writer as writer_module
from tailrace_worker.writer import FencedError, LogWriter

STREAM = StreamId.new(ModelKey("default", "m"), "abcd", 1_800_000_000)


OPENING = Accepted(frames=[], created=1_800_000_000, kind="chat")


class Broker:
    """Both faces of the client: core publishes and acknowledged ones."""

    def __init__(self):
        self.stats = {"reconnects": 0}
        self.is_connected = True
        self.max_payload = 1_048_576
        self.core = []
        self.acknowledged = []
        self.failures = []

    async def publish(self, subject, data, timeout=None, headers=None):
        if timeout is None:
            self.core.append(decode_event(data))
            return
        if self.failures:
            raise self.failures.pop(0)
        self.acknowledged.append((decode_event(data), headers or {}))


def make(fence=None, previous=0, attempt=1):
    broker = Broker()
    return broker, LogWriter(broker, broker, STREAM, attempt, 1, previous, fence)


async def write(writer, count):
    for number in range(count):
        await writer.write((TokenGroup(0, [number]),), (b'"x"',))


def positions(events):
    return [event.seq for event in events if isinstance(event, Delta)]


async def test_after_a_reconnect_everything_unconfirmed_comes_again_from_the_start_of_the_attempt():
    broker, writer = make()
    await writer.start("w", "ack", lambda: encode(OPENING))
    await write(writer, 3)
    broker.core.clear()
    await writer.republish()
    assert broker.core[0] == OPENING, "it went the same way as the attempt's first events"
    assert isinstance(broker.core[1], Started)
    assert positions(broker.core) == [2, 3, 4]


async def test_one_checkpoint_releases_nothing_and_the_next_what_the_first_covered():
    broker, writer = make()
    await writer.start("w", "ack", lambda: encode(OPENING))
    await write(writer, 2)
    await writer.checkpoint()
    broker.core.clear()
    await writer.republish()
    assert broker.core[0] == OPENING
    assert positions(broker.core) == [2, 3]
    await write(writer, 1)
    await writer.checkpoint()
    broker.core.clear()
    await writer.republish()
    assert positions(broker.core) == [4]
    assert len(broker.core) == 1
    assert [c.seq for c, _ in broker.acknowledged if isinstance(c, Checkpoint)] == [3, 4]


async def test_a_checkpoint_that_a_reconnect_crossed_confirms_nothing():
    broker, writer = make()
    await writer.start("w", "ack", lambda: encode(OPENING))
    await write(writer, 2)
    reply = broker.publish

    async def reconnecting(*arguments, **options):
        broker.stats["reconnects"] += 1
        await reply(*arguments, **options)

    broker.publish = reconnecting
    await writer.checkpoint()
    await writer.checkpoint()
    broker.publish = reply
    broker.core.clear()
    await writer.republish()
    assert positions(broker.core) == [2, 3]


async def test_while_the_broker_is_away_events_are_kept_and_not_sent():
    broker, writer = make()
    await writer.start("w", "ack", lambda: encode(OPENING))
    broker.is_connected = False
    await write(writer, 2)
    assert positions(broker.core) == []
    broker.is_connected = True
    await writer.republish()
    assert positions(broker.core) == [2, 3]


async def test_the_end_is_sent_until_it_is_acknowledged_and_counts_all_positions():
    broker, writer = make()
    await writer.start("w", "ack", lambda: encode(OPENING))
    await write(writer, 2)
    broker.failures = [TimeoutError()]
    await writer.end("finished", frames=(b'"a"', b'"b"'))
    [(ended, _)] = broker.acknowledged
    assert isinstance(ended, Ended)
    assert (ended.attempt, ended.seq, ended.count) == (1, 4, 5)


async def test_a_later_attempt_starts_behind_its_fence():
    broker, writer = make(fence=17, previous=1, attempt=2)
    await writer.start("w", "ack", lambda: encode(OPENING))
    [(started, headers)] = broker.acknowledged
    assert (started.attempt, started.base) == (2, 2)
    assert headers["Nats-Expected-Last-Subject-Sequence"] == "17"


@pytest.mark.parametrize("act", ["start", "end"])
async def test_a_log_that_grew_meanwhile_refuses_the_newcomer(act):
    broker, writer = make(fence=17, previous=1, attempt=2)
    broker.failures = [APIError(code=400, err_code=10071, description="wrong last sequence: 18")]
    with pytest.raises(FencedError):
        await (writer.start("w", "ack", lambda: encode(OPENING)) if act == "start" else writer.end("failed"))
    assert broker.acknowledged == []


async def test_an_attempt_that_never_started_ends_the_log_in_the_name_of_the_previous_one():
    broker, writer = make(fence=17, previous=1, attempt=2)
    await writer.end("failed")
    [(ended, headers)] = broker.acknowledged
    assert ended.attempt == 1
    assert headers["Nats-Expected-Last-Subject-Sequence"] == "17"


async def test_who_stops_writing_while_the_log_has_no_leader_says_everything_again_when_it_has_one(monkeypatch):
    monkeypatch.setattr(writer_module, "_SETTLE_PAUSE_S", 0.0)
    broker, writer = make()
    await writer.start("w", "ack", lambda: encode(OPENING))
    await write(writer, 3)
    broker.core.clear()
    broker.failures = [NoStreamResponseError(), TimeoutError()]
    await writer.settle(5)
    assert positions(broker.core) == [2, 3, 4] * 2, "after each checkpoint that failed"
    assert [event.seq for event, _ in broker.acknowledged] == [4]


async def test_who_stops_writing_to_a_log_that_is_well_says_nothing_twice():
    broker, writer = make()
    await writer.start("w", "ack", lambda: encode(OPENING))
    await write(writer, 3)
    broker.core.clear()
    await writer.settle(5)
    assert broker.core == []
    assert [event.seq for event, _ in broker.acknowledged] == [4]


async def test_an_end_that_could_not_be_stored_leaves_no_hole():
    broker, writer = make(fence=None)
    broker.max_payload = 20_000
    await writer.start("w", "ack", lambda: encode(OPENING))
    await write(writer, 1)
    with pytest.raises(AttributeError):  # This broker has no object store.
        await writer.end("finished", frames=(b'"' + b"x" * 30_000 + b'"',))
    assert writer.position == 2
