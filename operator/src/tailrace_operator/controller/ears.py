"""The operator's ears on the broker: calls for workers from gateways, and the reports of workers that it decides about.

Workers report twice a second, so only those of models that have some are listened to, and only where the operator
decides. Subscriptions belong to a connection, and are made anew with the next one.
"""

import contextlib
import time
from collections.abc import Callable, Collection

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from tailrace_broker.worker_reports import WorkerReports
from tailrace_protocol import subjects
from tailrace_protocol.errors import TailraceError
from tailrace_protocol.reports import WorkerReport
from tailrace_protocol.subjects import ModelKey

from tailrace_operator.controller.world import Key


class Ears:
    """Live reports by model; `on_wake` is told of each call."""

    def __init__(self, on_wake: Callable[[Key], None]) -> None:
        self._on_wake = on_wake
        self._client: Client | None = None
        self._reports: dict[Key, tuple[WorkerReports, Subscription]] = {}

    async def attend(self, client: Client, wanted: Collection[Key]) -> None:
        """Listen to calls, and to the workers of `wanted` alone.

        Raises:
            nats.errors.Error: the broker is not there.
        """
        if client is not self._client:
            self._reports.clear()
            await client.subscribe(subjects.ALL_WAKES, cb=self._on_call)
            self._client = client
        for key in [key for key in self._reports if key not in wanted]:
            with contextlib.suppress(NatsError):
                await self._reports.pop(key)[1].unsubscribe()
        for key in [key for key in wanted if key not in self._reports]:
            reports = WorkerReports()
            subject = subjects.worker_report(ModelKey(key.namespace, key.name), subjects.EVERY)
            self._reports[key] = (reports, await client.subscribe(subject, cb=reports.on_message))

    def of(self, key: Key) -> list[WorkerReport]:
        """The model's reports whose lease runs."""
        held = self._reports.get(key)
        return held[0].live(time.monotonic()) if held else []

    async def _on_call(self, message: Msg) -> None:
        parts = message.subject.split(".")
        with contextlib.suppress(TailraceError):
            if len(parts) == 4:
                model = ModelKey(parts[2], parts[3])
                self._on_wake(Key("StreamingModel", model.namespace, model.name))
