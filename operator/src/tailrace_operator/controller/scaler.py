"""The edge around `decide`: looks at the queues, asks for decisions, and sees to what follows.

It writes nothing to Deployments itself: it says how many workers a model is to have, and wakes the look at the model,
which is the one writer of `replicas`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from tailrace_operator.apply.kubernetes import KubernetesApi
from tailrace_operator.controller import worker_pods
from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.controller.counts import Count, count
from tailrace_operator.controller.ears import Ears
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.prospects import Prospects
from tailrace_operator.controller.retiring import Retiring
from tailrace_operator.controller.scaling_metrics import ScalingMetrics
from tailrace_operator.controller.shortage import Shortage
from tailrace_operator.controller.sizing import Sizing, last_decision, policy_of, told
from tailrace_operator.controller.world import Key, World
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.resources import StreamingModel
from tailrace_operator.scaling import Decision, Policy, State, decide

log = logging.getLogger("tailrace.operator.scaling")

_EVERY_S = 1.0
#: Models without workers and without requests are looked at every so many rounds, each in another one; a call comes at
#: once, and a queue in which something lies is noticed within seconds.
_IDLE_ROUNDS = 30
#: A broker that is away for less than this is not worth a word in every model's status.
_BLIND_AFTER_S = 5.0
#: What keeps a size from what is right, and stays: worth a word in the status. The others come and go.
_LASTING = ("maximum", "capacity", "no-data")


@dataclass
class _Call:
    """Somebody waits at a model since `at`; what was `decided` for that is to be written."""

    at: float
    decided: bool = False


class Scaler:
    """The sizes of all models in mode Auto."""

    def __init__(
        self,
        api: KubernetesApi,
        broker: BrokerLink,
        world: World,
        journal: Journal,
        metrics: ScalingMetrics,
        wake: Callable[[Key], None],
    ) -> None:
        self._broker = broker
        self._world = world
        self._journal = journal
        self._metrics = metrics
        self._wake = wake
        self._sizings: dict[Key, Sizing] = {}
        self._posts: set[asyncio.Task[None]] = set()
        self._called: dict[Key, _Call] = {}
        self._calls = asyncio.Event()
        self._noticed: set[Key] = set()
        self._uncounted: set[Key] = set()
        self._seen_at = time.monotonic()
        self._ears = Ears(self._on_call)
        self._retiring = Retiring(api, world, self._ears)
        self._shortage = Shortage(world)
        self.prospects = Prospects(self._calls.set)
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

    def left_alone(self, key: Key, model: StreamingModel) -> StreamingModel:
        """The model with as many workers as it has: a person asked to leave it as it is."""
        self.forget(key)
        found = self._found(key)
        return model if found is None else model.with_workers(found)

    def _found(self, key: Key) -> int | None:
        deployment = self._world.deployment(key)
        return int(deployment["spec"].get("replicas", 1)) if deployment else None

    def _begin(self, key: Key, policy: Policy) -> Sizing:
        """A model that has workers keeps them until there was time to look."""
        found = self._found(key)
        size = policy.min_workers if found is None else found
        reason, since = last_decision(self._world.resource(key), size)
        self._sizings[key] = Sizing(State.at_start(self._now(), size), policy, size, reason, since)
        return self._sizings[key]

    def forget(self, key: Key) -> None:
        """The model is gone, or nothing is to be decided about it now; workers that retire come back by their lease."""
        if self._sizings.pop(key, None) is not None:
            self._metrics.forget(key)
        self._called.pop(key, None)
        self._uncounted.discard(key)
        self._shortage.forget(key)
        self.prospects.forget(key)

    def notice(self, key: Key) -> None:
        """Something lies in the model's queue."""
        self._noticed.add(key)

    def told(self, key: Key) -> dict[str, Any] | None:
        """The last decision, for the model's status."""
        sizing = self._sizings.get(key)
        return told(sizing.size, sizing.reason, sizing.since) if sizing is not None else None

    def written(self, key: Key, replicas: int) -> None:
        """The model's Deployment has so many workers asked for: how long that took since the call is measured."""
        call, sizing = self._called.get(key), self._sizings.get(key)
        if call is not None and sizing is not None and call.decided and sizing.replicas == replicas:
            self._metrics.reaction_seconds.observe(time.monotonic() - call.at)
            del self._called[key]

    async def run(self) -> None:
        """Look every second, and at once when called, until cancelled.

        Calls have a loop of their own: who waits for a first worker does not wait until all others are looked at.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answer_calls())
            tasks.create_task(self._look_round())

    async def _answer_calls(self) -> None:
        while True:
            await self._calls.wait()
            self._calls.clear()
            if (client := self._broker.client) is not None:
                await _survived(self._answer(client))

    async def _answer(self, client: Client) -> None:
        await self._look(client, [key for key, call in self._called.items() if not call.decided])
        await self.prospects.tell(client)

    async def _look_round(self) -> None:
        number = 0
        while True:
            due = time.monotonic() + _EVERY_S
            await _survived(self._round(number))
            number += 1
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _on_call(self, key: Key) -> None:
        if self._world.resource(key) is None:
            return
        self.prospects.asked(key)
        if key in self._sizings:
            self._called.setdefault(key, _Call(time.monotonic()))
            self._calls.set()

    async def _round(self, number: int) -> None:
        """Look at all that are busy, now and then at all; see to those that are to go."""
        client = self._broker.client
        if client is None:
            if time.monotonic() - self._seen_at >= _BLIND_AFTER_S:
                self._decide_blindly()
            return
        self._seen_at = time.monotonic()
        busy = {key for key, sizing in self._sizings.items() if sizing.is_busy}
        due = {key for place, key in enumerate(self._sizings) if place % _IDLE_ROUNDS == number % _IDLE_ROUNDS}
        noticed, self._noticed = self._noticed, set()
        await self._ears.attend(client, {key for key in busy if self._sizings[key].replicas})
        await self._look(client, busy | due | noticed | set(self._called))
        # One that the API server keeps waiting does not keep the others', whose leases end.
        await asyncio.gather(*(_survived(self._retire(client, key)) for key in busy))
        await self.prospects.tell(client)

    async def _retire(self, client: Client, key: Key) -> None:
        sizing = self._sizings.get(key)
        if sizing is not None and await self._retiring.advance(client, key, sizing, self._now()):
            self._wake(key)

    async def _look(self, client: Client, keys: Collection[Key]) -> None:
        """Decide about these models; of one that could not be looked at nothing is known, which is not zero."""
        asked = [key for key in keys if key in self._sizings]
        counts = await count(client, asked)
        self._say_uncounted(asked, counts)
        now = self._now()
        self._shortage.look(self._sizings, now)
        for key in keys:
            if (sizing := self._sizings.get(key)) is not None:
                try:
                    self._decide(key, sizing, counts.get(key), now)
                except Exception:  # A bug that one model brings about must not end the others' rounds.
                    log.exception("scaling.broken key=%s", key)

    def _say_uncounted(self, keys: Collection[Key], counted: Collection[Key]) -> None:
        """In the log, each once: whose queues do not tell, and which do so again."""
        for key in keys:
            if (key in counted) == (key in self._uncounted):
                log.warning("scaling.%s key=%s", "counted_again" if key in counted else "uncounted", key)
        self._uncounted = (self._uncounted | set(keys)) - set(counted)

    def _decide_blindly(self) -> None:
        for key, sizing in self._sizings.items():
            sizing.silent.clear()
            self._take(key, sizing, decide(self._now(), [], sizing.state, sizing.policy))

    def _decide(self, key: Key, sizing: Sizing, counted: Count | None, now: float) -> None:
        sizing.learn(self._ears.of(key))
        sizing.learn_starts(worker_pods.there(self._world.pods(key)).values())
        samples = []
        if counted is not None:
            sizing.count = counted
            self.prospects.counted(key, counted.queued)
            samples = [sizing.sample(now, counted, self._ready(key))]
        ceiling, reason = self._shortage.ceiling(key, sizing)
        before = sizing.size
        decision = decide(now, samples, sizing.state, sizing.policy_within(ceiling, reason))
        changed = self._take(key, sizing, decision)
        self._metrics.measure(key, (counted.active, counted.queued) if counted else None)
        if changed and (resource := self._world.resource(key)) is not None:
            self._tell(resource, before, decision)
        self._answered(key, sizing)

    def _answered(self, key: Key, sizing: Sizing) -> None:
        """A call led to a size that is still to be written, or it was for nothing."""
        call = self._called.get(key)
        if call is None:
            return
        call.decided = sizing.replicas != self._found(key)
        if not call.decided:
            del self._called[key]

    def _take(self, key: Key, sizing: Sizing, decision: Decision) -> bool:
        """Keep the decision; whether the size changed. What keeps it from changing is told, too, if it lasts."""
        before, sizing.state, sizing.needed = sizing.size, decision.state, decision.needed
        self._metrics.decided(key, sizing.size, decision.by)
        by = decision.by if decision.by in _LASTING else ""
        if decision.size == before and by == sizing.by:
            return False
        sizing.by, sizing.reason = by, decision.reason
        self._wake(key)
        if decision.size == before:
            return False
        log.info("scaling.decided key=%s from=%d to=%d reason=%s", key, before, decision.size, decision.reason)
        sizing.since = datetime.now(UTC)
        sizing.replicas = max(sizing.replicas, decision.size)
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
        return int(self._world.deployment(key).get("status", {}).get("readyReplicas") or 0)

    def _now(self) -> float:
        return self._epoch + time.monotonic()


async def _survived(action: Awaitable[None]) -> None:
    """What an outage or a bug ends, the next round begins anew."""
    try:
        await action
    except (NatsError, TimeoutError) as error:
        log.warning("scaling.round_lost error=%s", type(error).__name__)
    except Exception:
        log.exception("scaling.broken")
