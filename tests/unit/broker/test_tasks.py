"""Tasks that are told to end."""

import asyncio

from tailrace_broker.tasks import end


async def test_tasks_are_over_when_it_returns() -> None:
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
    await asyncio.wait_for(end(*tasks), 5)
    assert all(task.cancelled() for task in tasks)


async def test_what_is_over_already_keeps_its_result() -> None:
    done = asyncio.create_task(asyncio.sleep(0, "result"))
    await done
    await end(done)
    assert done.result() == "result"


async def test_a_task_that_missed_the_word_is_told_again() -> None:
    told = 0

    async def deaf_at_first() -> None:
        nonlocal told
        while told < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(deaf_at_first())
    await asyncio.sleep(0)
    await asyncio.wait_for(end(task, again_s=0.01), 5)
    assert (task.cancelled(), told) == (True, 3)


async def test_nothing_to_end_is_no_trouble() -> None:
    await asyncio.wait_for(end(), 5)
