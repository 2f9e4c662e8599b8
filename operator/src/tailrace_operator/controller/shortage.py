"""Which models lack nodes for their workers, and what follows: no more are asked for, and others may give.

A worker that no node takes is noticed by Kubernetes alone; as long as there is one, more would only wait beside it.
What others give may not help: the nodes may lack something else. So a gift belongs to whom it was given for, ends when
that model has its node or when time has shown that it is in vain, and never takes a worker that its giver needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailrace_operator.controller import worker_pods
from tailrace_operator.controller.sizing import Sizing
from tailrace_operator.controller.world import Key, World
from tailrace_operator.resources import StreamingModel
from tailrace_operator.scaling import Claim, donors, minimum

#: After a worker was given, so long nothing more is asked of others: it has to be emptied, removed and replaced.
_GIVEN_FOR_S = 30.0
#: A model that has got no node so long after others began to give for it is asked for no more in so long.
_IN_VAIN_AFTER_S = 120.0
_IN_VAIN_FOR_S = 1_800.0


@dataclass(frozen=True, slots=True)
class _Stake:
    kind: str
    priority: int


@dataclass(frozen=True, slots=True)
class _Gift:
    """A worker that was asked of a model for `taker`: its giver may have `ceiling` of them since `at`."""

    taker: Key
    ceiling: int
    at: float

    @property
    def reason(self) -> str:
        return f"a worker goes to {self.taker.namespace}/{self.taker.name}, which is below its minimum"


class Shortage:
    """What was seen at the last look."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stakes: dict[Key, _Stake] = {}
        self._unplaced: dict[Key, str] = {}
        self._refused: dict[Key, str] = {}
        self._gives: dict[Key, _Gift] = {}
        #: Since when others give for a model that has so many workers placed, and until when nobody does any more.
        self._since: dict[Key, tuple[int, float]] = {}
        self._in_vain: dict[Key, float] = {}

    def learn(self, key: Key, model: StreamingModel) -> None:
        """What a model's workers ask of nodes, and how important it is."""
        gpu, scaling = model.spec.resources.gpu, model.spec.auto
        if scaling is not None:
            self._stakes[key] = _Stake(gpu.resource_name if gpu else "", scaling.priority)

    def forget(self, key: Key) -> None:
        """The model is gone."""
        known: list[dict[Key, Any]] = [self._stakes, self._unplaced, self._refused, self._gives, self._since]
        known.append(self._in_vain)
        for one in known:
            one.pop(key, None)

    def look(self, sizings: Mapping[Key, Sizing], now: float) -> None:
        """Find out who lacks nodes, and who gives to whom. Models without workers, which may be many, lack none."""
        asked = [key for key, sizing in sizings.items() if sizing.replicas]
        self._unplaced = {key: why for key in asked if (why := self._why_unplaced(key))}
        self._refused = {key: why for key in asked if (why := self._why_refused(key))}
        placed = {key: self._placed(key) for key in self._unplaced}
        self._judge(placed, now)
        self._gives = {k: g for k, g in self._gives.items() if k in sizings and g.taker in self._since}
        if not self._unplaced:
            return
        claims = [self._claim(key, sizing, now) for key, sizing in sizings.items() if key in self._stakes]
        by_name = {str(key): key for key in sizings}
        for giver, taker in donors(claim for claim in claims if claim.kind).items():
            self._give(by_name[giver], sizings[by_name[giver]].size, by_name[taker], now)

    def _judge(self, placed: Mapping[Key, int], now: float) -> None:
        """Whose gifts have helped, or were in vain."""
        self._in_vain = {key: until for key, until in self._in_vain.items() if until > now and key in placed}
        for key, (before, since) in list(self._since.items()):
            if placed.get(key, before + 1) > before:
                del self._since[key]
            elif now - since > _IN_VAIN_AFTER_S:
                del self._since[key]
                self._in_vain[key] = now + _IN_VAIN_FOR_S

    def _give(self, giver: Key, size: int, taker: Key, now: float) -> None:
        if taker in self._in_vain:
            return
        known = self._gives.get(giver)
        if known is None or now - known.at > _GIVEN_FOR_S:
            self._gives[giver] = _Gift(taker, size - 1, now)
            self._since.setdefault(taker, (self._placed(taker), now))

    def ceiling(self, key: Key, sizing: Sizing) -> tuple[int | None, str]:
        """How many workers the model can have at most, and why; `None` where nothing limits it."""
        if (gift := self._gives.get(key)) is not None:
            in_use = 1 if sizing.count and sizing.count.in_flight else 0
            return max(gift.ceiling, sizing.needed, in_use), gift.reason
        for known, trouble in ((self._unplaced, "no node takes one"), (self._refused, "none may be made")):
            if (why := known.get(key)) is not None:
                return sizing.size, f"no more than {sizing.size} are asked for, since {trouble}: {why}"
        return None, ""

    def _why_unplaced(self, key: Key) -> str:
        pods = worker_pods.there(self._world.pods(key)).values()
        return next((why for pod in pods if (why := worker_pods.why_unplaced(pod))), "")

    def _why_refused(self, key: Key) -> str:
        """The API server's words about pods that it does not let in: a quota, say."""
        failure = worker_pods.condition(self._world.deployment(key), "ReplicaFailure")
        return str(failure.get("message") or "") if failure.get("status") == "True" else ""

    def _placed(self, key: Key) -> int:
        return sum(worker_pods.is_placed(pod) for pod in worker_pods.there(self._world.pods(key)).values())

    def _claim(self, key: Key, sizing: Sizing, now: float) -> Claim:
        stake = self._stakes[key]
        wanted = 1 if sizing.count and sizing.count.in_flight else 0
        return Claim(
            name=str(key),
            priority=stake.priority,
            kind=stake.kind,
            minimum=max(minimum(now, sizing.policy)[0], wanted),
            needed=sizing.needed,
            size=sizing.size,
            placed=self._placed(key),
            starving=key in self._unplaced,
        )
