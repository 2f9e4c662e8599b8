"""Each rule of the fold, by itself: what a reader of these events delivers, and whether it knows of a gap."""

from dataclasses import dataclass

import msgspec
import pytest
from tailrace_protocol.events import (
    Accepted,
    Checkpoint,
    Delta,
    Ended,
    Started,
    first_position,
    last_position,
)
from tailrace_protocol.log import EARLY_LIMIT, LogCursor


def _frames(text, count):
    return [msgspec.Raw(b'"%s"' % f"{text}.{i}".encode()) for i in range(count)]


def accepted(choices=1):
    return Accepted(_frames("role", choices), created=0, kind="chat")


def began(attempt, base, worker="w"):
    return Started(attempt, base, worker)


def text(attempt, seq, frames=1):
    return Delta(attempt, seq, [], _frames(f"text of {attempt} at {seq}", frames))


def reached(attempt, seq):
    return Checkpoint(attempt, seq)


def end(attempt, seq):
    return Ended(attempt, seq, seq, "finished")


BEGUN = [accepted(), began(1, 2)]
THREE = [*BEGUN, text(1, 2), text(1, 3)]


def _texts(events):
    return [event for event in events if not isinstance(event, Started)]


@dataclass
class Case:
    promise: str
    events: list
    delivers: list
    gap: bool = False


