"""Namespaces that are being deleted, with all that is in them.

Kubernetes ends the pods of such a namespace before it deletes anything else in it. Gateways would finish what they have
for as long as their drain allows, for models that are lost already.
"""

import logging
from collections.abc import Iterable

from tailrace_operator.apply.kubernetes import KubernetesApi, KubernetesError
from tailrace_operator.plan import Ref
from tailrace_operator.render import Manifest

log = logging.getLogger("tailrace.operator")


class Departures:
    """Tells which namespaces go. They are not watched: one is asked for while pods end in it."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._going: set[str] = set()

    async def include(self, namespace: str, pods: Iterable[Manifest]) -> bool:
        """Whether the namespace is being deleted, as far as can be known; `pods`: those that would tell."""
        ending = any("deletionTimestamp" in pod["metadata"] for pod in pods)
        if not ending and namespace not in self._going:
            return False
        (self._going.add if await self._is_going(namespace) else self._going.discard)(namespace)
        return namespace in self._going

    async def _is_going(self, namespace: str) -> bool:
        try:
            found = await self._api.get(Ref("v1", "Namespace", "", namespace))
        except KubernetesError as error:
            log.debug("namespace.unknown name=%s error=%s", namespace, error)
            return namespace in self._going
        return found is None or "deletionTimestamp" in found["metadata"]
