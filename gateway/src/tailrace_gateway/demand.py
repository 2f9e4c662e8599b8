"""Tells the operator at once of requests that no worker takes: what it counts by itself comes a second later."""

import logging

from nats.aio.client import Client
from nats.errors import Error as NatsError
from tailrace_protocol import subjects
from tailrace_protocol.subjects import ModelKey

log = logging.getLogger("tailrace.gateway.demand")

#: Of one model, so often at most: it is told of requests, not of each of them.
_EVERY_S = 0.5


class Demand:
    """Calls the operator, sparingly."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._called: dict[ModelKey, float] = {}

    async def call(self, model: ModelKey, now: float) -> None:
        """A request of `model` waits at `now` (monotonic seconds)."""
        if now - self._called.get(model, -_EVERY_S) < _EVERY_S or not self._nc.is_connected:
            return
        self._called = {key: at for key, at in self._called.items() if now - at < _EVERY_S}
        self._called[model] = now
        try:
            await self._nc.publish(subjects.wake(model))
        except NatsError as error:
            log.debug("demand.untold model=%s error=%s", model, type(error).__name__)
