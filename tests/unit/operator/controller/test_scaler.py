"""The edge around the decision: calls, rounds, what is written when, and what an outage or a pause does to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.metrics import Metrics
from tailrace_operator.controller.scaler import Scaler
from tailrace_operator.controller.world import Key, World
from tailrace_operator.resources import StreamingModel
from tailrace_operator.scaling import Policy

from .fake_api import FakeApi
from .objects import child, resource, worker_pod

ECHO = Key("StreamingModel", "default", "echo")
OTHER = Key("StreamingModel", "default", "other")
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def model(name: str = "echo", **scaling: Any) -> StreamingModel:
    return StreamingModel.parse(
        {
            "apiVersion": "tailrace.dev/v1alpha1",
            "kind": "StreamingModel",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"engine": {"simulated": {"maxStreams": 8}}, "scaling": scaling},
        }
    )


class Broker:
    """Queues by model: what they ever took, what runs, what waits. One that is `stuck` does not answer."""

    def __init__(self) -> None:
        self.queues: dict[str, tuple[int, int, int]] = {}
        self.stuck: set[str] = set()
        self.heard: dict[str, Any] = {}
        self.published: list[str] = []
        self.asked: list[str] = []

    @property
    def client(self) -> Any:
        return self if self.queues else None

    async def subscribe(self, subject: str, cb: Any) -> Any:
        self.heard[subject] = cb
        return SimpleNamespace(unsubscribe=self._unsubscribed)

    async def _unsubscribed(self) -> None:
        return None

    async def publish(self, subject: str, payload: bytes) -> None:
        self.published.append(subject)

    async def request(self, subject: str, timeout: float) -> Any:
        self.asked.append(subject)
        name = subject.split("INFO.")[1].split(".")[0].removeprefix("tr_req_default_")
        if name in self.stuck:
            await asyncio.sleep(60)
        taken, active, queued = self.queues[name]
        answer: dict[str, Any] = {"state": {"messages": active + queued, "last_seq": taken}}
        if "CONSUMER" in subject:
            answer = {"num_ack_pending": active}
        return SimpleNamespace(data=msgspec.json.encode(answer))

    async def call(self, name: str) -> None:
        await self.heard["tr.wake.>"](SimpleNamespace(subject=f"tr.wake.default.{name}"))


class Bench:
    def __init__(self, *names: str) -> None:
        self.api, self.world, self.broker, self.metrics = FakeApi(), World(), Broker(), Metrics()
        for name in names:
            self.world.put(resource(name))
            self.broker.queues[name] = (0, 0, 0)
        self.woken: list[Key] = []
        journal = Journal(self.api, "operator-0", lambda: NOW)
        link: Any = self.broker
        self.scaler = Scaler(self.api, link, self.world, journal, self.metrics.scaling, self.woken.append)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.scaler.run())
        await self.until(lambda: "tr.wake.>" in self.broker.heard)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, holds: Any, within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def replicas(self, key: Key, **scaling: Any) -> int:
        return self.scaler.sized(key, model(key.name, **scaling)).spec.replicas

    def measured(self) -> float:
        return self.metrics.registry.get_sample_value("tailrace_operator_scaling_reaction_seconds_count") or 0.0


async def test_a_call_is_answered_while_a_round_waits_for_a_queue_that_does_not_answer() -> None:
    bench = Bench("echo", "other")
    assert (bench.replicas(ECHO), bench.replicas(OTHER, minReplicas=1)) == (0, 1)
    bench.broker.stuck.add("other")
    async with bench.running():
        bench.broker.queues["echo"] = (1, 0, 1)
        began = asyncio.get_running_loop().time()
        await bench.broker.call("echo")
        await bench.until(lambda: ECHO in bench.woken)
        assert asyncio.get_running_loop().time() - began < 1.0, "other's queue is waited for twice as long"
        assert bench.replicas(ECHO) == 1


async def test_a_queue_that_does_not_tell_is_said_once_and_again_when_it_does(caplog: Any) -> None:
    bench = Bench("echo")
    bench.replicas(ECHO, minReplicas=1)
    bench.broker.queues["echo"] = (1, 1, 0)
    bench.broker.stuck.add("echo")
    client: Any = bench.broker
    for _ in range(2):
        bench.scaler._say_uncounted([ECHO], [])
    bench.broker.stuck.clear()
    for _ in range(2):
        await bench.scaler._look(client, [ECHO])
    assert [record.message.split()[0] for record in caplog.records if "counted" in record.message] == [
        "scaling.uncounted",
        "scaling.counted_again",
    ]


async def test_the_reaction_is_measured_when_what_was_decided_is_written_and_not_before() -> None:
    bench = Bench("echo")
    bench.replicas(ECHO)
    async with bench.running():
        bench.broker.queues["echo"] = (1, 0, 1)
        await bench.broker.call("echo")
        bench.scaler.written(ECHO, 0)
        assert bench.measured() == 0.0
        await bench.until(lambda: ECHO in bench.woken)
        bench.scaler.written(ECHO, 0)
        assert bench.measured() == 0.0, "a look that began before the decision"
        bench.scaler.written(ECHO, 1)
        assert bench.measured() == 1.0
        bench.scaler.written(ECHO, 1)
        assert bench.measured() == 1.0


async def test_a_queue_in_which_something_lies_is_looked_at_though_nobody_called() -> None:
    """The call was lost, or the operator came after it."""
    bench = Bench("echo", *(f"idle-{number}" for number in range(40)))
    for name in bench.broker.queues:
        bench.replicas(Key("StreamingModel", "default", name))
    async with bench.running():
        assert len(bench.broker.asked) <= 3, "idle models take turns"
        bench.broker.queues["echo"] = (1, 0, 1)
        bench.scaler.notice(ECHO)
        await bench.until(lambda: ECHO in bench.woken)


async def test_a_bug_that_one_model_brings_about_does_not_end_the_others_rounds(caplog: Any) -> None:
    bench = Bench("echo", "other")
    bench.replicas(ECHO)
    bench.replicas(OTHER)
    bench.broker.queues |= {"other": (1, 0, 1), "echo": (1, 0, 1)}
    bench.scaler._sizings[OTHER].policy = Policy(slots=0)
    for key in (OTHER, ECHO):
        bench.scaler.notice(key)
    async with bench.running():
        await bench.until(lambda: ECHO in bench.woken)
    assert "scaling.broken" in caplog.text


async def test_while_the_broker_is_away_the_size_stays_and_the_status_says_so() -> None:
    bench = Bench("echo")
    bench.world.put(child(spec={"replicas": 3}))
    bench.broker.queues = {}
    assert bench.replicas(ECHO) == 3
    bench.scaler._decide_blindly()
    told = bench.scaler.told(ECHO)
    assert told is not None
    assert (told["replicas"], told["reason"]) == (3, "no data: the size stays")
    limited = {"namespace": "default", "name": "echo", "by": "no-data"}
    assert bench.metrics.registry.get_sample_value("tailrace_operator_scaling_limited", limited) == 1.0
    bench.scaler.forget(ECHO)
    assert bench.metrics.registry.get_sample_value("tailrace_operator_scaling_limited", limited) is None


async def test_a_limit_that_lasts_is_told_though_the_size_stays() -> None:
    bench = Bench("echo")
    bench.world.put(child(spec={"replicas": 2}, status={"readyReplicas": 2}))
    bench.world.put(worker_pod(ready="20:00:20"))
    bench.replicas(ECHO, maxReplicas=2)
    bench.broker.queues["echo"] = (90, 16, 74)
    async with bench.running():
        await bench.until(lambda: "maxReplicas is 2" in str(bench.scaler.told(ECHO)))
        assert ECHO in bench.woken, "the status is to be written"
        assert bench.scaler._sizings[ECHO].size == 2


async def test_a_model_that_is_left_alone_keeps_what_it_has_and_nothing_is_decided_about_it() -> None:
    bench = Bench("echo")
    bench.world.put(child(spec={"replicas": 3}))
    bench.replicas(ECHO, maxReplicas=1)
    assert bench.scaler.left_alone(ECHO, model()).spec.replicas == 3
    bench.broker.queues["echo"] = (9, 0, 9)
    async with bench.running():
        await bench.broker.call("echo")
        await asyncio.sleep(0.1)
        assert (bench.woken, bench.scaler.told(ECHO)) == ([], None)
    assert bench.replicas(ECHO) == 3, "it goes on from where it was found"


async def test_a_call_for_a_model_that_is_not_there_is_no_call() -> None:
    bench = Bench("echo")
    async with bench.running():
        await bench.broker.call("stranger")
        await bench.broker.call("echo.and.more")
        await asyncio.sleep(0.05)
    assert bench.scaler._called == {}
