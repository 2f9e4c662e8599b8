"""Whether anything secret is where others can read it: in a log, a status, an event, an object that is no Secret."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from harness.cluster import Cluster

#: Users of the broker, and the servers of a NATS cluster among each other.
ROLES = ("operator", "gateway", "worker", "advisory", "routes")
_OBJECTS = (
    "streamingmodels,streaminggateways,events,configmaps,deployments,statefulsets,replicasets,jobs,pods,services,"
    "persistentvolumeclaims,poddisruptionbudgets,networkpolicies"
)


def passwords(secret: Mapping[str, Any]) -> dict[str, str]:
    """All passwords of the Secret that the operator made."""
    return {role: base64.b64decode(secret["data"][role]).decode() for role in ROLES}


def leaked(words: Mapping[str, str], shown: str) -> list[str]:
    """The names of the words that are shown, as they are or as Kubernetes writes them in Secrets."""
    spelled = {name: (word, base64.b64encode(word.encode()).decode()) for name, word in words.items()}
    return [name for name, spellings in spelled.items() if any(word in shown for word in spellings)]


def objects(cluster: Cluster) -> str:
    """All objects that hold nothing secret by their kind."""
    return cluster.kubectl("get", _OBJECTS, "-A", "-o", "json", "--show-managed-fields")


def logs(cluster: Cluster, namespaces: Iterable[str]) -> dict[str, str]:
    """What the pods of these namespaces have printed, by the name of their part; of restarted ones also before."""
    found: dict[str, str] = {}
    for namespace in namespaces:
        for pod in cluster.objects("pods", namespace):
            name, part = pod["metadata"]["name"], pod["metadata"]["labels"].get("app.kubernetes.io/name", "")
            command = ("logs", name, "-n", namespace, "--all-containers", "--ignore-errors")
            said = [cluster.kubectl(*command, *more, check=False) for more in ((), ("--previous",))]
            found[part] = "".join([found.get(part, ""), *said])
    return found
