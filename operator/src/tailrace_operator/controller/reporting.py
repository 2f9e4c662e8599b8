"""Writes a resource's status when it differs from what stands there, and tells of the transitions."""

from collections.abc import Mapping
from datetime import UTC, datetime
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

    def __init__(self, api: KubernetesApi, world: World, journal: Journal, metrics: Metrics) -> None:
        self._api = api
        self._world = world
        self._journal = journal
        self._metrics = metrics

    async def report(self, resource: Manifest, fields: Mapping[str, Any], verdicts: Mapping[str, Verdict]) -> None:
        """Bring the status to `fields` and `verdicts`; nothing is written when it says so already."""
        before = resource.get("status") or {}
        described = resource["metadata"]
        known = before.get("conditions") or []
        conditions = merged(known, verdicts, described.get("generation", 0), datetime.now(UTC))
        self._measure(resource, conditions)
        wanted = {**fields, "observedGeneration": described.get("generation", 0), "conditions": conditions}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        if wanted == before:
            return
        status = {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            "metadata": {"name": described["name"], "namespace": described["namespace"]},
            "status": wanted,
        }
        try:
            self._world.put(await self._api.apply(status, described["uid"], subresource="status"))
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
