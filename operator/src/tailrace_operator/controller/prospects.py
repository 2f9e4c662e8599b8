"""What those who wait for a model are told while it has no worker: how far it is, and whether there is hope."""

import time
from collections.abc import Callable

from nats.aio.client import Client
from tailrace_protocol import subjects
from tailrace_protocol.reports import ModelReport
from tailrace_protocol.subjects import ModelKey
from tailrace_protocol.wire import encode

from tailrace_operator.conditions import Tone, Verdict, reasons
from tailrace_operator.controller.world import Key

#: Whoever called waits for at least so long.
_ASKED_FOR_S = 10.0


class Prospects:
    """The newest verdict on each model that somebody waits for; `on_news` is called when one is another."""

    def __init__(self, on_news: Callable[[], None]) -> None:
        self._on_news = on_news
        self.refuse_after_s: dict[Key, float] = {}
        self._verdicts: dict[Key, tuple[Verdict, float]] = {}
        self._waiting: dict[Key, float] = {}

    def asked(self, key: Key) -> None:
        """Somebody waits for the model."""
        self._waiting[key] = time.monotonic() + _ASKED_FOR_S

    def counted(self, key: Key, queued: int) -> None:
        """So many requests wait for the model."""
        if queued:
            self.asked(key)

    def judged(self, key: Key, ready: Verdict) -> None:
        """The model's `Ready` condition is that now; how long its reason has held is remembered."""
        known = self._verdicts.get(key)
        since = known[1] if known and known[0].reason is ready.reason else time.monotonic()
        self._verdicts[key] = (ready, since)
        if key in self._waiting and (known is None or known[0] != ready):
            self._on_news()

    def forget(self, key: Key) -> None:
        """The model is gone."""
        for known in (self.refuse_after_s, self._verdicts, self._waiting):
            known.pop(key, None)

    async def tell(self, client: Client) -> None:
        """Tell the gateways.

        Raises:
            nats.errors.Error: the broker is not there.
        """
        now = time.monotonic()
        self._waiting = {key: until for key, until in self._waiting.items() if until > now}
        for key in self._waiting:
            if (report := self.report(key, now)) is not None:
                model = ModelKey(key.namespace, key.name)
                await client.publish(subjects.model_report(model), encode(report))

    def report(self, key: Key, now: float) -> ModelReport | None:
        """What is told of the model at `now` (monotonic seconds); `None` when it serves, or nothing is known."""
        verdict, since = self._verdicts.get(key, (None, now))
        if verdict is None or verdict.status == "True":
            return None
        lasting = now - since >= self.refuse_after_s.get(key, 0.0)
        hopeless = verdict.reason.tone is Tone.WRONG and verdict.reason is not reasons.NATS_UNREACHABLE and lasting
        return ModelReport(key.namespace, key.name, verdict.reason.name, verdict.message, hopeless=hopeless)
