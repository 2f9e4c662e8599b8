"""The kinds of object that the operator reads and writes, and where the API server keeps them.

A fixed table instead of discovery: the operator starts without asking for what it knows, and needs no right to ask.
"""

from dataclasses import dataclass

from tailrace_operator.plan.identity import Ref
from tailrace_operator.resources.model import API_VERSION


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind, and its name in paths."""

    api_version: str
    kind: str
    plural: str

    @property
    def root(self) -> str:
        """The beginning of its paths."""
        return f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"


CHILDREN = (
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Service", "services"),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("batch/v1", "Job", "jobs"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
)
MODEL = Kind(API_VERSION, "StreamingModel", "streamingmodels")
GATEWAY = Kind(API_VERSION, "StreamingGateway", "streaminggateways")
POD = Kind("v1", "Pod", "pods")
SECRET = Kind("v1", "Secret", "secrets")
_ALL = {
    (kind.api_version, kind.kind): kind
    for kind in (*CHILDREN, MODEL, GATEWAY, POD, SECRET, Kind("v1", "Event", "events"))
}


def path_of(ref: Ref, subresource: str = "") -> str:
    """The path of one object, or of one of its subresources."""
    if (ref.api_version, ref.kind) == ("v1", "Namespace"):
        return f"/api/v1/namespaces/{ref.name}"
    return collection_of(ref) + f"/{ref.name}" + (f"/{subresource}" if subresource else "")


def collection_of(ref: Ref) -> str:
    """The path at which objects of this kind are made in this namespace."""
    kind = _ALL[(ref.api_version, ref.kind)]
    return f"{kind.root}/namespaces/{ref.namespace}/{kind.plural}"
