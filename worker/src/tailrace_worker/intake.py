"""Taking requests from the work queue: never more than the engine can run, and never letting a held one lapse.

Every free slot has an outstanding pull, so that a request is delivered the moment it is queued. A message stays
unacknowledged while its stream is generated; in-progress acknowledgements, several per `ack_wait`, tell the broker
that this worker lives, and their absence is how a hang is noticed.
"""

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from tailrace_protocol import subjects
from tailrace_protocol.subjects import ModelKey

log = logging.getLogger("tailrace.worker.intake")

_PULL_GRACE_S = 2.0


@dataclass(slots=True)
class Delivery:
    """A request message as the broker handed it out. `attempt` counts deliveries from 1."""

    data: bytes
    ack: str
    attempt: int
    waited_s: float
    received: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class _Pull:
    remaining: int
    deadline: float


class Intake:
    """Pulls as many requests as there are free slots and hands each to `accept`, which must not block."""

    def __init__(
        self,
        nc: Client,
        model: ModelKey,
        capacity: int,
        accept: Callable[[Delivery], None],
        pull_expires_s: float,
    ) -> None:
        self._nc = nc
        self._accept = accept
        self._capacity = capacity
        self._pull_expires_s = pull_expires_s
        self._held: set[str] = set()
        self._pulls: dict[str, _Pull] = {}
        self._names = itertools.count(1)
        self._inbox = ""
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.queue_stream(model)}.{subjects.WORKERS_CONSUMER}"
        self._subscription: Subscription | None = None
        self._draining = False

    async def open(self) -> None:
        """Begin to pull, under an inbox that no earlier pull knows."""
        self._inbox = self._nc.new_inbox()
        self._subscription = await self._nc.subscribe(f"{self._inbox}.*", cb=self._on_message)
        await self.demand()

    async def stop_pulling(self) -> None:
        """Take no new request; the broker drops pulls that nobody listens to."""
        self._draining = True
        if self._subscription is not None:
            await self._subscription.unsubscribe()
            self._subscription = None
            await self._flush()

    async def resume(self) -> None:
        """Pull again."""
        self._draining = False
        self._pulls.clear()
        await self.open()

    @property
    def held(self) -> int:
        """Requests that were delivered and not given back."""
        return len(self._held)

    async def demand(self) -> None:
        """Pull for every slot that is free and not asked for yet."""
        now = time.monotonic()
        self._pulls = {name: p for name, p in self._pulls.items() if p.deadline > now and p.remaining > 0}
        free = self._capacity - len(self._held) - sum(p.remaining for p in self._pulls.values())
        if free <= 0 or self._draining or not self._nc.is_connected:
            return
        name = str(next(self._names))
        self._pulls[name] = _Pull(free, now + self._pull_expires_s + _PULL_GRACE_S)
        pull = {"batch": free, "expires": int(self._pull_expires_s * 1e9)}
        await self._nc.publish(self._next, msgspec.json.encode(pull), reply=f"{self._inbox}.{name}")

    async def forget_pulls(self) -> None:
        """After a reconnect: what the broker still knows of our pulls is unknown, so ask anew elsewhere."""
        self._pulls.clear()
        if self._subscription is not None:
            await self._subscription.unsubscribe()
            await self.open()

    async def keep_alive(self) -> None:
        """Tell the broker that every held message is still being worked on."""
        if self._nc.is_connected:
            for ack in list(self._held):
                await self._nc.publish(ack, b"+WPI")

    async def acknowledge(self, delivery: Delivery) -> None:
        """The stream has its end: the request is done. Failing is harmless, the next delivery finds the end."""
        try:
            await self._nc.request(delivery.ack, b"+ACK", timeout=2)
        except (NatsError, TimeoutError) as error:
            log.info("ack.unconfirmed error=%s", type(error).__name__)
        await self.release(delivery)

    async def hand_back(self, delivery: Delivery) -> None:
        """Give the request to another worker, now."""
        await self._nc.publish(delivery.ack, b"-NAK")
        await self.release(delivery)

    async def release(self, delivery: Delivery) -> None:
        """Free the slot without telling the broker anything."""
        self._held.discard(delivery.ack)
        await self.demand()

    async def _on_message(self, message: Msg) -> None:
        if not message.reply.startswith("$JS.ACK."):
            await self._on_status(message)
            return
        self._settle(1)
        if len(self._held) >= self._capacity or self._draining:
            await self._nc.publish(message.reply, b"-NAK")
            return
        metadata = message.metadata
        waited = max(0.0, time.time() - metadata.timestamp.timestamp())
        self._held.add(message.reply)
        self._accept(Delivery(message.data, message.reply, metadata.num_delivered, waited))

    async def _on_status(self, message: Msg) -> None:
        headers = message.headers or {}
        status, unfilled = headers.get("Status", ""), headers.get("Nats-Pending-Messages", "")
        name = message.subject.rpartition(".")[2]
        if status != "100":
            self._settle(int(unfilled) if unfilled.isdigit() else self._capacity, name)
        if status in ("404", "408", "100"):
            await self.demand()
        else:
            # The next keep-alive asks again: nothing may wait here, real deliveries stand behind this message.
            log.warning("pull.refused status=%s reason=%s", status, headers.get("Description", ""))

    def _settle(self, count: int, first: str = "") -> None:
        """`count` of the slots asked for are no longer outstanding.

        A message does not say which pull it answers, so the oldest is settled; only the sum matters.
        """
        for name in sorted(self._pulls, key=lambda name: name != first):
            settled = min(count, self._pulls[name].remaining)
            self._pulls[name].remaining -= settled
            count -= settled

    async def _flush(self) -> None:
        try:
            await self._nc.flush(2)
        except (NatsError, TimeoutError) as error:
            log.info("flush.failed error=%s", type(error).__name__)
