"""Namespaces that are being deleted, with all that is in them.

Kubernetes ends the pods of such a namespace before it deletes anything else in it. Gateways would finish what they have
for as long as their drain allows, for models that are lost already.
"""

import logging
from collections.abc import Collection

from tailrace_operator.apply.kubernetes import KubernetesApi, KubernetesError
from tailrace_operator.controller.world import Key
from tailrace_operator.plan import Ref
from tailrace_operator.render import Manifest

log = logging.getLogger("tailrace.operator")


class Departures:
    """Tells which namespaces go. They are not watched: one is asked for when pods end in it, or are gone from it."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._going: set[str] = set()
        self._seen: dict[Key, set[str]] = {}

    async def include(self, key: Key, pods: Collection[Manifest]) -> bool:
        """Whether a resource's namespace is being deleted, as far as can be known; `pods`: those that would tell."""
        there = {str(pod["metadata"]["name"]) for pod in pods}
        gone, self._seen[key] = self._seen.get(key, set()) - there, there
        ending = any("deletionTimestamp" in pod["metadata"] for pod in pods)
        if not (ending or gone or key.namespace in self._going):
            return False
        (self._going.add if await self._is_going(key.namespace) else self._going.discard)(key.namespace)
        return key.namespace in self._going

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._seen.pop(key, None)

    async def _is_going(self, namespace: str) -> bool:
        try:
            found = await self._api.get(Ref("v1", "Namespace", "", namespace))
        except KubernetesError as error:
            log.debug("namespace.unknown name=%s error=%s", namespace, error)
            return namespace in self._going
        return found is None or "deletionTimestamp" in found["metadata"]
