"""Kubernetes' Pod Security Standard "restricted", as a list of complaints about a pod's spec.

The API server's own check is run on a real one; this one names the field at once. Written from the rules on
https://kubernetes.io/docs/concepts/security/pod-security-standards/.
"""

from collections.abc import Iterator
from typing import Any

HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = {"RuntimeDefault", "Localhost"}
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def complaints(spec: dict[str, Any]) -> list[str]:
    """What keeps a pod from passing "restricted"; nothing when it passes."""
    return [*of_pod(spec), *(each for container in containers(spec) for each in of_container(container, spec))]


def containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind in CONTAINERS:
        yield from spec.get(kind, [])


def of_pod(spec: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name} is set" for name in HOST_NAMESPACES if spec.get(name))
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']} is of kind {', '.join(kinds - VOLUMES)}"
    if spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls are set"


def of_container(container: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    name, own = container["name"], container.get("securityContext", {})
    effective = {**spec.get("securityContext", {}), **own}
    if own.get("privileged"):
        yield f"{name}: is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if effective.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot is not true"
    if effective.get("runAsUser") == 0:
        yield f"{name}: runAsUser is 0"
    if effective.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield f"{name}: seccompProfile is neither RuntimeDefault nor Localhost"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name}: not all capabilities are dropped"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities are added"
    yield from (
        f"{name}: port {port['containerPort']} is a host port"
        for port in container.get("ports", [])
        if port.get("hostPort")
    )
