"""The queue of names to look at: each at most once at a time, never lost."""

import asyncio

import pytest
from tailrace_operator.controller.wakes import Wakes


@pytest.fixture
def wakes() -> Wakes[str]:
    return Wakes()


def now() -> float:
    return asyncio.get_running_loop().time()


async def nothing_is_due(wakes: Wakes[str]) -> bool:
    try:
        async with asyncio.timeout(0.01):
            await wakes.take()
    except TimeoutError:
        return True
    return False


async def test_ten_changes_before_a_look_are_one_look(wakes: Wakes[str]) -> None:
    for _ in range(10):
        wakes.wake("a")
    assert await wakes.take() == "a"
    wakes.done("a")
    assert await nothing_is_due(wakes)


async def test_what_came_first_is_looked_at_first(wakes: Wakes[str]) -> None:
    for key in ("a", "b", "a", "c"):
        wakes.wake(key)
    assert [await wakes.take() for _ in range(3)] == ["a", "b", "c"]


async def test_an_object_is_never_looked_at_twice_at_once(wakes: Wakes[str]) -> None:
    wakes.wake("a")
    await wakes.take()
    wakes.wake("a")
    assert await nothing_is_due(wakes)


@pytest.mark.parametrize("fails", [False, True])
async def test_what_changes_while_it_is_looked_at_is_looked_at_again_at_once(wakes: Wakes[str], fails: bool) -> None:
    wakes.wake("a")
    await wakes.take()
    wakes.wake("a")
    wakes.wake("a")
    wakes.failed("a", now()) if fails else wakes.done("a")
    assert await wakes.take() == "a"
    wakes.done("a")
    assert await nothing_is_due(wakes)


async def test_whoever_waits_is_woken(wakes: Wakes[str]) -> None:
    waiting = [asyncio.create_task(wakes.take()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in ("a", "b", "c"):
        wakes.wake(key)
    assert sorted(await asyncio.gather(*waiting)) == ["a", "b", "c"]


async def test_failures_come_again_after_a_delay_that_grows_up_to_a_bound(wakes: Wakes[str]) -> None:
    delays = []
    for _ in range(40):
        wakes.wake("a")
        await wakes.take()
        delays.append(wakes.failed("a", now()))
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays[7:] == [pytest.approx(25.6), *[30.0] * 32]


async def test_a_success_makes_the_next_failure_a_first_one(wakes: Wakes[str]) -> None:
    for _ in range(5):
        wakes.wake("a")
        await wakes.take()
        wakes.failed("a", now())
    wakes.wake("a")
    await wakes.take()
    wakes.done("a")
    wakes.wake("a")
    await wakes.take()
    assert wakes.failed("a", now()) == 0.2


async def test_each_object_has_a_delay_of_its_own(wakes: Wakes[str]) -> None:
    for key in ("a", "a", "b"):
        wakes.wake(key)
        await wakes.take()
        delay = wakes.failed(key, now())
    assert delay == 0.2


async def test_a_planned_look_comes_when_its_time_has_come(wakes: Wakes[str]) -> None:
    wakes.wake_in("later", 0.06, now())
    wakes.wake_in("soon", 0.02, now())
    assert await nothing_is_due(wakes)
    started = now()
    assert [await wakes.take(), await wakes.take()] == ["soon", "later"]
    assert now() - started < 1


async def test_of_several_planned_looks_the_earliest_stands(wakes: Wakes[str]) -> None:
    for seconds in (5.0, 0.02, 9.0):
        wakes.wake_in("a", seconds, now())
    async with asyncio.timeout(1):
        assert await wakes.take() == "a"
    wakes.done("a")
    assert await nothing_is_due(wakes)


async def test_a_planned_look_waits_for_the_present_one(wakes: Wakes[str]) -> None:
    wakes.wake("a")
    await wakes.take()
    wakes.wake_in("a", 0.0, now())
    assert await nothing_is_due(wakes)
    wakes.done("a")
    async with asyncio.timeout(1):
        assert await wakes.take() == "a"


async def test_a_look_that_was_planned_while_somebody_waits_is_not_slept_over(wakes: Wakes[str]) -> None:
    wakes.wake_in("b", 60, now())
    waiting = asyncio.create_task(wakes.take())
    await asyncio.sleep(0.005)
    wakes.wake_in("a", 0.01, now())
    async with asyncio.timeout(1):
        assert await waiting == "a"


async def test_its_length_counts_what_is_due_or_looked_at(wakes: Wakes[str]) -> None:
    for key in ("a", "b"):
        wakes.wake(key)
    wakes.wake_in("c", 60, now())
    assert len(wakes) == 2
    await wakes.take()
    assert len(wakes) == 2
    wakes.done("a")
    assert len(wakes) == 1


@pytest.mark.parametrize("turns", range(5))
async def test_who_is_told_to_stop_in_the_moment_of_a_wake_stops(wakes: Wakes[str], turns: int) -> None:
    wakes.wake_in("later", 60, now())
    waiting = [asyncio.create_task(wakes.take()) for _ in range(4)]
    for _ in range(3):
        await asyncio.sleep(0)
    wakes.wake("a")
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    ended = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert all(result == "a" or isinstance(result, asyncio.CancelledError) for result in ended), ended
