"""What a number was over a window of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_operator.scaling.course import Course
from tailrace_operator.scaling.pace import Pace


def course(*values, kept_s=1_000.0):
    made = Course()
    for at, value in values:
        made = made.with_value(at, value, kept_s)
    return made


def test_a_value_holds_until_the_next_also_at_the_windows_beginning():
    made = course((0.0, 5), (10.0, 2), (20.0, 3))
    assert [made.highest(25.0, window) for window in (4.0, 5.0, 15.0, 16.0)] == [3, 3, 2 + 1, 5]
    assert [made.lowest(25.0, window) for window in (4.0, 5.1, 100.0)] == [3, 2, 2]
    assert Course().highest(1.0, 1.0) == 0


def test_the_same_value_again_takes_no_room():
    assert course((0.0, 5), (1.0, 5), (2.0, 5)).changes == ((0.0, 5),)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 20))
def test_what_is_forgotten_is_never_asked_for(values, window):
    forgetful = course(*((float(at), value) for at, value in enumerate(values)), kept_s=float(window))
    now, first = len(values) - 1, max(0, len(values) - 1 - window)
    assert forgetful.highest(now, window) == max(values[first:])
    assert forgetful.lowest(now, window) == min(values[first:])


@pytest.mark.parametrize(
    ("pace", "size", "step"),
    [
        (Pace(workers=2), 10, 2),
        (Pace(percent=50), 10, 5),
        (Pace(percent=10), 3, 1),
        (Pace(4, 50), 4, 4),
        (Pace(), 0, 1),
    ],
)
def test_a_pace_allows_the_larger_of_its_limits_and_always_one(pace, size, step):
    assert pace.step(size) == step
