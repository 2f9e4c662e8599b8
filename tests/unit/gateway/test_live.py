"""When a stream that nobody reads is cancelled, and when it is not."""

import pytest
from tailrace_gateway.live import LiveStream
from tailrace_protocol.events import Ended, Started
from tailrace_protocol.settings import ModelSettings
from tailrace_protocol.subjects import ModelKey, StreamId


class Listener:
    def __init__(self):
        self.events = []

    def on_event(self, event):
        self.events.append(event)

    def read_again(self):
        pass

    def fail(self, error):
        pass


def make(policy="cancel", own=True, **settings):
    model = ModelSettings("default", "m", disconnect_grace_s=2.0, queue_timeout_s=10.0, **settings)
    stream = StreamId.new(ModelKey("default", "m"), "abcd", 1_800_000_000)
    return LiveStream(stream, model, own=own, policy=policy)


def left_at(live, now):
    listener = Listener()
    live.attach(listener)
    live.detach(listener, now)


@pytest.mark.parametrize(("later", "cancelled"), [(0.0, False), (1.9, False), (2.0, True), (60.0, True)])
def test_the_grace_period_runs_from_the_last_reader_leaving(later, cancelled):
    live = make()
    left_at(live, 100.0)
    assert live.to_cancel(100.0 + later) is cancelled


def test_a_stream_that_was_never_left_or_wants_to_go_on_or_is_not_ours_is_not_cancelled():
    read = make()
    read.attach(Listener())
    assert not read.to_cancel(1e9)
    for live in (make("continue"), make(own=False)):
        left_at(live, 0.0)
        assert not live.to_cancel(1e9)


def test_a_reader_on_another_gateway_holds_it_and_its_lease_runs_out():
    live = make()
    left_at(live, 0.0)
    live.lease("other", until=5.0, now=1.0)
    assert not live.to_cancel(4.9)
    assert not live.to_cancel(6.0)
    assert live.to_cancel(6.9)


def test_a_gateway_that_says_goodbye_starts_the_grace_anew():
    live = make()
    left_at(live, 0.0)
    live.lease("other", until=50.0, now=1.0)
    live.lease("other", until=10.0, now=10.0)
    assert not live.to_cancel(11.9)
    assert live.to_cancel(12.0)


def test_the_end_of_an_older_attempt_is_not_the_end():
    live = make()
    live.on_event(Started(attempt=1, base=2, worker="a"))
    live.on_event(Started(attempt=2, base=5, worker="b"))
    live.on_event(Ended(attempt=1, seq=5, count=5, outcome="finished"))
    assert live.ended is None
    live.on_event(Ended(attempt=2, seq=5, count=5, outcome="finished"))
    assert live.ended is not None
    assert not live.to_cancel(1e9)


def test_the_queue_timeout_counts_until_a_worker_starts():
    live = make()
    assert not live.queue_timed_out(live.accepted + 10.0)
    assert live.queue_timed_out(live.accepted + 10.1)
    live.on_event(Started(attempt=1, base=2, worker="a"))
    assert not live.queue_timed_out(live.accepted + 1e6)


def test_the_wait_for_the_first_worker_is_told_once():
    waits = []
    model = ModelSettings("default", "m")
    stream = StreamId.new(ModelKey("default", "m"), "abcd", 1_800_000_000)
    live = LiveStream(stream, model, own=True, policy="cancel", on_start=waits.append)
    live.accepted -= 30
    for attempt in (1, 2):
        live.on_event(Started(attempt, 2, "w"))
    [waited] = waits
    assert waited >= 30
