"""What a worker does with a delivered request follows from its log alone."""

import msgspec
import pytest
from tailrace_protocol.errors import ErrorCode
from tailrace_protocol.events import Accepted, Delta, Ended, Started, TokenGroup
from tailrace_worker.continuation import Continue, Done, GiveUp, decide

RAW = msgspec.Raw(b'"x"')
ACCEPTED = Accepted(frames=[RAW], created=1, kind="chat")


def started(attempt, base):
    return Started(attempt=attempt, base=base, worker="w")


def delta(attempt, seq, token):
    return Delta(attempt=attempt, seq=seq, groups=[TokenGroup(0, [token])], frames=[RAW])


def test_a_log_with_only_its_beginning_is_continued_from_there():
    decision = decide([ACCEPTED], 5, 1)
    assert isinstance(decision, Continue)
    assert (decision.position, decision.previous, decision.replay) == (1, 0, ())


def test_the_replay_holds_what_belongs_to_the_stream_and_nothing_else():
    log = [
        ACCEPTED,
        started(1, 2),
        delta(1, 2, 10),
        delta(1, 2, 10),
        started(2, 3),
        delta(1, 3, 666),
        delta(2, 3, 11),
        delta(2, 5, 667),
    ]
    decision = decide(log, 5, 1)
    assert isinstance(decision, Continue)
    assert decision.position == 3
    assert decision.previous == 2
    assert [[g.tokens for g in groups] for groups in decision.replay] == [[[10]], [[11]]]


def test_a_log_that_has_its_end_needs_only_an_acknowledgement():
    end = Ended(attempt=1, seq=2, count=2, outcome="finished", frames=[RAW])
    assert isinstance(decide([ACCEPTED, started(1, 2), end], 5, 1), Done)


def test_a_log_without_its_beginning_cannot_be_served():
    for log in ([], [started(1, 2), delta(1, 2, 1)]):
        decision = decide(log, 5, 1)
        assert isinstance(decision, GiveUp)
        assert decision.error.code is ErrorCode.REPLAY_EXPIRED


@pytest.mark.parametrize(("barren", "gives_up"), [(0, False), (4, False), (5, True), (6, True)])
def test_a_request_that_only_kills_workers_is_given_up(barren, gives_up):
    log = [ACCEPTED, *(started(attempt, 2) for attempt in range(1, barren + 1))]
    decision = decide(log, 5, 1)
    assert isinstance(decision, GiveUp) is gives_up
    if gives_up:
        assert decision.error.code is ErrorCode.WORKER_LOST
        assert decision.error.retryable


def test_progress_starts_the_count_anew_so_a_long_stream_may_move_any_number_of_times():
    log = [ACCEPTED]
    for attempt in range(1, 50):
        log += [started(attempt, attempt + 1), delta(attempt, attempt + 1, attempt)]
    assert isinstance(decide(log, 2, 1), Continue)


def test_every_decision_says_why():
    for log in ([ACCEPTED], [], [ACCEPTED, started(1, 2)]):
        assert decide(log, 1, 1).reason


@pytest.mark.parametrize(("deliveries", "gives_up"), [(20, False), (21, True)])
def test_a_request_that_kills_workers_before_they_write_anything_is_given_up_too(deliveries, gives_up):
    assert isinstance(decide([ACCEPTED], 5, deliveries), GiveUp) is gives_up


def test_a_stream_that_was_handed_over_often_is_not_mistaken_for_one_that_kills_silently():
    log = [ACCEPTED]
    for attempt in range(1, 50):
        log += [started(attempt, attempt + 1), delta(attempt, attempt + 1, attempt)]
    assert isinstance(decide(log, 2, 50), Continue)
