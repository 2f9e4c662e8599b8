"""What the broker counts, and what of it is missing."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from tailrace_operator.controller.loads import Loads
from tailrace_operator.controller.world import Key, World

from .objects import resource

ECHO = Key("StreamingModel", "default", "echo")
QUEUE, LOG = "tr_req_default_echo", "tr_log_default_echo"


class JetStream:
    """A broker with these streams, and as many messages in each."""

    def __init__(self, **messages: int) -> None:
        self.messages = messages

    def jetstream(self, timeout: float) -> "JetStream":
        return self

    async def request(self, subject: str, wanted: bytes, timeout: float) -> Any:
        asked = msgspec.json.decode(wanted)
        begin = {"tr.req.>": "tr_req_", "tr.log.>": "tr_log_"}[asked["subject"]]
        found = [name for name in self.messages if name.startswith(begin)]
        page: list[Any] = found[asked["offset"] :][:1]
        if subject == "$JS.API.STREAM.LIST":
            page = [{"config": {"name": name}, "state": {"messages": self.messages[name]}} for name in page]
        return SimpleNamespace(data=msgspec.json.encode({"total": len(found), "streams": page}))

    async def consumer_info(self, stream: str, name: str) -> Any:
        return SimpleNamespace(num_ack_pending=2, num_pending=1)


class Broker:
    """The link: which models it has made, and which it was told to make anew."""

    def __init__(self, *, made: bool = True) -> None:
        self.made = made

    def miss(self, model: Any) -> bool:
        before, self.made = self.made, False
        return before


Counted = dict[Key, tuple[int, int] | None]


def loads(broker: Broker, woken: list[Key]) -> Loads:
    world = World()
    world.put(resource())
    link: Any = broker
    return Loads(link, world, woken.append)


async def counted(jetstream: JetStream, broker: Broker) -> tuple[Counted, list[Key]]:
    woken = list[Key]()
    stand_in: Any = jetstream
    return await loads(broker, woken)._count(stand_in), woken


async def test_what_runs_and_what_waits_is_counted() -> None:
    broker = Broker()
    assert await counted(JetStream(**{QUEUE: 3, LOG: 9}), broker) == ({ECHO: (2, 1)}, [])
    other = {"tr_req_default_a": 1, "tr_log_default_a": 1}  # A page before ours.
    assert await counted(JetStream(**other, **{QUEUE: 0, LOG: 9}), broker) == ({ECHO: (0, 0)}, [])
    assert broker.made


@pytest.mark.parametrize("left", [{QUEUE: 0}, {LOG: 0}, {}])
async def test_a_stream_that_somebody_deleted_is_made_anew_at_once(left: dict[str, int]) -> None:
    broker = Broker()
    assert (await counted(JetStream(**left), broker))[1] == [ECHO]
    assert not broker.made


async def test_streams_that_were_never_made_wake_nobody() -> None:
    assert await counted(JetStream(), Broker(made=False)) == ({}, [])


class ChangingBroker(JetStream):
    """A stream is made after the first page, before those of that page: all others are one further from then on."""

    asked = 0

    async def request(self, subject: str, wanted: bytes, timeout: float) -> Any:
        answer = await super().request(subject, wanted, timeout)
        self.asked += 1
        assert self.asked < 20, "the last page is asked for again and again"
        if self.asked == 1:
            self.messages = {"tr_req_default_a": 0, **self.messages}
        return answer


async def test_a_stream_that_is_made_meanwhile_does_not_hold_up_the_count() -> None:
    broker = ChangingBroker(tr_req_default_b=0, **{QUEUE: 0, LOG: 0})
    assert await counted(broker, Broker()) == ({ECHO: (0, 0)}, [])


class LeaderlessBroker(JetStream):
    """A broker whose servers have no leader among them: its answers hold an error, and no streams."""

    async def request(self, subject: str, wanted: bytes, timeout: float) -> Any:
        return SimpleNamespace(data=b'{"error":{"code":503,"err_code":10008,"description":"temporarily unavailable"}}')


async def test_an_answer_that_is_an_error_is_no_sign_that_all_streams_are_gone() -> None:
    broker = Broker()
    with pytest.raises(NatsError, match="temporarily unavailable"):
        await counted(LeaderlessBroker(**{QUEUE: 1, LOG: 1}), broker)
    assert broker.made


class SilentQueue(JetStream):
    async def consumer_info(self, stream: str, name: str) -> Any:
        raise TimeoutError


async def test_a_queue_without_a_leader_holds_up_no_other_count() -> None:
    found, woken = await counted(SilentQueue(**{QUEUE: 3, LOG: 9}), Broker())
    assert found == {ECHO: None}
    assert woken == []


class QueueWithoutWorkers(JetStream):
    async def consumer_info(self, stream: str, name: str) -> Any:
        raise NotFoundError


async def test_a_queue_whose_consumer_is_gone_tells_nothing_while_requests_lie_in_it() -> None:
    assert (await counted(QueueWithoutWorkers(**{QUEUE: 3, LOG: 9}), Broker()))[0] == {ECHO: None}
    assert (await counted(QueueWithoutWorkers(**{QUEUE: 0, LOG: 9}), Broker()))[0] == {ECHO: (0, 0)}


async def test_what_was_counted_last_is_told_and_nobody_decides_by_it() -> None:
    woken: list[Key] = []
    known, whole, silent = loads(Broker(), woken), JetStream(**{QUEUE: 3, LOG: 9}), SilentQueue(**{QUEUE: 3, LOG: 9})
    for jetstream in (whole, silent):
        stand_in: Any = jetstream
        known._take_in(await known._count(stand_in))
        assert known.of(ECHO) == (2, 1)
    assert known.fresh(ECHO) is None
    known._take_in({ECHO: (4, 0)})
    assert (known.of(ECHO), known.fresh(ECHO)) == ((4, 0), (4, 0))
    known._forget()
    assert (known.of(ECHO), known.fresh(ECHO)) == ((4, 0), None)
    known._take_in({})
    assert known.of(ECHO) is None
