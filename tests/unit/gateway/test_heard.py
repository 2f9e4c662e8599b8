"""What a gateway says again in a dead worker's name, and what it must not."""

from tailrace_gateway.heard import LIMIT, LIMIT_BYTES, Heard
from tailrace_protocol.events import Checkpoint, Delta, Started


def delta(seq, attempt=1):
    return Delta(attempt=attempt, seq=seq, groups=[], frames=[])


def note(heard, *events, fenced=False):
    for event in events:
        data = f"{type(event).__name__} {event.attempt} {getattr(event, 'seq', '')}".strip().encode()
        heard.note(event, data, fenced=fenced and isinstance(event, Started))
    return heard.messages()


def test_an_attempt_is_said_again_from_its_beginning():
    assert note(Heard(), Started(1, 2, "a"), delta(2), delta(3)) == [b"Started 1", b"Delta 1 2", b"Delta 1 3"]


def test_a_fenced_beginning_is_not_since_the_log_may_have_refused_it():
    assert note(Heard(), Started(2, 5, "b"), delta(5, 2), fenced=True) == [b"Delta 2 5"]
    assert note(Heard(), Started(1, 2, "b"), delta(2), fenced=True) == [b"Delta 1 2"]


def test_what_an_earlier_attempt_wrote_is_void():
    said = note(Heard(), Started(1, 2, "a"), delta(2), Started(2, 3, "b"), delta(3), delta(3, 2))
    assert said == [b"Started 2", b"Delta 2 3"]


def test_a_beginning_that_comes_late_or_again_changes_nothing():
    heard = Heard()
    assert note(heard, Started(2, 3, "b"), delta(3, 2), Started(1, 2, "a"), delta(2)) == [b"Started 2", b"Delta 2 3"]
    assert note(heard, Started(2, 3, "b")) == [b"Started 2", b"Delta 2 3"]


def test_an_attempt_whose_beginning_was_not_heard_is_left_to_the_log():
    assert note(Heard(), delta(2)) == []
    assert note(Heard(), Started(1, 2, "a"), delta(2), delta(3, 2)) == [b"Started 1", b"Delta 1 2"]


def test_a_checkpoint_may_be_heard_that_the_log_never_takes():
    said = note(Heard(), Started(1, 2, "a"), delta(2), Checkpoint(1, 2), delta(3), Checkpoint(1, 3))
    assert said == [b"Started 1", b"Delta 1 2", b"Delta 1 3"]


def test_the_beginning_and_the_last_events_are_kept_and_no_more():
    said = note(Heard(), Started(1, 2, "a"), *(delta(seq) for seq in range(2, 2 + 2 * LIMIT)))
    assert len(said) == 1 + LIMIT
    assert (said[0], said[-1]) == (b"Started 1", f"Delta 1 {1 + 2 * LIMIT}".encode())


def test_large_events_are_kept_up_to_a_bound_from_the_newest():
    heard = Heard()
    heard.note(Started(1, 2, "a"), b"Started", fenced=True)
    for seq in range(2, 6):
        heard.note(delta(seq), bytes(LIMIT_BYTES // 2), fenced=False)
    assert len(heard.messages()) == 2
    heard.note(delta(6), bytes(LIMIT_BYTES + 1), fenced=False)
    assert heard.messages() == []


def test_an_ended_stream_is_forgotten():
    heard = Heard()
    assert note(heard, Started(1, 2, "a"), delta(2))
    heard.forget()
    assert heard.messages() == []
