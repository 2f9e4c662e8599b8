"""Changes to pods: they reach the right containers, and nothing that Tailrace needs is lost."""

import pytest
from manifests import container, environment, mounts, of_kind, pod_of, volumes
from tailrace_operator.render import RenderSettings, render, render_gateway

SETTINGS = RenderSettings()
FETCHED = {"model": {"source": {"hf": {"repo": "o/n"}}}, "engine": {"vllm": {}}}
CACHED = {"model": {"source": {"hf": {"repo": "o/n"}}, "cache": {"size": "1Gi"}}, "engine": {"vllm": {}}}
AFFINITY = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
EVERYTHING = {
    "labels": {"team": "a"},
    "annotations": {"sidecar.istio.io/inject": "false"},
    "image": "registry/own:1",
    "imagePullSecrets": [{"name": "mine"}],
    "serviceAccountName": "identity",
    "priorityClassName": "high",
    "affinity": AFFINITY,
    "tolerations": [{"key": "team", "operator": "Exists"}],
    "topologySpreadConstraints": [
        {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "A", "value": "b"}],
    "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "volumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
    "containers": [{"name": "logs", "image": "logs:1"}],
    "initContainers": [{"name": "wait", "image": "wait:1"}],
}


def workers(make, pod, spec=FETCHED):
    return of_kind(render(make.model(**spec, pod=pod), SETTINGS).manifests, "Deployment")


def gateways(make, pod):
    return of_kind(render_gateway(make.gateway(pod=pod), [], SETTINGS), "Deployment")


@pytest.mark.parametrize("made", [workers, gateways])
def test_every_change_reaches_the_pods(make, made):
    workload = made(make, EVERYTHING)
    template, pod, main = workload["spec"]["template"], pod_of(workload), container(workload)

    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    assert main["image"] == "registry/own:1"
    assert {"name": "mine"} in pod["imagePullSecrets"]
    assert (pod["serviceAccountName"], pod["priorityClassName"]) == ("identity", "high")
    assert pod["affinity"] == AFFINITY
    assert {"key": "team", "operator": "Exists"} in pod["tolerations"]
    assert "topology.kubernetes.io/zone" in [one["topologyKey"] for one in pod["topologySpreadConstraints"]]
    assert environment(main)["TOKEN"] == {"secretKeyRef": {"name": "s", "key": "k"}}
    assert volumes(workload)["ca"] == {"name": "ca", "configMap": {"name": "ca"}}
    assert mounts(main)["/etc/ca"] == {"name": "ca", "mountPath": "/etc/ca", "readOnly": True}
    assert [one["name"] for one in pod["containers"]][1:] == ["logs"]
    assert [one["name"] for one in pod["initContainers"]][-1] == "wait"


@pytest.mark.parametrize("made", [workers, gateways])
def test_what_tailrace_needs_stays(make, made):
    plain, changed = made(make, {}), made(make, EVERYTHING)

    assert container(changed)["command"] == container(plain)["command"]
    assert container(changed)["securityContext"] == container(plain)["securityContext"]
    assert mounts(container(plain)).items() <= mounts(container(changed)).items()
    assert volumes(plain).items() <= volumes(changed).items()
    labels = [made["spec"]["template"]["metadata"]["labels"] for made in (plain, changed)]
    assert labels[0].items() <= labels[1].items()
    assert changed["spec"]["selector"] == plain["spec"]["selector"]


def test_no_change_is_no_difference(make):
    assert workers(make, {}) == of_kind(render(make.model(**FETCHED), SETTINGS).manifests, "Deployment")


@pytest.mark.parametrize("spec", [FETCHED, CACHED], ids=["init container", "job"])
def test_downloads_get_variables_and_volumes_but_neither_the_image_nor_sidecars(make, spec):
    result = render(make.model(**spec, pod=EVERYTHING), SETTINGS)
    workload = result.fetch or of_kind(result.manifests, "Deployment")
    pod = pod_of(workload)
    fetcher = next(c for c in (*pod.get("initContainers", []), *pod["containers"]) if c["name"] == "fetch-model")

    assert fetcher["image"] == SETTINGS.fetcher_image
    assert environment(fetcher).items() >= {"A": "b", "HOME": "/tmp"}.items()
    assert "/etc/ca" in mounts(fetcher)
    if result.fetch:
        assert [one["name"] for one in (*pod.get("initContainers", []), *pod["containers"])] == ["fetch-model"]
        assert "topologySpreadConstraints" not in pod
        assert (pod["serviceAccountName"], pod["affinity"]) == ("identity", AFFINITY)


def test_a_constraint_for_the_same_topology_replaces_the_gateways_own_strictness(make):
    strict = {"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    (spread,) = pod_of(gateways(make, {"topologySpreadConstraints": [strict]}))["topologySpreadConstraints"]

    assert (spread["whenUnsatisfiable"], spread["maxSkew"]) == ("DoNotSchedule", 1)
    assert "labelSelector" in spread


def test_pods_are_replaced_when_a_change_changes(make):
    assert workers(make, {"labels": {"a": "b"}})["spec"]["template"] != workers(make, {})["spec"]["template"]
