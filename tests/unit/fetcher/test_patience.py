"""Trying again counts only what brings something new."""

import time

import pytest
from tailrace_fetcher.failure import FetchError, TroubleError
from tailrace_fetcher.patience import Patience
from tailrace_fetcher.retry import RetryPolicy

POLICY = RetryPolicy(give_up_s=0.5, first_s=0.05, most_s=0.1)


async def test_the_same_bytes_again_are_no_progress():
    patience = Patience(POLICY, lambda _: None)

    async def attempt():
        patience.reached(100)
        raise TroubleError("it broke off")

    begun = time.monotonic()
    with pytest.raises(FetchError, match=r"source_unreachable: it broke off; gave up after \d+ failures"):
        await patience.persist(attempt)
    assert time.monotonic() - begun < 3


async def test_new_bytes_make_earlier_failures_forgotten():
    patience, offsets = Patience(POLICY, lambda _: None), iter(range(1, 15))

    async def attempt():
        if (offset := next(offsets, 0)) == 0:
            return "done"
        patience.reached(offset)
        raise TroubleError("it broke off")

    begun = time.monotonic()
    assert await patience.persist(attempt) == "done"
    assert time.monotonic() - begun > POLICY.give_up_s / 2


async def test_what_is_waited_for_is_told_and_taken_back():
    told, results = [], iter([TroubleError("busy"), None])

    async def attempt():
        if error := next(results):
            raise error

    await Patience(POLICY, told.append).persist(attempt)
    assert told == ["busy; trying again in 0 s", ""]
