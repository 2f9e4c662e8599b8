"""The objects that every cluster has and nobody installs: a default storage class, and the Service of its DNS."""

from typing import Any

from .instances import Instance

STORAGE_CLASS = "standard"
PROVISIONER = "tailrace.test/local"
DNS = "kube-dns"


def objects(instance: Instance) -> list[dict[str, Any]]:
    """All of them; CoreDNS runs beside the API server, so its Service has a hand-made endpoint."""
    return [storage_class(), coredns_role(), coredns_binding(), dns_service(instance), dns_endpoints(instance)]


def storage_class() -> dict[str, Any]:
    """Volumes come with their first pod, as in most clouds.

    A pod that is looked at before its claim is bound is, on a busy machine, at times not looked at again for minutes.
    """
    name = {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    described = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": name}
    return {**described, "provisioner": PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer"}


def coredns_role() -> dict[str, Any]:
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    metadata = {"name": "system:coredns"}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}


def coredns_binding() -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "system:coredns"}],
    }


def dns_ports() -> list[dict[str, Any]]:
    return [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]


def dns_service(instance: Instance) -> dict[str, Any]:
    metadata = {"name": DNS, "namespace": "kube-system", "labels": {"k8s-app": DNS}}
    spec = {"clusterIP": instance.dns_address, "ports": dns_ports()}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def dns_endpoints(instance: Instance) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": DNS, "endpointslice.kubernetes.io/managed-by": "tailrace-harness"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": DNS, "namespace": "kube-system", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [instance.control_address], "conditions": {"ready": True}}],
        "ports": dns_ports(),
    }