CASES = [
    Case("what the gateway wrote is delivered before any attempt begins", [accepted()], [accepted()]),
    Case("several choices take several positions", [accepted(3), began(1, 4), text(1, 4)], [accepted(3), text(1, 4)]),
    Case("an attempt delivers nothing by beginning", BEGUN, [accepted()]),
    Case("text is delivered as it comes", THREE, [accepted(), text(1, 2), text(1, 3)]),
    Case(
        "tokens without text take one position",
        [*BEGUN, text(1, 2, 0), text(1, 3)],
        [accepted(), text(1, 2, 0), text(1, 3)],
    ),
    Case(
        "an event with several frames takes as many positions",
        [*BEGUN, text(1, 2, 3), text(1, 5)],
        [accepted(), text(1, 2, 3), text(1, 5)],
    ),
    Case("a duplicate is dropped", [*THREE, text(1, 2), accepted(), text(1, 3)], [accepted(), text(1, 2), text(1, 3)]),
    Case(
        "nothing is delivered after the end",
        [*BEGUN, end(1, 2), text(1, 3), began(2, 3), text(2, 3)],
        [accepted(), end(1, 2)],
    ),
    Case(
        "an end with all before it leaves no gap",
        [*THREE, end(1, 4), reached(1, 9)],
        [accepted(), text(1, 2), text(1, 3), end(1, 4)],
    ),
    # gaps
    Case("an event that comes too early waits, and that is a gap", [*BEGUN, text(1, 3)], [accepted()], gap=True),
    Case(
        "a gap that is filled delivers what waited, in order",
        [*BEGUN, text(1, 4), text(1, 3), text(1, 2)],
        [accepted(), text(1, 2), text(1, 3), text(1, 4)],
    ),
    Case("an end that comes too early waits for what is before it", [*BEGUN, end(1, 3)], [accepted()], gap=True),
    Case(
        "an end that waited ends the stream once the gap is filled",
        [*BEGUN, end(1, 3), text(1, 2)],
        [accepted(), text(1, 2), end(1, 3)],
    ),
    Case(
        "a checkpoint beyond what was seen is a gap",
        [*THREE, reached(1, 4)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "a checkpoint that comes before its text is a gap only until the text comes",
        [*BEGUN, reached(1, 2), text(1, 2)],
        [accepted(), text(1, 2)],
    ),
    Case(
        "a checkpoint of what was seen is no gap",
        [*THREE, reached(1, 3), reached(1, 2)],
        [accepted(), text(1, 2), text(1, 3)],
    ),
    Case("a log without its beginning delivers nothing", THREE[1:], [], gap=True),
    Case(
        "a beginning that comes late lets its attempt begin",
        [began(1, 2), accepted(), text(1, 2)],
        [accepted(), text(1, 2)],
    ),
    Case("text of an attempt whose beginning was not seen is a gap", [accepted(), text(1, 2)], [accepted()], gap=True),
    Case(
        "a checkpoint of an attempt whose beginning was not seen is a gap",
        [*THREE, reached(2, 3)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "text seen before its attempt's beginning is still missing after it",
        [*THREE, text(2, 4), began(2, 4)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "old text is not delivered while a newer attempt writes from an unknown place",
        [*THREE, text(2, 5), text(1, 4)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "text seen before its attempt's beginning is missing until the attempt has delivered that far",
        [*THREE, text(2, 6), began(2, 4), text(2, 4)],
        [accepted(), text(1, 2), text(1, 3), text(2, 4)],
        gap=True,
    ),
    # take-overs
    Case(
        "what an attempt promised and never wrote is forgotten when the next one begins",
        [*THREE, reached(1, 9), began(2, 4), text(2, 4)],
        [accepted(), text(1, 2), text(1, 3), text(2, 4)],
    ),
    Case(
        "a higher attempt continues at the next position",
        [*THREE, began(2, 4), text(2, 4)],
        [accepted(), text(1, 2), text(1, 3), text(2, 4)],
    ),
    Case(
        "text of an attempt that was superseded is void",
        [*THREE, began(2, 4), text(2, 4), text(1, 4), text(1, 5)],
        [accepted(), text(1, 2), text(1, 3), text(2, 4)],
    ),
    Case(
        "the end of an attempt that was superseded is void",
        [*THREE, began(2, 4), text(2, 4), end(1, 4), end(1, 5), end(2, 5)],
        [accepted(), text(1, 2), text(1, 3), text(2, 4), end(2, 5)],
    ),
    Case(
        "a checkpoint of an attempt that was superseded promises nothing",
        [*THREE, began(2, 4), text(2, 4), reached(1, 9)],
        [accepted(), text(1, 2), text(1, 3), text(2, 4)],
    ),
    Case(
        "an attempt that comes back from the dead does not begin again",
        [*THREE, began(2, 4), text(2, 4), began(1, 2), began(1, 5), text(1, 5)],
        [accepted(), text(1, 2), text(1, 3), text(2, 4)],
    ),
    Case(
        "an attempt that wrote nothing is continued where it began",
        [*THREE, began(2, 4), began(3, 4), text(2, 4), text(3, 4)],
        [accepted(), text(1, 2), text(1, 3), text(3, 4)],
    ),
    Case(
        "attempts may be left out", [*THREE, began(5, 4), text(5, 4)], [accepted(), text(1, 2), text(1, 3), text(5, 4)]
    ),
    Case(
        "a beginning that is repeated changes nothing",
        [*THREE, began(1, 2), text(1, 4)],
        [accepted(), text(1, 2), text(1, 3), text(1, 4)],
    ),
    Case(
        "a gap in the log ends where the next attempt begins",
        [*BEGUN, text(1, 3), reached(1, 3), began(2, 2), text(2, 2), text(2, 3)],
        [accepted(), text(2, 2), text(2, 3)],
    ),
    # what only a live reader can see
    Case("a take-over before the last text of the old attempt is a gap", [*BEGUN, began(2, 4)], [accepted()], gap=True),
    Case(
        "a take-over waits for the last text of the old attempt",
        [*BEGUN, text(1, 2), began(2, 4), text(1, 3), text(2, 4)],
        [accepted(), text(1, 2), text(1, 3), text(2, 4)],
    ),
    Case(
        "old text beyond a take-over that waited is void",
        [*BEGUN, began(2, 3), text(1, 2), text(1, 3)],
        [accepted(), text(1, 2)],
        gap=True,
    ),
    Case(
        "a take-over in the middle of an event is in doubt",
        [*BEGUN, began(2, 3), text(1, 2, 2), text(2, 4), text(1, 4)],
        [accepted(), text(1, 2, 2)],
        gap=True,
    ),
    Case(
        "of two take-overs that wait the first to begin comes first",
        [*BEGUN, began(3, 5), began(2, 3), text(1, 2), text(2, 3)],
        [accepted(), text(1, 2)],
        gap=True,
    ),
    Case(
        "of two take-overs that wait the second is not forgotten",
        [*BEGUN, began(2, 3), began(3, 5), text(1, 2)],
        [accepted(), text(1, 2)],
        gap=True,
    ),
    Case(
        "of two take-overs that wait at one place the newer one writes",
        [*BEGUN, began(2, 3), began(3, 3), text(1, 2), text(3, 3)],
        [accepted(), text(1, 2), text(3, 3)],
    ),
    Case(
        "old text after a take-over that has not written puts the take-over in doubt",
        [*THREE, began(2, 4), text(1, 4)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "an old end after a take-over that has not written puts the take-over in doubt",
        [*THREE, began(2, 4), end(1, 4)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "an old duplicate after a take-over is no doubt",
        [*THREE, began(2, 4), text(1, 3), reached(1, 3), began(1, 2)],
        [accepted(), text(1, 2), text(1, 3)],
    ),
    Case(
        "a lower take-over after a higher one that has not written puts it in doubt",
        [*THREE, began(3, 4), began(2, 5)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "a take-over across a gap is in doubt until it writes",
        [*BEGUN, text(1, 3), began(2, 2)],
        [accepted()],
        gap=True,
    ),
    Case(
        "the doubt ends when the new attempt's text comes",
        [*THREE, began(2, 4), text(1, 4), text(2, 4)],
        [accepted(), text(1, 2), text(1, 3), text(2, 4)],
    ),
    Case(
        "a take-over at a place that was passed is disputed: nothing more is delivered",
        [*THREE, began(2, 3), text(1, 4), text(2, 4)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "one attempt that begins at two places is disputed",
        [*THREE, began(2, 4), began(2, 5), text(2, 4)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "one attempt by two workers is disputed",
        [*THREE, began(2, 4, "a"), began(2, 4, "b"), text(2, 4)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    # events of one attempt that contradict each other
    Case(
        "an event that overlaps what was delivered is disputed",
        [*BEGUN, text(1, 2, 2), text(1, 3, 2), text(1, 4)],
        [accepted(), text(1, 2, 2)],
        gap=True,
    ),
    Case(
        "an end at a place that was passed is disputed: two writers had one attempt",
        [*THREE, end(1, 3), text(1, 4)],
        [accepted(), text(1, 2), text(1, 3)],
        gap=True,
    ),
    Case(
        "an early event that overlaps what is delivered before it is disputed",
        [*BEGUN, text(1, 4, 2), text(1, 3, 2), text(1, 2)],
        [accepted(), text(1, 2), text(1, 3, 2)],
        gap=True,
    ),
    Case(
        "an early event within what is delivered before it is dropped",
        [*BEGUN, text(1, 3), text(1, 2, 2), text(1, 4)],
        [accepted(), text(1, 2, 2), text(1, 4)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.promise)
def test_a_live_reader_knows_that(case):
    cursor = LogCursor()
    assert [ready for event in case.events for ready in cursor.feed(event)] == case.delivers
    assert cursor.gap == case.gap
    assert cursor.position == (last_position(case.delivers[-1]) if case.delivers else 0)


def test_the_log_itself_leaves_no_doubt_about_a_take_over():
    cursor = LogCursor()
    events = [*BEGUN, text(1, 3), began(2, 2), text(1, 2), end(1, 2)]
    assert cursor.feed_all(events) == [accepted()]
    assert (cursor.attempt, cursor.gap) == (2, False)


def test_a_live_take_over_that_the_log_holds_is_in_doubt_no_more():
    cursor = LogCursor()
    for event in [*THREE, began(2, 4), text(1, 4)]:
        cursor.feed(event)
    assert cursor.gap
    assert cursor.feed_all([*THREE, began(2, 4), text(1, 4)]) == []
    assert not cursor.gap


def test_the_cursor_says_who_writes_and_whether_the_stream_has_ended():
    cursor = LogCursor()
    assert (cursor.writer, cursor.ended) == (None, None)
    cursor.feed_all([*THREE, began(2, 4, "other"), end(2, 4)])
    assert cursor.writer == began(2, 4, "other")
    assert cursor.ended == end(2, 4)
    assert cursor.takeovers == [(1, 2), (2, 4)]


def test_in_the_log_an_end_at_a_place_that_was_passed_came_too_late():
    cursor = LogCursor()
    assert cursor.feed_all([*THREE, end(1, 3), text(1, 4), end(1, 5)]) == [*_texts(THREE), text(1, 4), end(1, 5)]


def test_of_two_take_overs_that_wait_the_first_to_begin_writes_first():
    for order in ([began(2, 3), began(3, 5)], [began(3, 5), began(2, 3)]):
        cursor = LogCursor()
        for event in [*BEGUN, *order, text(1, 2)]:
            cursor.feed(event)
        assert cursor.writer == began(2, 3)


def test_an_end_by_the_gateway_of_a_stream_that_nobody_began_is_delivered():
    assert LogCursor().feed_all([accepted(), end(0, 2), began(1, 2), text(1, 2)]) == [accepted(), end(0, 2)]


AGREEMENTS = [
    ("the same text", [*THREE, text(1, 4)], THREE, True),
    ("a beginning of the log", [*THREE, began(2, 4), text(2, 4)], THREE, True),
    ("text that the log gives to a later attempt", [*THREE[:-1], began(2, 3), text(2, 3)], THREE, False),
    ("text where the log has a later attempt that has not written yet", [*THREE[:-1], began(2, 3)], THREE, False),
    ("a take-over that the log refused, without text of it", [*THREE, text(1, 4)], [*THREE, began(2, 4)], True),
    ("text of a take-over that the log does not hold", [*THREE, text(1, 4)], [*THREE, began(2, 4), text(2, 4)], False),
    (
        "an attempt that wrote nothing",
        [*THREE, began(2, 4), began(3, 4), text(3, 4)],
        [*THREE, began(3, 4), text(3, 4)],
        True,
    ),
    ("nothing yet", THREE, [], True),
]


@pytest.mark.parametrize(("logged", "seen", "agrees"), [a[1:] for a in AGREEMENTS], ids=[a[0] for a in AGREEMENTS])
def test_a_reader_agrees_with_the_log_about(logged, seen, agrees):
    log, live = LogCursor(), LogCursor()
    log.feed_all(logged)
    for event in seen:
        live.feed(event)
    assert live.agrees_with(log) == agrees
    assert log.agrees_with(live) == agrees


def test_a_flood_of_early_events_is_left_to_the_log():
    flood = [text(1, position) for position in range(3, 3 + 2 * EARLY_LIMIT)]
    cursor = LogCursor()
    for event in [*BEGUN, *flood]:
        cursor.feed(event)
    kept = cursor.feed(text(1, 2))
    assert kept == [text(1, 2), *flood[:EARLY_LIMIT]]
    assert cursor.gap
    assert cursor.feed_all([*BEGUN, *flood, text(1, 2)]) == flood[EARLY_LIMIT:]
    assert not cursor.gap


def test_a_whole_log_is_folded_however_late_its_gap_is_filled():
    flood = [text(1, position) for position in range(3, 3 + 2 * EARLY_LIMIT)]
    assert LogCursor().feed_all([*BEGUN, *flood, text(1, 2)]) == [accepted(), text(1, 2), *flood]


@pytest.mark.parametrize(
    ("event", "first", "last"),
    [
        (accepted(), 1, 1),
        (accepted(3), 1, 3),
        (Accepted([], 0, "chat"), 1, 1),
        (text(1, 5, 0), 5, 5),
        (text(1, 5, 3), 5, 7),
        (Ended(1, 8, 8, "failed"), 8, 8),
        (Ended(1, 8, 10, "finished", result="s.result"), 8, 10),
    ],
)
def test_an_event_knows_its_first_and_last_position(event, first, last):
    assert (first_position(event), last_position(event)) == (first, last)
