"""NetworkPolicies: who may open connections to our pods. What our pods open is not restricted."""

import copy

from tailrace_operator.render.metadata import metadata, selector
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.resources import StreamingGateway


def gateway_policy(described: Manifest) -> Manifest:
    """Anyone may reach a gateway's API, and nothing else of it."""
    return _policy(described, {"matchLabels": selector(described)}, "http")


def workers_policy(gateway: StreamingGateway) -> Manifest:
    """Workers and downloads of the namespace take no connections but for probes and metrics.

    One is made with every gateway, which is the same for all: policies add up, and the last one goes with the last
    gateway.
    """
    described = metadata(f"tailrace-workers-{gateway.metadata.name}", "workers", gateway)
    names = ["tailrace-worker", "tailrace-fetch"]
    pods = {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": names}]}
    return _policy(described, pods, "metrics")


def _policy(described: Manifest, pods: Manifest, port: str) -> Manifest:
    spec = {
        "podSelector": pods,
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": port}]}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": copy.deepcopy(described),
        "spec": spec,
    }
