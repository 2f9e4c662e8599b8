"""Writes a resource's status when it differs from what stands there, and tells of the transitions."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tailrace_operator.apply.kubernetes import KubernetesApi, NotFoundError
from tailrace_operator.conditions import Verdict, merged
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.metrics import Metrics
from tailrace_operator.controller.world import World
from tailrace_operator.render.rendered import Manifest

_VALUES = {"True": 1, "False": 0, "Unknown": -1}


class Reporter:
    """The one writer of status."""

    def __init__(
        self, api: KubernetesApi, world: World, journal: Journal, metrics: Metrics, clock: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._world = world
        self._journal = journal
        self._metrics = metrics
        self._clock = clock

    async def report(self, resource: Manifest, fields: Mapping[str, Any], verdicts: Mapping[str, Verdict]) -> None:
        """Bring the status to `fields` and `verdicts`; nothing is written when it says so already."""
        before, described = resource.get("status") or {}, resource["metadata"]
        known, generation = before.get("conditions") or [], described.get("generation", 0)
        conditions = merged(known, verdicts, generation, self._clock())
        self._measure(resource, conditions)
        wanted = {**fields, "observedGeneration": generation, "conditions": conditions}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        if _comparable(wanted, verdicts) == _comparable(before, verdicts):
            return
        try:
            written = await self._api.apply(_status_of(resource, wanted), described["uid"], subresource="status")
            # What others wrote into fields of ours, an apply that leaves them out does not remove.
            if stray := [name for name in fields if name not in wanted and name in written.get("status", {})]:
                written = await self._api.drop_status(written, stray)
            self._world.put(written, answered=True)
        except NotFoundError:
            return
        await self._journal.transitions(resource, known, conditions)

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """The resource is gone: its numbers go too."""
        for condition in ("Ready", "Progressing", "Degraded"):
            try:
                self._metrics.conditions.remove(kind, namespace, name, condition)
            except KeyError:
                continue

    def _measure(self, resource: Manifest, conditions: list[dict[str, Any]]) -> None:
        described = resource["metadata"]
        for condition in conditions:
            gauge = self._metrics.conditions.labels(
                resource["kind"], described["namespace"], described["name"], condition["type"]
            )
            gauge.set(_VALUES[condition["status"]])


def _comparable(status: Mapping[str, Any], ours: Mapping[str, Verdict]) -> dict[str, Any]:
    """A status without the conditions that others added: server-side apply leaves them alone."""
    conditions = {c["type"]: c for c in status.get("conditions") or () if c["type"] in ours}
    return {**status, "conditions": conditions}


def _status_of(resource: Manifest, status: Mapping[str, Any]) -> Manifest:
    described = resource["metadata"]
    return {
        "apiVersion": resource["apiVersion"],
        "kind": resource["kind"],
        "metadata": {"name": described["name"], "namespace": described["namespace"]},
        "status": dict(status),
    }
