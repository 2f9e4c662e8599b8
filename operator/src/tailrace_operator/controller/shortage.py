"""Which models lack nodes for their workers, and what follows: no more are asked for, and others may give.

A worker that no node takes is noticed by Kubernetes alone; as long as there is one, more would only wait beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailrace_operator.controller.sizing import Sizing, condition
from tailrace_operator.controller.world import Key, World
from tailrace_operator.resources import StreamingModel
from tailrace_operator.scaling import Claim, donors

#: After a worker was given, so long nothing more is asked of others: it has to be emptied, removed and replaced.
_GIVEN_FOR_S = 30.0


@dataclass(frozen=True, slots=True)
class _Stake:
    kind: str
    priority: int
    minimum: int


@dataclass(frozen=True, slots=True)
class _Gift:
    """A worker that was asked of a model: it may have `ceiling` of them since `at`."""

    ceiling: int
    reason: str
    at: float


class Shortage:
    """What was seen at the last look."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stakes: dict[Key, _Stake] = {}
        self._unplaced: dict[Key, str] = {}
        self._gives: dict[Key, _Gift] = {}

    def learn(self, key: Key, model: StreamingModel) -> None:
        """What a model's workers ask of nodes, and how important it is."""
        gpu, scaling = model.spec.resources.gpu, model.spec.auto
        if scaling is not None:
            self._stakes[key] = _Stake(gpu.resource_name if gpu else "", scaling.priority, scaling.min_replicas)

    def forget(self, key: Key) -> None:
        """The model is gone."""
        self._stakes.pop(key, None)
        self._unplaced.pop(key, None)
        self._gives.pop(key, None)

    def look(self, sizings: Mapping[Key, Sizing], now: float) -> None:
        """Find out who lacks nodes, and who gives to whom."""
        self._unplaced = {key: why for key in sizings if (why := self._complaint(key))}
        if not self._unplaced:
            self._gives = {}
            return
        short_of = {self._stakes[key].kind for key in self._unplaced if key in self._stakes}
        # What was given stays given for as long as somebody is short of that kind.
        self._gives = {
            key: gift for key, gift in self._gives.items() if key in sizings and self._stakes[key].kind in short_of
        }
        claims = [self._claim(key, sizing) for key, sizing in sizings.items() if key in self._stakes]
        by_name = {str(key): key for key in sizings}
        for giver, taker in donors(claim for claim in claims if claim.kind).items():
            self._give(by_name[giver], sizings[by_name[giver]].size, by_name[taker], now)

    def _give(self, giver: Key, size: int, taker: Key, now: float) -> None:
        known = self._gives.get(giver)
        if known is None or now - known.at > _GIVEN_FOR_S:
            reason = f"a worker goes to {taker.namespace}/{taker.name}, which is below its minimum"
            self._gives[giver] = _Gift(size - 1, reason, now)

    def ceiling(self, key: Key, sizing: Sizing) -> tuple[int | None, str]:
        """How many workers the model can have at most, and why; `None` where nothing limits it."""
        if (gift := self._gives.get(key)) is not None:
            return gift.ceiling, gift.reason
        if (why := self._unplaced.get(key)) is None:
            return None, ""
        return sizing.size, f"no more than {sizing.size} are asked for, since no node takes one: {why}"

    def _complaint(self, key: Key) -> str:
        for pod in self._world.pods(key):
            if _unplaced(pod):
                return str(condition(pod, "PodScheduled").get("message") or "it is unschedulable")
        return ""

    def _claim(self, key: Key, sizing: Sizing) -> Claim:
        stake, pods = self._stakes[key], self._world.pods(key)
        placed = sum(condition(pod, "PodScheduled").get("status") == "True" for pod in pods)
        wanted = 1 if sizing.count and sizing.count.in_flight else 0
        return Claim(
            name=str(key),
            priority=stake.priority,
            kind=stake.kind,
            minimum=max(stake.minimum, wanted),
            needed=sizing.needed,
            size=sizing.size,
            placed=placed,
            starving=key in self._unplaced,
        )


def _unplaced(pod: Mapping[str, Any]) -> bool:
    scheduled = condition(pod, "PodScheduled")
    return scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
