"""A full listing finds what no event told of."""

import asyncio
import contextlib
from typing import Any

import pytest
from tailrace_operator.apply.kinds import CHILDREN, GATEWAY, MODEL, POD
from tailrace_operator.apply.kubernetes import RefusedError, UnreachableError
from tailrace_operator.controller import lister as module
from tailrace_operator.controller.lister import Lister
from tailrace_operator.controller.world import Key, World

from .fake_api import FakeApi
from .objects import child, gateway, resource

ECHO, OTHER = Key("StreamingModel", "default", "echo"), Key("StreamingModel", "default", "other")
KINDS = len((MODEL, GATEWAY, *CHILDREN, POD))


class Bench:
    def __init__(self, *present: dict[str, Any], namespaces: tuple[str, ...] = ()) -> None:
        self.api, self.world = FakeApi(*present), World()
        self.woken: list[Key] = []
        #: After how many seconds to look at those of whom nothing is new.
        self.later: dict[Key, float] = {}
        self.lister = Lister(self.api, self.world, namespaces, self.woken.append, self.later.__setitem__)


async def test_all_is_taken_in_and_every_resource_looked_at() -> None:
    bench = Bench(resource(), gateway(), child(), child("echo-worker-x", "Pod"), child("theirs", of=None))
    await bench.lister.list_all()
    assert bench.world.resource(ECHO) is not None
    assert len(bench.world.children(ECHO)) == len(bench.world.pods(ECHO)) == 1
    assert sorted(bench.woken) == [Key("StreamingGateway", "default", "default"), ECHO]


async def test_what_is_gone_is_forgotten_and_its_owner_looked_at() -> None:
    bench = Bench(resource())
    for known in (resource(), resource("other"), child(), child("other-worker", of="model=other")):
        bench.world.put(known)
    await bench.lister.list_all()
    assert bench.world.children(ECHO) == []
    assert bench.world.resource(OTHER) is None
    assert sorted(bench.woken) == [ECHO, OTHER], "each once"


async def test_who_is_known_already_is_looked_at_in_turn_and_the_others_now() -> None:
    names = [f"m{number}" for number in range(4)]
    bench = Bench(*(resource(name) for name in names), child("m2-worker", of="model=m2", version=2), resource("new"))
    stored = [found for found in bench.api.objects.values() if found["metadata"]["name"] in names]
    for known in (*stored, child("m2-worker", of="model=m2")):
        bench.world.put(known)
    await bench.lister.list_all(over_s=300)
    assert sorted(key.name for key in bench.woken) == ["m2", "new"]
    assert {key.name: delay for key, delay in bench.later.items()} == {"m0": 0, "m1": 100, "m3": 200}


async def test_another_reading_of_the_same_version_is_news() -> None:
    """After a definition was replaced, the server fills in defaults that the watch did not give."""
    bench = Bench(resource(version=7) | {"spec": {"engine": {"simulated": {}}, "replicas": 1}})
    stored = next(iter(bench.api.objects.values()))
    bench.world.put({**stored, "spec": {"engine": {"simulated": {}}}})
    await bench.lister.list_all(over_s=300)
    assert (bench.woken, bench.later) == ([ECHO], {})


async def test_a_namespace_whose_rights_are_gone_does_not_hold_up_the_others() -> None:
    kept, new = (resource(name, metadata={"namespace": name}) for name in ("a", "b"))
    bench = Bench(new, namespaces=("a", "b"))
    bench.world.put(kept)
    for kind in (MODEL, GATEWAY, *CHILDREN, POD):
        bench.api.refuse("list", f"{kind.kind} in a", RefusedError("forbidden"))
    await bench.lister.list_all()
    assert [key.name for key, _ in bench.world.resources("StreamingModel")] == ["a", "b"]
    assert [key.name for key in bench.woken] == ["b"]


async def test_without_rights_in_the_whole_cluster_a_listing_fails() -> None:
    bench = Bench()
    bench.api.refuse("list", "Pod in all", RefusedError("forbidden"))
    with pytest.raises(RefusedError):
        await bench.lister.list_all()


async def test_a_child_that_lost_our_label_is_forgotten() -> None:
    bench = Bench(resource(), child(metadata={"labels": {}}))
    bench.world.put(child())
    await bench.lister.list_all()
    assert bench.world.children(ECHO) == []


async def test_only_the_namespaces_that_are_served_are_listed() -> None:
    elsewhere = resource("b", metadata={"namespace": "b"})
    bench = Bench(resource("a", metadata={"namespace": "a"}), elsewhere, namespaces=("a", "c"))
    await bench.lister.list_all()
    assert [key.namespace for key, _ in bench.world.resources("StreamingModel")] == ["a"]
    assert {asked.split(" in ")[1] for asked in bench.api.asked} == {"a", "c"}


async def test_each_kind_is_listed_once_for_the_whole_cluster() -> None:
    bench = Bench()
    await bench.lister.list_all()
    assert len(bench.api.asked) == len(set(bench.api.asked)) == KINDS


async def test_the_first_listing_is_repeated_until_the_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.001)
    bench = Bench(resource())
    bench.api.refuse("list", "Pod in all", UnreachableError("no answer"))
    asking = asyncio.create_task(bench.lister.first())
    await asyncio.sleep(0.01)
    assert not asking.done()
    assert bench.woken == [], "half a listing is none"
    bench.api.allow("list", "Pod in all")
    await asyncio.wait_for(asking, 5)
    assert bench.woken == [ECHO]


async def listed(bench: Bench, requests: int) -> None:
    async with asyncio.timeout(5):
        while len(bench.api.asked) < requests:  # noqa: ASYNC110 - a fake has no events
            await asyncio.sleep(0.001)


async def test_after_an_outage_it_lists_soon_and_otherwise_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.001)
    bench = Bench()
    running = asyncio.create_task(bench.lister.run(every_s=3600))
    await asyncio.sleep(0.01)
    assert bench.api.asked == []
    for _ in range(5):
        bench.lister.soon()
    await listed(bench, KINDS)
    await asyncio.sleep(0.02)
    assert len(bench.api.asked) == KINDS, "several outages are one listing"
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_it_lists_now_and_then_without_being_asked() -> None:
    bench = Bench()
    running = asyncio.create_task(bench.lister.run(every_s=0.001))
    await listed(bench, 2 * KINDS)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
