"""What workers on their way and running downloads say of themselves, for the status of their model.

Reports come twice a second from every worker, so only those of models on their way are listened to. Of several workers
the first by name has the word for as long as it loads, or the status would change with every report.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from tailrace_protocol import subjects
from tailrace_protocol.fetch import FetchReport, decode_fetch_report
from tailrace_protocol.reports import decode_worker_report
from tailrace_protocol.subjects import ModelKey
from tailrace_protocol.wire import MalformedMessageError

from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.controller.fetching import spoken
from tailrace_operator.controller.world import Key

log = logging.getLogger("tailrace.operator.progress")

_EVERY_S = 1.0
#: After so many silent seconds a worker's word counts no more: it may be gone.
_LEASE_S = 5.0


class Progress:
    """The newest words, by model."""

    def __init__(self, broker: BrokerLink, wake: Callable[[Key], None]) -> None:
        self._broker = broker
        self._wake = wake
        self._wanted: set[Key] = set()
        self._subscribed: dict[Key, tuple[Client, list[Subscription]]] = {}
        #: By model and worker: the words, and until when they count.
        self._said: dict[Key, dict[str, tuple[str, float]]] = {}
        self._fetched: dict[Key, FetchReport] = {}
        self._changed: set[Key] = set()

    def of(self, key: Key) -> str:
        """What a pod on its way said last: a worker that loads, or the download before it."""
        fetched, loading = self._fetched.get(key), self._said.get(key)
        if loading:
            worker = min(loading)
            return f"worker {worker}: {loading[worker][0]}"
        return spoken(fetched) if fetched and fetched.state != "done" else ""

    def fetch_of(self, key: Key) -> FetchReport | None:
        """What the model's download said last."""
        return self._fetched.get(key)

    def follow(self, key: Key) -> None:
        """Listen to the model's workers and to its download."""
        self._wanted.add(key)

    def forget(self, key: Key) -> None:
        """Listen no more."""
        self._wanted.discard(key)
        self._said.pop(key, None)
        self._fetched.pop(key, None)

    async def run(self) -> None:
        """Keep the subscriptions as wanted and pass on what changed, once a second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            with contextlib.suppress(NatsError):
                await self._adjust()
            self._expire(time.monotonic())
            changed, self._changed = self._changed, set()
            for key in changed:
                self._wake(key)

    async def _adjust(self) -> None:
        client = self._broker.client
        if client is None:
            return
        held = self._subscribed.items()
        for key in [key for key, (owner, _) in held if key not in self._wanted or owner is not client]:
            _, subscriptions = self._subscribed.pop(key)
            for subscription in subscriptions:
                with contextlib.suppress(NatsError):
                    await subscription.unsubscribe()
        for key in self._wanted - set(self._subscribed):
            self._subscribed[key] = (client, await self._subscribe(client, ModelKey(key.namespace, key.name)))

    async def _subscribe(self, client: Client, model: ModelKey) -> list[Subscription]:
        return [
            await client.subscribe(subjects.worker_report(model, "*"), cb=self._on_report),
            await client.subscribe(subjects.fetch_report(model), cb=self._on_fetch),
        ]

    async def _on_report(self, message: Msg) -> None:
        try:
            report = decode_worker_report(message.data)
        except MalformedMessageError:
            return
        key, loads = Key("StreamingModel", report.namespace, report.model), report.state in ("starting", "loading")
        before, said = self.of(key), self._said.setdefault(key, {})
        if loads and report.progress:
            said[report.worker] = (report.progress, time.monotonic() + _LEASE_S)
        else:
            said.pop(report.worker, None)
        if self.of(key) != before:
            self._changed.add(key)

    def _expire(self, now: float) -> None:
        for key, said in self._said.items():
            before = self.of(key)
            for worker in [worker for worker, (_, until) in said.items() if until < now]:
                del said[worker]
            if self.of(key) != before:
                self._changed.add(key)

    async def _on_fetch(self, message: Msg) -> None:
        try:
            report = decode_fetch_report(message.data)
        except MalformedMessageError:
            return
        key = Key("StreamingModel", report.namespace, report.model)
        before, self._fetched[key] = self._fetched.get(key), report
        if before is None or spoken(before) != spoken(report):
            self._changed.add(key)
