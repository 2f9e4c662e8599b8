"""A real API server takes every object that the chart renders, under every set of values in charts/tailrace/ci."""

import copy
from collections.abc import Iterator

import pytest
import yaml
from harness.cluster import Cluster
from harness.errors import CommandError

from . import foreign
from .releases import CHART, RESTRICTED

CASES = sorted((CHART / "ci").glob("*.yaml"))


@pytest.fixture(scope="module")
def prepared(api: Cluster) -> Iterator[Cluster]:
    """An API server that knows the objects of Prometheus's operator and of the Gateway API, and both teams."""
    foreign.install(api)
    missing = [name for name in ("team-a", "team-b") if api.get("namespace", name) is None]
    for name in missing:
        api.kubectl("create", "namespace", name)
    yield api
    for name in missing:
        api.kubectl("delete", "namespace", name, "--wait=false")


def rendered(cluster, case, namespace):
    text = cluster.helm("template", "tailrace", CHART, "--namespace", namespace, f"--values={case}")
    return [item for item in yaml.safe_load_all(text) if item]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_api_server_accepts_every_object_and_knows_every_field(prepared, case):
    with prepared.namespace("chart", wait=False) as namespace:
        objects = rendered(prepared, case, namespace)
        others = [item for item in objects if item["kind"] != "Pod"]
        printed = prepared.apply(others, None, "--dry-run=server", "--validate=strict")
        assert len(printed.splitlines()) == len(others)


def pods(objects):
    """Every pod of the release by itself, without what must exist beside it."""
    for item in objects:
        if item["kind"] in ("Pod", "Deployment", "StatefulSet"):
            spec = copy.deepcopy(item["spec"] if item["kind"] == "Pod" else item["spec"]["template"]["spec"])
            for elsewhere in ("serviceAccountName", "priorityClassName"):
                spec.pop(elsewhere, None)
            spec.setdefault("volumes", []).extend(claimed(item["spec"].get("volumeClaimTemplates", [])))
            name = f"{item['kind'].lower()}-{item['metadata']['name']}"
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def claimed(templates):
    """The volumes that a StatefulSet adds to its pods."""
    names = [template["metadata"]["name"] for template in templates]
    return [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_api_servers_own_pod_security_lets_every_pod_in(prepared, case):
    with prepared.namespace("chart", RESTRICTED) as namespace:
        found = list(pods(rendered(prepared, case, namespace)))
        assert found
        prepared.apply(found, namespace, "--dry-run=server")


def test_the_api_servers_pod_security_keeps_others_out(prepared):
    """The test above can fail."""
    with prepared.namespace("chart", RESTRICTED) as namespace:
        pod = copy.deepcopy(next(pods(rendered(prepared, CASES[0], namespace))))
        pod["spec"]["containers"][0]["securityContext"].pop("capabilities")
        with pytest.raises(CommandError, match="unrestricted capabilities"):
            prepared.apply(pod, namespace, "--dry-run=server")


def test_the_api_server_refuses_a_field_that_it_does_not_know(prepared):
    """So can the first."""
    with prepared.namespace("chart", wait=False) as namespace:
        [service] = [
            item
            for item in rendered(prepared, CASES[0], namespace)
            if item["kind"] == "Service" and item["metadata"]["name"] == "tailrace-nats"
        ]
        service["spec"]["port"] = 1
        with pytest.raises(CommandError, match="port"):
            prepared.apply(service, None, "--dry-run=server", "--validate=strict")
