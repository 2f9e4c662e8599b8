"""The loop around the looks: what is repeated, when, and who else is woken."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from tailrace_operator.apply.kubernetes import (
    BusyError,
    ChangedError,
    NamespaceGoingError,
    RefusedError,
    UnreachableError,
)
from tailrace_operator.controller import operator as module
from tailrace_operator.controller.credentials import CredentialsError
from tailrace_operator.controller.executor import LeftoverError
from tailrace_operator.controller.finalizer import BrokerAwayError
from tailrace_operator.controller.operator import Operator
from tailrace_operator.controller.settings import OperatorSettings
from tailrace_operator.controller.world import Key

from .fake_api import FakeApi
from .objects import gateway, resource

ECHO, HERE = Key("StreamingModel", "default", "echo"), Key("Namespace", "default")
DEFAULT = Key("StreamingGateway", "default", "default")


class Looks:
    """A reconciler that notes its looks and does what it is told."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.does: Callable[[int], float | None] = lambda look: None

    async def reconcile(self, key: Key) -> float | None:
        self.keys.append(key)
        return self.does(len(self.keys))


class Bench:
    def __init__(self) -> None:
        self.operator = Operator(FakeApi(), OperatorSettings())
        self.operator.broker._tried.set()
        self.looks = Looks()
        self.operator._reconcilers = dict.fromkeys(("StreamingModel", "StreamingGateway", "Namespace"), self.looks)

    async def settle(self, seconds: float = 0.02) -> list[Key]:
        """The looks after some time."""
        await asyncio.sleep(seconds)
        return self.looks.keys

    async def looked(self, times: int) -> list[Key]:
        """The looks, as soon as there were so many."""
        async with asyncio.timeout(5):
            while len(self.looks.keys) < times:  # noqa: ASYNC110 - a fake has no events
                await asyncio.sleep(0.005)
        await asyncio.sleep(0)
        return self.looks.keys

    def count(self, result: str) -> float:
        value = self.operator.metrics.registry.get_sample_value(
            "tailrace_operator_reconciles_total", {"kind": "StreamingModel", "result": result}
        )
        return value or 0


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(module, "_SHARED_DELAY_S", 0.05)
    made = Bench()
    working = [asyncio.create_task(made.operator._work()) for _ in range(2)]
    yield made
    for task in working:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    made.operator.close()


async def test_what_is_woken_is_looked_at_and_what_its_namespace_shares_a_little_later(bench: Bench) -> None:
    for _ in range(5):
        bench.operator.wake(ECHO)
    assert await bench.settle() == [ECHO]
    assert await bench.looked(2) == [ECHO, HERE]
    assert bench.count("done") == 1


async def test_a_gateway_wakes_the_models_that_it_serves(bench: Bench) -> None:
    for known in (resource("a"), {**resource("b"), "spec": {"gateway": {"name": "edge"}}}, gateway()):
        bench.operator.world.put(known)
    bench.operator.wake(DEFAULT)
    assert sorted(await bench.looked(2)) == [DEFAULT, Key("StreamingModel", "default", "a")]


async def test_what_a_namespace_lacks_wakes_all_its_resources_and_nobody_else(bench: Bench) -> None:
    for known in (resource("a"), resource("b", metadata={"namespace": "elsewhere"}), gateway()):
        bench.operator.world.put(known)
    bench.operator.secrets.tell("default", "Secret x lacks a key")
    assert await bench.looked(2) == [Key("StreamingModel", "default", "a"), DEFAULT]
    assert len(await bench.settle()) == 2


async def test_a_broker_that_came_back_wakes_every_model(bench: Bench) -> None:
    for known in (resource("a"), resource("b"), gateway()):
        bench.operator.world.put(known)
    bench.operator.wake_all()
    assert [key.name for key in await bench.looked(2)] == ["a", "b"]


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("x"),
        BusyError("x"),
        ChangedError("x"),
        RefusedError("x"),
        LeftoverError("x"),
        BrokerAwayError("x"),
        CredentialsError("x"),
        ValueError("what nobody foresaw"),
    ],
)
async def test_a_look_that_fails_is_repeated_soon(bench: Bench, error: Exception) -> None:
    def first_fails(look: int) -> None:
        if look == 1:
            raise error

    bench.looks.does = first_fails
    bench.operator._wakes.wake(ECHO)
    assert await bench.settle() == [ECHO]
    assert await bench.looked(2) == [ECHO, ECHO]
    assert (bench.count("failed"), bench.count("done")) == (1, 1)


async def test_a_namespace_that_goes_is_not_fought(bench: Bench) -> None:
    def going(look: int) -> None:
        raise NamespaceGoingError("going")

    bench.looks.does = going
    bench.operator._wakes.wake(ECHO)
    assert await bench.settle(0.3) == [ECHO]
    assert bench.count("done") == 1


async def test_a_look_may_ask_for_another_one(bench: Bench) -> None:
    bench.looks.does = lambda look: 0.03 if look == 1 else None
    bench.operator._wakes.wake(ECHO)
    assert await bench.settle() == [ECHO]
    assert await bench.looked(2) == [ECHO, ECHO]
    assert await bench.settle(0.1) == [ECHO, ECHO]


@pytest.mark.parametrize(("error", "lists"), [(UnreachableError("x"), True), (BusyError("x"), False)])
async def test_only_an_outage_asks_for_a_full_listing(bench: Bench, error: Exception, lists: bool) -> None:
    def fails(look: int) -> None:
        raise error

    bench.looks.does = fails
    bench.operator._wakes.wake(ECHO)
    await bench.settle()
    assert bench.operator.lister._soon.is_set() is lists


async def test_one_failing_object_holds_up_no_other(bench: Bench) -> None:
    def fails(look: int) -> None:
        raise UnreachableError("x")

    bench.looks.does = fails
    for name in "abc":
        bench.operator._wakes.wake(Key("StreamingModel", "default", name))
    assert sorted(key.name for key in await bench.looked(3)) == ["a", "b", "c"]


async def test_every_request_is_counted() -> None:
    api = FakeApi()
    operator = Operator(api, OperatorSettings())
    api.count("patch", "Deployment")
    counted = operator.metrics.registry.get_sample_value(
        "tailrace_operator_api_requests_total", {"verb": "patch", "kind": "Deployment"}
    )
    assert counted == 1
    operator.close()
