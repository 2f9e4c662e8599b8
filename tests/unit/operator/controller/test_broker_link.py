"""What the link remembers of the broker, and when it must not."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tailrace_operator.conditions import BrokerView
from tailrace_operator.controller import broker_link as module
from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.render.objects import BrokerObjects
from tailrace_protocol.subjects import ModelKey

ECHO, NOTHING = ModelKey("default", "echo"), BrokerObjects()


class Bench:
    """A link to a broker that does all that it is asked, and may be lost meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nobody: Any = None
        self.link = BrokerLink(nobody, lambda: None)
        client: Any = SimpleNamespace(is_connected=True, jetstream=lambda timeout: None)
        self.link._client = client
        self.applied, self.lost_meanwhile = 0, False
        monkeypatch.setattr(module, "apply_objects", self._apply)
        monkeypatch.setattr(module, "remove_model", self._remove)

    async def _apply(self, *_: Any) -> list[Any]:
        self.applied += 1
        if self.lost_meanwhile:
            await self.link._on_reconnect()
        return []

    async def _remove(self, *_: Any) -> None:
        return None


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


async def test_what_stands_is_asked_for_again_only_when_it_is_missed(bench: Bench) -> None:
    for _ in range(2):
        assert await bench.link.apply(ECHO, NOTHING) == BrokerView()
    assert bench.applied == 1
    assert bench.link.miss(ECHO)
    assert not bench.link.miss(ECHO)
    await bench.link.apply(ECHO, NOTHING)
    assert bench.applied == 2


async def test_what_was_made_while_the_connection_was_lost_is_made_again(bench: Bench) -> None:
    bench.lost_meanwhile = True
    await bench.link.apply(ECHO, NOTHING)
    bench.lost_meanwhile = False
    for _ in range(2):
        await bench.link.apply(ECHO, NOTHING)
    assert bench.applied == 2


async def test_a_model_is_held_until_it_is_removed_or_disowned(bench: Bench) -> None:
    assert not bench.link.holds(ECHO)
    for let_go in (bench.link.remove(ECHO), None):
        await bench.link.apply(ECHO, NOTHING)
        bench.link.forget()
        assert bench.link.holds(ECHO), "a lost connection changes nothing about it"
        if let_go:
            await let_go
        else:
            bench.link.disown(ECHO)
        assert not bench.link.holds(ECHO)


async def test_what_was_made_is_missed_also_after_everything_is_to_be_looked_at_anew(bench: Bench) -> None:
    await bench.link.apply(ECHO, NOTHING)
    bench.link.forget()
    assert bench.link.miss(ECHO)


async def test_a_connection_that_ended_for_good_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked, looks = list[Any](), list[None](), list[None]()

    async def settings() -> Any:
        asked.append(None)

    async def connect(*_: Any, **__: Any) -> Any:
        made.append(SimpleNamespace(is_connected=True, is_closed=False))
        return made[-1]

    async def close(*_: Any) -> None:
        pass

    for name, stand_in in {"_LOOK_S": 0.001, "connect": connect, "close": close}.items():
        monkeypatch.setattr(module, name, stand_in)
    link = BrokerLink(settings, lambda: looks.append(None))
    running = asyncio.create_task(link.run())
    await until(lambda: link.client)
    made[0].is_connected = False
    await until(lambda: len(asked) > 3)  # Who reconnects takes the password that they have put into a file.
    made[0].is_closed = True
    await until(lambda: link.client)
    assert (len(made), len(looks)) == (2, 2), "after each connection all is looked at"
    running.cancel()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - fakes have no events
            await asyncio.sleep(0.001)
