"""What pods on their way say of themselves, and who is listened to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from nats.errors import ConnectionClosedError
from tailrace_operator.controller import progress as module
from tailrace_operator.controller.progress import Progress
from tailrace_operator.controller.world import Key
from tailrace_protocol.fetch import FetchReport
from tailrace_protocol.reports import WorkerReport

ECHO, OTHER = Key("StreamingModel", "default", "echo"), Key("StreamingModel", "default", "other")
WORKERS, FETCH = "tr.hb.worker.default.echo.*", "tr.hb.fetch.default.echo"


class FakeClient:
    def __init__(self) -> None:
        self.heard: dict[str, Callable[[Any], Awaitable[None]]] = {}
        self.broken = False

    async def subscribe(self, subject: str, cb: Callable[[Any], Awaitable[None]]) -> Any:
        if self.broken:
            raise ConnectionClosedError
        self.heard[subject] = cb

        async def unsubscribe() -> None:
            self.heard.pop(subject, None)

        return SimpleNamespace(unsubscribe=unsubscribe)

    async def say(self, subject: str, report: Any) -> None:
        data = report if isinstance(report, bytes) else msgspec.json.encode(report)
        await self.heard[subject](SimpleNamespace(data=data))


class Bench:
    def __init__(self) -> None:
        self.client: FakeClient | None = FakeClient()
        self.woken: list[Key] = []
        broker: Any = SimpleNamespace(client=self.client)
        self.broker = broker
        self.progress = Progress(broker, self.woken.append)

    async def turn(self) -> None:
        """Let the loop go round twice."""
        await asyncio.sleep(0.02)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(module, "_EVERY_S", 0.001)
    made = Bench()
    running = asyncio.create_task(made.progress.run())
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def worker(state: Any = "loading", progress: str = "reading weights 40 %") -> WorkerReport:
    return WorkerReport(worker="w1", namespace="default", model="echo", state=state, progress=progress)


def fetch(done: int = 4, state: Any = "downloading") -> FetchReport:
    return FetchReport("default", "echo", state, bytes_done=done * 10**9, bytes_total=10 * 10**9, files_total=3)


async def followed(bench: Bench) -> FakeClient:
    bench.progress.follow(ECHO)
    await bench.turn()
    assert bench.client is not None
    return bench.client


async def test_only_models_that_are_followed_are_listened_to(bench: Bench) -> None:
    client = await followed(bench)
    assert set(client.heard) == {WORKERS, FETCH}
    bench.progress.forget(ECHO)
    await bench.turn()
    assert client.heard == {}


async def test_a_loading_worker_is_heard_and_its_model_looked_at_once(bench: Bench) -> None:
    client = await followed(bench)
    for _ in range(3):
        await client.say(WORKERS, worker())
    await bench.turn()
    assert bench.progress.of(ECHO) == "worker w1: reading weights 40 %"
    assert bench.progress.of(OTHER) == ""
    assert bench.woken == [ECHO]
    await client.say(WORKERS, worker(progress="reading weights 41 %"))
    await bench.turn()
    assert bench.woken == [ECHO, ECHO]


@pytest.mark.parametrize("report", [worker("ready", "x"), worker("draining", "x"), worker("loading", ""), b"{", b"[]"])
async def test_what_is_no_news_of_a_start_is_passed_over(bench: Bench, report: Any) -> None:
    client = await followed(bench)
    await client.say(WORKERS, report)
    await bench.turn()
    assert bench.progress.of(ECHO) == ""
    assert bench.woken == []


async def test_a_download_is_heard_and_wakes_when_what_a_person_sees_of_it_changes(bench: Bench) -> None:
    client = await followed(bench)
    await client.say(FETCH, fetch())
    await client.say(FETCH, msgspec.structs.replace(fetch(), bytes_done=4 * 10**9 + 1))
    await bench.turn()
    assert bench.woken == [ECHO]
    reported = bench.progress.fetch_of(ECHO)
    assert reported is not None
    assert reported.bytes_done == 4 * 10**9 + 1
    assert bench.progress.of(ECHO).startswith("downloading: 40 %")
    await client.say(FETCH, fetch(5))
    await client.say(FETCH, b"nonsense")
    await bench.turn()
    assert bench.woken == [ECHO, ECHO]


async def test_after_its_download_the_worker_has_the_word(bench: Bench) -> None:
    client = await followed(bench)
    await client.say(FETCH, fetch(10, "done"))
    assert bench.progress.of(ECHO) == ""
    await client.say(FETCH, fetch(4))
    await client.say(WORKERS, worker())
    assert bench.progress.of(ECHO) == "worker w1: reading weights 40 %"


async def test_what_is_forgotten_is_not_told_any_more(bench: Bench) -> None:
    client = await followed(bench)
    await client.say(WORKERS, worker())
    await client.say(FETCH, fetch())
    bench.progress.forget(ECHO)
    assert bench.progress.of(ECHO) == ""
    assert bench.progress.fetch_of(ECHO) is None


async def test_a_new_connection_is_subscribed_anew(bench: Bench) -> None:
    await followed(bench)
    bench.broker.client = second = FakeClient()
    await bench.turn()
    assert set(second.heard) == {WORKERS, FETCH}


async def test_a_broker_that_is_away_or_fails_ends_nothing(bench: Bench) -> None:
    bench.broker.client = None
    bench.progress.follow(ECHO)
    await bench.turn()
    bench.broker.client = client = FakeClient()
    client.broken = True
    await bench.turn()
    client.broken = False
    await bench.turn()
    assert set(client.heard) == {WORKERS, FETCH}


def from_worker(name: str, **said: Any) -> WorkerReport:
    return msgspec.structs.replace(worker(**said), worker=name)


async def test_of_several_loading_workers_one_has_the_word_until_it_is_ready(bench: Bench) -> None:
    client = await followed(bench)
    for name in ("w2", "w1", "w2", "w1", "w2"):
        await client.say(WORKERS, from_worker(name))
        await bench.turn()
    assert bench.progress.of(ECHO).startswith("worker w1: ")
    assert len(bench.woken) == 2, "w2 spoke first, then w1 has the word"
    await client.say(WORKERS, from_worker("w1", state="ready", progress=""))
    await bench.turn()
    assert bench.progress.of(ECHO).startswith("worker w2: ")


async def test_the_word_of_a_silent_worker_expires(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEASE_S", 0.0)
    client = await followed(bench)
    await client.say(WORKERS, worker())
    await bench.turn()
    assert bench.progress.of(ECHO) == ""
    assert bench.woken, "the status is told without it"
