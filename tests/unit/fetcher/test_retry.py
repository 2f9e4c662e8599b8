"""When to ask again, and when to stop."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_fetcher.retry import GiveUp, RetryPolicy, Wait, asked_wait, decide, passes

POLICY = RetryPolicy(give_up_s=60.0, first_s=0.5, most_s=30.0)
NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (1000, 30.0)])
def test_waits_double_up_to_the_limit(failures, seconds):
    assert decide(0.0, failures, 0.0, 1.0, POLICY) == Wait(seconds)


def test_chance_spreads_waits_over_the_upper_half():
    assert decide(0.0, 3, 0.0, 0.0, POLICY) == Wait(1.0)


def test_it_waits_as_long_as_the_limit_without_progress_lasts_and_not_longer():
    assert decide(59.5, 1, 0.0, 1.0, POLICY) == Wait(0.5)
    assert decide(59.6, 1, 0.0, 1.0, POLICY) == GiveUp("gave up after 1 failures and 60 s without a new byte")


def test_a_server_that_asks_for_more_time_than_there_is_is_given_up_at_once():
    assert decide(0.0, 1, 60.0, 1.0, POLICY) == Wait(60.0)
    assert decide(0.0, 1, 61.0, 1.0, POLICY) == GiveUp("it asks to wait 61 s, and the limit without progress is 60 s")


@given(failures=st.integers(1, 10**6), asked=st.floats(0, 50), luck=st.floats(0, 1))
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_both_limits(failures, asked, luck):
    verdict = decide(0.0, failures, asked, luck, POLICY)
    assert isinstance(verdict, Wait)
    assert asked <= verdict.seconds <= max(asked, POLICY.most_s)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:59:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"ratelimit": '"resolvers";r=0;t=55'}, 55.0),
        ({"ratelimit": '"resolvers";r=12;t=55'}, 0.0),
        ({"ratelimit": '"resolvers";r=0;t=55', "retry-after": "3"}, 3.0),
    ],
)
def test_what_a_server_asks_for_is_understood(headers, seconds):
    assert asked_wait(headers, NOON) == seconds


@pytest.mark.parametrize(
    ("status", "again"), [(408, True), (429, True), (500, True), (503, True), (404, False), (403, False)]
)
def test_only_statuses_that_may_change_are_asked_again(status, again):
    assert passes(status) is again
