"""How far an answer is from its end."""

import pytest
from tailrace_worker.remaining import Remaining

BODY = b'{"model": "m", "max_tokens": 100}'


def after(remaining, made, seconds):
    remaining.made, remaining.began = made, 0.0
    return remaining.ends_soon(seconds)


@pytest.mark.parametrize(("before", "soon"), [(29, False), (30, True), (50, True), (51, False)])
def test_two_seconds_at_its_present_speed_are_soon(before, soon):
    """At ten tokens a second twenty are soon, none too; fewer than none tells that the bound was no bound."""
    assert after(Remaining.of(BODY, before), made=50, seconds=5.0) is soon


@pytest.mark.parametrize(
    "body", [b"{}", b'{"max_tokens": null}', b'{"max_tokens": "12"}', b"[]", b"no json", b'{"max_tokens": 0}']
)
def test_without_a_bound_that_is_understood_no_end_is_near(body):
    assert not after(Remaining.of(body, 0), made=50, seconds=5.0)


def test_the_newer_field_counts_and_every_choice():
    assert Remaining.of(b'{"max_completion_tokens": 7, "max_tokens": 100}', 0).most == 7
    assert Remaining.of(b'{"max_tokens": 7, "n": 3}', 0).most == 21


def test_an_answer_that_has_not_begun_is_not_near_its_end():
    assert not after(Remaining.of(BODY, 99), made=0, seconds=0.0)
