"""Whatever happens to a stream: readers deliver its true events, in order, exactly once, or know that they cannot."""

from hypothesis import given
from hypothesis import strategies as st
from tailrace_protocol.events import Checkpoint, Started, last_position
from tailrace_protocol.log import LogCursor

from .history import History, Seen, steps
from .strategies import examples

#: What may happen to each message on its way to a live reader.
mishaps = st.lists(
    st.sampled_from(["arrives"] * 5 + ["is lost", "comes twice", "is overtaken"]), min_size=12, max_size=40
)


def _as_seen(history: History, fates: list[str]) -> list[Seen]:
    """What one live reader sees: messages lost, doubled, or overtaken by the next one."""
    fate_of = dict(enumerate(fates))
    seen: list[Seen] = []
    held: Seen | None = None
    for number, message in enumerate(history.live):
        fate = fate_of.get(number, "arrives")
        if fate == "is overtaken" and held is None:
            held = message
            continue
        seen += {"is lost": [], "comes twice": [message, message]}.get(fate, [message])
        if held is not None:
            seen.append(held)
            held = None
    return seen if held is None else [*seen, held]


def _from_log(history: History, length: int | None = None) -> tuple[LogCursor, list]:
    cursor = LogCursor()
    return cursor, cursor.feed_all(history.log[:length])


@given(plan=steps)
@examples(120)
def test_the_whole_log_delivers_the_whole_stream_in_order_exactly_once(plan):
    history = History(plan)
    cursor, delivered = _from_log(history)
    assert delivered == history.truth
    assert cursor.ended == history.truth[-1]
    assert not cursor.gap


@given(plan=steps)
@examples(150)
def test_every_beginning_of_a_log_reaches_as_far_as_nothing_is_missing(plan):
    history = History(plan, complete=False)
    for length in range(len(history.log) + 1):
        cursor, delivered = _from_log(history, length)
        assert cursor.position == history.true_positions_by_log_length[length]
        assert cursor.position == (last_position(delivered[-1]) if delivered else 0)
        assert not cursor.disputed


@given(plan=steps)
@examples(120)
def test_a_log_read_event_by_event_delivers_the_same(plan):
    history = History(plan)
    one_by_one = LogCursor()
    assert [ready for event in history.log for ready in one_by_one.feed(event)] == history.truth


@given(plan=steps, cut=st.integers(0, 40))
@examples(120)
def test_a_log_may_be_read_in_pieces_and_read_again(plan, cut):
    history = History(plan)
    cursor, delivered = _from_log(history, cut)
    assert delivered + cursor.feed_all(history.log) == history.truth


@given(plan=steps, fates=mishaps)
@examples(350)
def test_a_live_reader_agrees_with_the_log_exactly_when_nothing_it_delivered_is_void(plan, fates):
    history = History(plan)
    truth, _ = _from_log(history)
    live, delivered = LogCursor(), []
    for message in _as_seen(history, fates):
        delivered += live.feed(message.event)
        true_so_far = delivered == history.truth[: len(delivered)]
        assert live.agrees_with(truth) == true_so_far
        assert truth.agrees_with(live) == true_so_far


@given(plan=steps, fates=mishaps)
@examples(350)
def test_a_live_reader_that_misses_something_before_what_it_saw_has_a_gap(plan, fates):
    history = History(plan)
    truth, _ = _from_log(history)
    live, known = LogCursor(), 0
    for message in _as_seen(history, fates):
        live.feed(message.event)
        if history.lasting(message.event):
            known = max(known, _claim(message.event))
        assert live.gap or live.position >= known or not live.agrees_with(truth)


@given(plan=steps)
@examples(120)
def test_a_live_reader_that_sees_just_the_log_has_no_gap_in_the_end(plan):
    history = History(plan)
    live = LogCursor()
    for event in history.log:
        live.feed(event)
    assert not live.gap


@given(plan=steps, fates=mishaps)
@examples(350)
def test_a_reader_that_reads_the_log_at_each_gap_delivers_the_stream_or_says_that_it_cannot(plan, fates):
    """The whole life of a gateway's reader, its last look at the log included."""
    history = History(plan)
    cursor, delivered = LogCursor(), []
    for message in [*_as_seen(history, fates), None]:
        if message is not None:
            delivered += cursor.feed(message.event)
        if message is not None and not cursor.gap:
            continue
        fresh, logged = _from_log(history, message.log_length if message else None)
        if not cursor.agrees_with(fresh):
            assert delivered != history.truth[: len(delivered)], "it gave up a stream that was right"
            return
        if fresh.position >= cursor.position:
            delivered += [event for event in logged if last_position(event) > cursor.position]
            cursor = fresh
    assert delivered == history.truth


def _claim(event) -> int:
    """The position before which a reader of the event knows that the stream must reach."""
    if isinstance(event, Checkpoint):
        return event.seq
    return event.base - 1 if isinstance(event, Started) else last_position(event)
