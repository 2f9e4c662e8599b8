"""The edge around `decide`: looks at the queues, asks for decisions, and sees to what follows.

It writes nothing to Deployments itself: it says how many workers a model is to have, and wakes the look at the model,
which is the one writer of `replicas`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from tailrace_operator.apply.kubernetes import KubernetesApi
from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.controller.counts import Count, count
from tailrace_operator.controller.ears import Ears
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.metrics import Metrics
from tailrace_operator.controller.prospects import Prospects
from tailrace_operator.controller.retiring import Retiring
from tailrace_operator.controller.shortage import Shortage
from tailrace_operator.controller.sizing import Sizing, policy_of, start_s
from tailrace_operator.controller.world import Key, World
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.resources import StreamingModel
from tailrace_operator.scaling import Decision, Policy, State, decide

log = logging.getLogger("tailrace.operator.scaling")

_EVERY_S = 1.0
#: Models without workers and without requests are looked at every so many rounds; a call comes at once.
_IDLE_ROUNDS = 5
_MAX_REASON = 1000


class Scaler:
    """The sizes of all models in mode Auto."""

    def __init__(
        self,
        api: KubernetesApi,
        broker: BrokerLink,
        world: World,
        journal: Journal,
        metrics: Metrics,
        wake: Callable[[Key], None],
    ) -> None:
        self._broker = broker
        self._world = world
        self._journal = journal
        self._metrics = metrics
        self._wake = wake
        self._sizings: dict[Key, Sizing] = {}
        self._posts: set[asyncio.Task[None]] = set()
        self._called: dict[Key, float] = {}
        self._calls = asyncio.Event()
        self._ears = Ears(self._on_call)
        self._retiring = Retiring(api, world, self._ears)
        self._shortage = Shortage(world)
        self.prospects = Prospects(lambda: self._calls.set())
        # Time that never goes back, yet is the clock's: cron times are told by it.
        self._epoch = time.time() - time.monotonic()

    def sized(self, key: Key, model: StreamingModel) -> StreamingModel:
        """The model with as many workers as it is to have now."""
        scaling = model.spec.auto
        if scaling is None:
            self.forget(key)
            return model
        policy = policy_of(model.spec, scaling)
        sizing = self._sizings.get(key) or self._begin(key, policy)
        sizing.policy = policy
        sizing.latency_s = scaling.target_inter_token_latency.seconds if scaling.target_inter_token_latency else None
        self._shortage.learn(key, model)
        self.prospects.refuse_after_s[key] = scaling.refuse_after.seconds
        return model.with_workers(sizing.replicas)

    def _begin(self, key: Key, policy: Policy) -> Sizing:
        """A model that has workers keeps them until there was time to look."""
        deployment = next((child for child in self._world.children(key) if child["kind"] == "Deployment"), None)
        size = policy.min_workers if deployment is None else deployment["spec"].get("replicas", 1)
        self._sizings[key] = Sizing(
            State.at_start(self._now(), size), policy, size, "as it was found", datetime.now(UTC)
        )
        return self._sizings[key]

    def forget(self, key: Key) -> None:
        """The model is gone, or somebody else sets its size now."""
        if self._sizings.pop(key, None) is not None:
            self._metrics.forget_scaling(key)
        self._shortage.forget(key)
        self.prospects.forget(key)

    def told(self, key: Key) -> dict[str, Any] | None:
        """The last decision, for the model's status."""
        sizing = self._sizings.get(key)
        if sizing is None:
            return None
        since = sizing.since.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"replicas": sizing.size, "reason": sizing.reason[:_MAX_REASON], "since": since}

    def written(self, key: Key) -> None:
        """The model's Deployment is as it was asked for: how long that took since its requests called is measured."""
        if (called := self._called.pop(key, None)) is not None:
            self._metrics.reaction_seconds.observe(time.monotonic() - called)

    async def run(self) -> None:
        """Look every second, and at once when called, until cancelled."""
        number, due = 0, time.monotonic()
        while True:
            called, self._calls = set(self._called), asyncio.Event()
            late = time.monotonic() >= due
            try:
                await self._round(called, number if late else None)
            except (NatsError, TimeoutError) as error:
                log.warning("scaling.round_lost error=%s", type(error).__name__)
            except Exception:  # A bug in one round must not end all rounds.
                log.exception("scaling.broken")
            if late:
                number, due = number + 1, time.monotonic() + _EVERY_S
            await self._until_called(due - time.monotonic())

    async def _until_called(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._calls.wait()
        except TimeoutError:
            return

    def _on_call(self, key: Key) -> None:
        if key in self._sizings:
            self._called.setdefault(key, time.monotonic())
            self.prospects.asked(key)
            self._calls.set()

    async def _round(self, called: Collection[Key], number: int | None) -> None:
        """Look at those that called; and, in a numbered round, at all that are busy, now and then at all."""
        now, client = self._now(), self._broker.client
        if client is None:
            self._decide_blindly(now)
            return
        busy = {key for key, sizing in self._sizings.items() if sizing.is_busy}
        if number is None:
            await self._look(client, called, now)
            await self.prospects.tell(client)
            return
        await self._ears.attend(client, {key for key in busy if self._sizings[key].replicas})
        await self._look(client, set(self._sizings) if number % _IDLE_ROUNDS == 0 else busy | set(called), now)
        for key in busy & set(self._sizings):
            if await self._retiring.advance(client, key, self._sizings[key], now):
                self._wake(key)
        await self.prospects.tell(client)

    async def _look(self, client: Client, keys: Collection[Key], now: float) -> None:
        """Decide about these models; of one that could not be looked at nothing is known, which is not zero."""
        counts = await count(client, [key for key in keys if key in self._sizings])
        self._shortage.look(self._sizings, now)
        for key in keys:
            if (sizing := self._sizings.get(key)) is not None:
                await self._decide(key, sizing, counts.get(key), now)

    def _decide_blindly(self, now: float) -> None:
        for key, sizing in self._sizings.items():
            self._take(key, sizing, decide(now, [], sizing.state, sizing.policy))

    async def _decide(self, key: Key, sizing: Sizing, counted: Count | None, now: float) -> None:
        sizing.learn(self._ears.of(key))
        sizing.start_s = start_s(self._world.pods(key), sizing.start_s)
        samples = []
        if counted is not None:
            sizing.count = counted
            self.prospects.counted(key, counted.queued)
            samples = [sizing.sample(now, counted, self._ready(key))]
        ceiling, reason = self._shortage.ceiling(key, sizing)
        before = sizing.size
        decision = decide(now, samples, sizing.state, sizing.policy_within(ceiling, reason))
        changed = self._take(key, sizing, decision)
        self._metrics.decided(key, sizing.size)
        self._metrics.measure(key, (counted.active, counted.queued) if counted else None)
        if changed and (resource := self._world.resource(key)) is not None:
            self._tell(resource, before, decision)
        if sizing.size == before:
            self._called.pop(key, None)

    def _take(self, key: Key, sizing: Sizing, decision: Decision) -> bool:
        """Keep the decision; whether the size changed."""
        before, sizing.state, sizing.needed = sizing.size, decision.state, decision.needed
        if decision.size == before:
            return False
        log.info("scaling.decided key=%s from=%d to=%d reason=%s", key, before, decision.size, decision.reason)
        sizing.reason, sizing.since = decision.reason, datetime.now(UTC)
        sizing.replicas = max(sizing.replicas, decision.size)
        self._wake(key)
        return True

    def _tell(self, resource: Manifest, before: int, decision: Decision) -> None:
        up = decision.size > before
        reason, verb = ("ScaledUp", "up") if up else ("ScaledDown", "down")
        self._metrics.decisions.labels(verb).inc()
        text = f"from {before} to {decision.size} workers: {decision.reason}"
        # Posting takes a request: whoever waits for a worker does not wait for that.
        task = asyncio.create_task(self._journal.tell(resource, "Normal", reason, text))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    def _ready(self, key: Key) -> int:
        deployment = next((child for child in self._world.children(key) if child["kind"] == "Deployment"), None)
        return int((deployment or {}).get("status", {}).get("readyReplicas") or 0)

    def _now(self) -> float:
        return self._epoch + time.monotonic()
