"""One fetcher at a time, and none for ever."""

import asyncio

import pytest
from tailrace_fetcher.lock import LockLostError, Sighting, VolumeLock, expired, look

LEASE_S = 0.5


def test_a_lock_that_changes_is_watched_anew_and_one_that_stands_still_expires():
    seen = look(None, b"a 1", 10.0)
    assert look(seen, b"a 1", 12.0) == Sighting(b"a 1", 10.0)
    assert look(seen, b"a 2", 12.0) == Sighting(b"a 2", 12.0)
    assert not expired(seen, 29.9, 20.0)
    assert expired(seen, 30.0, 20.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "m.lock"


def lock(path):
    return VolumeLock(path, LEASE_S)


async def test_whoever_comes_second_waits_and_says_so(path):
    order, waits = [], []

    async def work(name):
        order.append(f"{name} begins")
        await asyncio.sleep(0.3)
        order.append(f"{name} ends")
        return name

    first = asyncio.create_task(lock(path).hold(lambda: work("first"), lambda: waits.append("first")))
    await asyncio.sleep(0.1)
    assert await lock(path).hold(lambda: work("second"), lambda: waits.append("second")) == "second"
    assert await first == "first"
    assert order == ["first begins", "first ends", "second begins", "second ends"]
    assert set(waits) == {"second"}
    assert not path.exists()


async def test_a_holder_that_lives_keeps_the_lock_beyond_the_lease(path):
    first = asyncio.create_task(lock(path).hold(lambda: asyncio.sleep(3 * LEASE_S), lambda: None))
    await asyncio.sleep(0.1)
    begun = asyncio.get_running_loop().time()
    await lock(path).hold(lambda: asyncio.sleep(0), lambda: None)
    assert asyncio.get_running_loop().time() - begun > 2 * LEASE_S
    await first


@pytest.mark.parametrize("left", [b"pod-1/0011 000000000007\n", b""])
async def test_the_lock_of_a_dead_holder_is_taken_over_after_its_lease(path, left):
    path.parent.mkdir()
    path.write_bytes(left)
    waits = []
    begun = asyncio.get_running_loop().time()
    await lock(path).hold(lambda: asyncio.sleep(0), lambda: waits.append(1))
    assert LEASE_S <= asyncio.get_running_loop().time() - begun < 4 * LEASE_S
    assert waits


async def test_of_many_that_wait_for_a_dead_holder_one_at_a_time_works(path):
    path.parent.mkdir()
    path.write_bytes(b"dead 000000000001\n")
    working = []

    async def work():
        working.append(1)
        assert len(working) == 1
        await asyncio.sleep(0.1)
        working.pop()

    await asyncio.gather(*(lock(path).hold(work, lambda: None) for _ in range(5)))
    assert not path.exists()


async def test_a_holder_that_was_overtaken_stops_and_leaves_the_new_lock_alone(path):
    stopped = asyncio.Event()

    async def work():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            stopped.set()
            raise

    holding = asyncio.create_task(lock(path).hold(work, lambda: None))
    await asyncio.sleep(0.1)
    taken = path.with_name("taken")
    taken.write_bytes(b"another 000000000001\n")
    taken.replace(path)
    with pytest.raises(LockLostError):
        await holding
    assert stopped.is_set()
    assert path.read_bytes() == b"another 000000000001\n"


async def test_a_failure_of_the_work_comes_out_and_frees_the_lock(path):
    async def work():
        raise ValueError("it broke")

    with pytest.raises(ValueError, match="it broke"):
        await lock(path).hold(work, lambda: None)
    assert not path.exists()


async def test_a_stopped_holder_frees_the_lock_at_once(path):
    holding = asyncio.create_task(lock(path).hold(lambda: asyncio.sleep(10), lambda: None))
    await asyncio.sleep(0.1)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert not path.exists()
