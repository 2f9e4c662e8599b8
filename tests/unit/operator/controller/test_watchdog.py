"""An operator that has gone deaf says so and ends: the pod is started anew."""

import asyncio

import pytest
from kopf._core.reactor import orchestration
from tailrace_operator.controller import watchdog
from tailrace_operator.controller.watchdog import WatchEndedError, until_a_watch_ends


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_EVERY_S", 0.001)


async def test_a_watch_that_ends_is_named() -> None:
    ends = asyncio.Event()
    tasks = [asyncio.create_task(ends.wait(), name="watcher for pods.v1@None")]
    tasks.append(asyncio.create_task(asyncio.Event().wait(), name="watcher for services.v1@None"))
    looking = asyncio.create_task(until_a_watch_ends())
    await asyncio.sleep(0.02)
    assert not looking.done()
    ends.set()
    with pytest.raises(WatchEndedError, match=r"it ended: watcher for pods\.v1@None$"):
        await asyncio.wait_for(looking, 5)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_other_tasks_may_end() -> None:
    looking = asyncio.create_task(until_a_watch_ends())
    for _ in range(3):
        await asyncio.create_task(asyncio.sleep(0.003), name="something else")
    assert not looking.done()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


def test_kopf_calls_its_watches_as_we_think() -> None:
    assert watchdog.WATCHER in str(orchestration.spawn_missing_watchers.__code__.co_consts)
