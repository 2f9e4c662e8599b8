"""Kubernetes events, posted when something changes and never to say that it still is so."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from tailrace_operator.apply.kubernetes import KubernetesApi, KubernetesError
from tailrace_operator.conditions import Tone, reasons
from tailrace_operator.render.rendered import Manifest

log = logging.getLogger("tailrace.operator")

_COMPONENT = "tailrace-operator"
_MAX_MESSAGE = 1000


class Journal:
    """Posts events about resources."""

    def __init__(self, api: KubernetesApi, instance: str, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._instance = instance
        self._clock = clock

    async def transitions(
        self, resource: Manifest, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
    ) -> None:
        """Tell of each condition whose status or reason changed."""
        known = {condition["type"]: (condition["status"], condition["reason"]) for condition in before}
        for condition in after:
            now = (condition["status"], condition["reason"])
            # What a new resource says first is no transition, unless somebody must act.
            if known.get(condition["type"]) == now or (condition["type"] not in known and not _is_bad(condition)):
                continue
            severity: Literal["Normal", "Warning"] = "Warning" if _is_bad(condition) else "Normal"
            text = f"{condition['type']} is {condition['status']}: {condition['message']}"
            await self.tell(resource, severity, condition["reason"], text)

    async def tell(self, resource: Manifest, severity: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Post one event; one that cannot be posted, as in a namespace that goes, is only logged."""
        described = resource["metadata"]
        about = f"{described['namespace']}/{described['name']}"
        log.info("event reason=%s about=%s message=%s", reason, about, message)
        try:
            await self._api.create(self._event(resource, severity, reason, message))
        except KubernetesError as error:
            log.warning("event.not_posted reason=%s about=%s message=%s error=%s", reason, about, message, error)

    def _event(self, resource: Manifest, severity: str, reason: str, message: str) -> Manifest:
        described, now = resource["metadata"], self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {key: described.get(key) for key in ("name", "namespace", "uid", "resourceVersion")}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{described['name']}.{uuid4().hex[:16]}", "namespace": described["namespace"]},
            "involvedObject": {"apiVersion": resource["apiVersion"], "kind": resource["kind"], **about},
            "reason": reason,
            "message": message[:_MAX_MESSAGE],
            "type": severity,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": _COMPONENT, "host": self._instance},
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._instance,
        }


def _is_bad(condition: Mapping[str, Any]) -> bool:
    """Whether somebody must act, and this condition is the one to say so (not that a failing rollout goes on)."""
    reason = reasons.BY_NAME.get(condition["reason"])
    says_so = condition["status"] == ("True" if condition["type"] == "Degraded" else "False")
    return says_so and (reason is None or reason.tone is Tone.WRONG)
