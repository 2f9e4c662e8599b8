"""A reader gives its client every position once and in order, and keeps little for one that does not take it."""

import msgspec
import pytest
from tailrace_gateway.delivery.reader import Reader
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.events import Accepted, Checkpoint, Delta, Ended, Started, TokenGroup
from tailrace_protocol.log import LogCursor


def accepted():
    return Accepted(frames=[msgspec.Raw(b'"role"')], created=1, kind="chat")


def started(attempt=1, base=2):
    return Started(attempt=attempt, base=base, worker=f"w{attempt}")


def delta(seq, attempt=1, text=None, frames=1):
    raw = [msgspec.Raw(msgspec.json.encode(text or f"t{seq + i}")) for i in range(frames)]
    return Delta(attempt=attempt, seq=seq, groups=[TokenGroup(0, [seq])], frames=raw)


def ended(seq, attempt=1, outcome="finished", error=None):
    return Ended(attempt=attempt, seq=seq, count=seq, outcome=outcome, frames=[msgspec.Raw(b'"end"')], error=error)


def live(position=0, limit=10_000, **options):
    return Reader(position, limit, live=True, **options)


def feed(reader, *events):
    for event in events:
        reader.feed_live(event)
    return reader.take()


def test_each_frame_becomes_one_event_with_its_position():
    data = feed(live(), accepted(), started(), delta(2), delta(3, frames=2), ended(5))
    assert data == (
        b'id: 1\ndata: "role"\n\nid: 2\ndata: "t2"\n\nid: 3\ndata: "t3"\n\nid: 4\ndata: "t4"\n\n'
        b'id: 5\ndata: "end"\n\nid: 5\ndata: [DONE]\n\n'
    )


def test_tokens_without_text_take_a_position_that_no_client_sees():
    data = feed(live(), accepted(), started(), delta(2, frames=0), delta(3))
    assert data == b'id: 1\ndata: "role"\n\nid: 3\ndata: "t3"\n\n'


@pytest.mark.parametrize("position", range(7))
def test_a_resume_begins_right_after_the_position_that_the_client_has(position):
    reader = Reader(position, 10_000, live=True)
    data = feed(reader, accepted(), started(), delta(2), delta(3, frames=2), ended(5))
    ids = [int(line[4:]) for line in data.split(b"\n") if line.startswith(b"id: ")]
    assert ids == [*range(position + 1, 6), 5]
    assert reader.finished


def test_duplicates_are_dropped_and_early_events_wait():
    reader = live()
    data = feed(reader, accepted(), started(), delta(3), delta(3))
    assert b"t3" not in data
    assert reader.in_doubt
    assert feed(reader, delta(2), delta(2), delta(3)) == b'id: 2\ndata: "t2"\n\nid: 3\ndata: "t3"\n\n'
    assert not reader.in_doubt


def test_a_superseded_worker_is_not_heard():
    reader = live()
    data = feed(reader, accepted(), started(), delta(2), started(2, 3), delta(3, 1, "zombie"), delta(3, 2, "right"))
    assert b"zombie" not in data
    assert b"right" in data


def test_a_checkpoint_beyond_the_position_puts_the_reader_in_doubt():
    reader = live()
    feed(reader, accepted(), started(), delta(2), Checkpoint(attempt=1, seq=4))
    assert reader.in_doubt
    feed(reader, delta(3), delta(4))
    assert not reader.in_doubt


def test_a_client_that_does_not_take_makes_the_reader_fall_behind_with_bounded_memory():
    reader = live(limit=100)
    feed(reader, accepted(), started())
    for seq in range(2, 1000):
        reader.feed_live(delta(seq))
    assert reader.behind
    kept = reader.take()
    assert len(kept) < 200
    reader.hold()
    for seq in range(2, 1000):
        reader.feed(delta(seq))
    reader.release(caught_up=True)
    assert not reader.behind
    ids = [int(line[4:]) for line in (kept + reader.take()).split(b"\n") if line.startswith(b"id: ")]
    assert ids == list(range(2, 1000))


def test_what_comes_while_the_log_is_read_is_not_lost():
    reader = Reader(0, 10_000)
    reader.feed_live(delta(2))
    reader.hold()
    reader.feed_live(delta(4))
    for event in (accepted(), started(), delta(2), delta(3)):
        reader.feed(event)
    reader.feed_live(delta(5))
    reader.release(caught_up=True)
    ids = [int(line[4:]) for line in reader.take().split(b"\n") if line.startswith(b"id: ")]
    assert ids == [1, 2, 3, 4, 5]


def test_a_position_that_the_log_gives_to_another_attempt_is_a_conflict():
    reader = live()
    feed(reader, accepted(), started(), delta(2), delta(3, 1, "void"))
    truth = LogCursor()
    for event in (accepted(), started(), delta(2), started(2, 3)):
        truth.feed(event)
    for ready in truth.feed(delta(3, 2)):
        reader.correct(truth, ready)
    [ready] = truth.feed(delta(4, 2))
    with pytest.raises(TailraceError) as conflict:
        reader.correct(truth, ready)
    assert conflict.value.code is ErrorCode.LOG_CONFLICT


def test_a_failure_in_the_log_is_an_error_event_and_then_the_end():
    body = TailraceError(ErrorCode.WORKER_LOST).body(position=2)
    data = feed(live(), accepted(), started(), delta(2), ended(3, outcome="failed", error=body))
    assert b'"code":"worker_lost"' in data
    assert b'"position":2' in data
    assert data.endswith(b"data: [DONE]\n\n")


def test_only_who_asked_hears_of_attempts():
    events = (accepted(), started(), delta(2), started(2, 3), delta(3, 2))
    assert b"tailrace.attempt" not in feed(live(), *events)
    told = feed(live(verbose=True), *events)
    assert told.count(b"event: tailrace.attempt") == 2


def test_heartbeats_are_not_kept_for_a_client_that_takes_nothing():
    reader = live(limit=50)
    for _ in range(100):
        reader.say(b": heartbeat\n")
    assert len(reader.take()) < 100
