"""Who goes, and who gives."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_operator.scaling import Carrier, Claim, donors, leaving


def carrier(pod, streams=0, oldest_s=0.0):
    return Carrier(pod, f"w-{pod}", streams, oldest_s)


def pods(carriers):
    return [found.pod for found in carriers]


def test_the_fewest_streams_go_first_and_of_as_many_the_youngest():
    there = [carrier("a", 5), carrier("b", 2, 60.0), carrier("c", 2, 3.0), carrier("d", 0)]
    assert pods(leaving(2, there, ())) == ["d", "c"]
    assert pods(leaving(2, [carrier("a", 0), carrier("b", 0), carrier("c", 0)], ())) == ["a", "b"]


def test_of_those_with_streams_one_begins_at_a_time_so_that_they_do_not_hand_over_to_the_same_slots():
    there = [carrier("a", 5), carrier("b", 2), carrier("c", 3), carrier("d", 0)]
    assert pods(leaving(3, there, ())) == ["d", "b"]
    assert pods(leaving(3, there, {"b"})) == ["b", "d"], "the next one when this one is empty"
    assert pods(leaving(3, there, {"a", "b"})) == ["b", "a", "d"], "who has begun goes on"


def test_who_is_going_goes_on_even_if_another_has_fewer_now():
    assert pods(leaving(1, [carrier("a", 5), carrier("b", 1)], {"a"})) == ["a"]
    assert pods(leaving(2, [carrier("a", 5), carrier("b", 0), carrier("c", 3)], {"a"})) == ["a", "b"]


@given(st.integers(-2, 8), st.lists(st.integers(0, 50), max_size=6), st.sets(st.integers(0, 8)))
def test_never_more_than_the_surplus_and_the_same_each_time(surplus, streams, before):
    there = [carrier(str(number), count) for number, count in enumerate(streams)]
    known = {str(number) for number in before}
    gone = leaving(surplus, there, known)
    assert len(gone) <= min(max(0, surplus), len(there))
    assert bool(gone) == bool(there and surplus > 0)
    assert sum(bool(found.streams) and found.pod not in known for found in gone) <= 1
    assert pods(leaving(surplus, reversed(there), known)) == pods(gone), "whatever the order"


SHORT = Claim("short", 0, "gpu", minimum=1, needed=1, size=1, placed=0, starving=True)
RICH = Claim("rich", 0, "gpu", minimum=1, needed=2, size=4, placed=4, starving=False)


def test_an_idle_worker_above_a_minimum_goes_to_whom_is_below_its_own():
    assert donors([SHORT, RICH]) == {"rich": "short"}


@pytest.mark.parametrize(
    "rich",
    [
        replace(RICH, needed=4),
        replace(RICH, minimum=4),
        replace(RICH, kind="other-gpu"),
        replace(RICH, starving=True),
    ],
)
def test_nobody_gives_what_is_needed_or_of_another_kind(rich):
    assert donors([SHORT, rich]) == {}


@pytest.mark.parametrize("short", [replace(SHORT, starving=False), replace(SHORT, placed=1), replace(SHORT, minimum=0)])
def test_nobody_gives_to_one_that_has_its_minimum(short):
    assert donors([short, RICH]) == {}


def test_the_lowest_priority_gives_and_the_highest_gets():
    low, high = replace(RICH, name="low", priority=-5), replace(RICH, name="high", priority=5)
    urgent = replace(SHORT, name="urgent", priority=9)
    assert donors([high, low, SHORT]) == {"low": "short"}
    assert donors([high, low, SHORT, urgent]) == {"low": "urgent", "high": "short"}
    assert donors([low, SHORT, urgent]) == {"low": "urgent"}
