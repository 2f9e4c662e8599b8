"""What a gateway says again in a dead worker's name, and what it must not."""

from tailrace_gateway.heard import LIMIT, Heard
from tailrace_protocol.events import Checkpoint, Delta, Started


def delta(seq, attempt=1):
    return Delta(attempt=attempt, seq=seq, groups=[], frames=[])


def note(heard, *events):
    for event in events:
        heard.note(event, f"{type(event).__name__} {event.attempt} {getattr(event, 'seq', '')}".strip().encode())
    return heard.messages()


def test_a_first_attempt_is_said_again_from_its_beginning():
    assert note(Heard(), Started(1, 2, "a"), delta(2), delta(3)) == [b"Started 1", b"Delta 1 2", b"Delta 1 3"]


def test_a_later_attempts_beginning_is_not_since_the_log_may_have_refused_it():
    assert note(Heard(), Started(2, 5, "b"), delta(5, 2)) == [b"Delta 2 5"]


def test_what_an_earlier_attempt_wrote_is_void():
    assert note(Heard(), Started(1, 2, "a"), delta(2), Started(2, 3, "b"), delta(3), delta(3, 2)) == [b"Delta 2 3"]


def test_a_beginning_that_comes_late_changes_nothing():
    assert note(Heard(), Started(2, 3, "b"), delta(3, 2), Started(1, 2, "a"), delta(2)) == [b"Delta 2 3"]


def test_an_attempt_whose_beginning_was_not_heard_is_left_to_the_log():
    assert note(Heard(), Started(1, 2, "a"), delta(2), delta(3, 2)) == [b"Started 1", b"Delta 1 2"]


def test_a_checkpoint_releases_what_the_one_before_covered():
    heard = Heard()
    first = note(heard, Started(1, 2, "a"), delta(2), Checkpoint(1, 2), delta(3))
    assert first == [b"Started 1", b"Delta 1 2", b"Delta 1 3"]
    assert note(heard, Checkpoint(1, 3)) == [b"Delta 1 3"]


def test_no_more_than_the_last_events_are_kept():
    said = note(Heard(), Started(1, 2, "a"), *(delta(seq) for seq in range(2, 2 + 2 * LIMIT)))
    assert len(said) == LIMIT
    assert said[-1] == f"Delta 1 {1 + 2 * LIMIT}".encode()
