"""Which pod a Deployment removes first: Kubernetes' own annotation for it."""

import logging
from collections.abc import Mapping
from typing import Any

from tailrace_operator.apply.kubernetes import KubernetesApi, KubernetesError

log = logging.getLogger("tailrace.operator")

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
#: The lowest there is, which nobody else would choose: ours are found again by it.
GOES_FIRST = "-2147483648"


def goes_first(pod: Mapping[str, Any]) -> bool:
    """Whether it was said of this pod that it is to be the first to go."""
    return (pod["metadata"].get("annotations") or {}).get(ANNOTATION) == GOES_FIRST


async def set_cost(api: KubernetesApi, pod: Mapping[str, Any], cost: str | None) -> None:
    """Set the pod's cost, or take ours away. Where that fails another pod goes, and drains as this one would."""
    described = pod["metadata"]
    about: dict[str, Any] = {"name": described["name"], "namespace": described["namespace"]}
    if cost is not None:
        about["annotations"] = {ANNOTATION: cost}
    try:
        await api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": about}, described["uid"])
    except KubernetesError as error:
        log.warning("deletion_cost.not_set pod=%s error=%s", described["name"], error)
