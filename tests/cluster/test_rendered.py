"""What is rendered, on a real API server: it takes it as it is, keeps it as it is, and lets such pods in."""

import copy
from pathlib import Path

import pytest
from crd_cases import POD
from dry_run import dry_run
from tailrace_operator.plan import drift
from tailrace_operator.render import RenderSettings, default_gateway, render, render_gateway
from tailrace_operator.render.strategic import strategic_merge
from tailrace_operator.resources import StreamingGateway, StreamingModel
from tailrace_operator.resources.files import load
from tailrace_operator.resources.quantity import Quantity, canonical

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SETTINGS = RenderSettings(image_pull_secrets=("registry",))
SERVED = {"Deployment", "Job"}


def children_of(file, namespace):
    """All that is made for an example."""
    loaded = load([file])
    model = at(loaded.models[0], namespace)
    gateways = loaded.gateways or [StreamingGateway.parse(default_gateway(namespace, [model]))]
    result = render(model, SETTINGS)
    found = [*result.prepare, *([result.fetch] if result.fetch else []), *result.manifests]
    return found + [child for one in gateways for child in render_gateway(at(one, namespace), [model], SETTINGS)]


def at(resource, namespace):
    return resource.model_copy(update={"metadata": resource.metadata.model_copy(update={"namespace": namespace})})


@pytest.fixture(scope="module")
def server(api):
    with dry_run(api) as found:
        yield found


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_what_the_api_server_keeps_is_what_was_rendered(api, api_namespace, file):
    children = children_of(file, api_namespace)
    api.apply(children, api_namespace)
    for child in children:
        stored = api.get(child["kind"], child["metadata"]["name"], api_namespace)
        assert drift(child, stored) == ()


def test_every_field_of_a_model_together_is_taken(api, api_namespace):
    spec = {
        "engine": {"simulated": {}},
        "resources": {
            "gpu": {"count": 1, "tolerations": [{"key": "a", "operator": "Exists"}], "runtimeClassName": "nvidia"},
            "cpu": "0.5",
            "memory": "1024Mi",
            "shmSize": "512Mi",
        },
        "pod": {
            **POD,
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [
                {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"},
            ],
        },
    }
    document = {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingModel",
        "metadata": {"name": "all"},
        "spec": spec,
    }
    model = at(StreamingModel.parse(document), api_namespace)
    children = render(model, SETTINGS).manifests
    api.apply(list(children), api_namespace)
    for child in children:
        assert drift(child, api.get(child["kind"], child["metadata"]["name"], api_namespace)) == ()


def test_what_binds_pods_to_the_node_of_their_volume_is_kept(api, api_namespace):
    source = {"hf": {"repo": "o/n"}}
    spec = {"engine": {"vllm": {}}, "resources": {"gpu": {"count": 1}}}
    spec["model"] = {"source": source, "cache": {"size": "1Gi", "accessMode": "ReadWriteOnce"}}
    document = {"apiVersion": "tailrace.dev/v1alpha1", "kind": "StreamingModel", "metadata": {"name": "bound"}}
    result = render(at(StreamingModel.parse({**document, "spec": spec}), api_namespace), SETTINGS)
    children = [*result.prepare, result.fetch, *result.manifests]
    api.apply(children, api_namespace)
    for child in children:
        assert drift(child, api.get(child["kind"], child["metadata"]["name"], api_namespace)) == ()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_pods_are_let_into_a_restricted_namespace(api, file):
    """But for weights on the node itself: no pod of a restricted namespace may read its node's directories."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    with api.namespace(labels=labels, wait=False) as namespace, dry_run(api) as server:
        for workload in children_of(file, namespace):
            if workload["kind"] not in SERVED:
                continue
            answer = server.apply(pod_from(workload), namespace)
            hidden = "hostPath" in str(workload)
            assert ("restricted volume types" in answer.complaint) if hidden else answer.complaint == ""


def pod_from(workload):
    """The pod that a workload would make; what the scheduler or other objects decide is left out."""
    template = copy.deepcopy(workload["spec"]["template"])
    spec = template["spec"]
    for field in ("priorityClassName", "runtimeClassName", "serviceAccountName"):
        spec.pop(field, None)
    metadata = {"name": "probe", "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


BASE = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "merged"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}, "annotations": {"x": "1"}},
            "spec": {
                "containers": [
                    {
                        "name": "worker",
                        "image": "own",
                        "command": ["a", "b"],
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        "ports": [{"containerPort": 80, "name": "http"}],
                        "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/w"}],
                        "resources": {"requests": {"cpu": "1"}},
                    },
                    {"name": "second", "image": "s"},
                ],
                "volumes": [{"name": "v", "emptyDir": {}}],
                "tolerations": [{"key": "a", "operator": "Exists"}],
                "imagePullSecrets": [{"name": "one"}],
                "topologySpreadConstraints": [
                    {"topologyKey": "host", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"},
                ],
                "nodeSelector": {"pool": "a"},
            },
        },
    },
}


def in_worker(**fields):
    return {"containers": [{"name": "worker", **fields}]}


PATCHES = {
    "env": in_worker(env=[{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]),
    "image": in_worker(image="other"),
    "sidecar": {"containers": [{"name": "logs", "image": "l"}], "initContainers": [{"name": "i", "image": "i"}]},
    "volumes": {
        "volumes": [{"name": "w", "configMap": {"name": "c"}}],
        "containers": [{"name": "worker", "volumeMounts": [{"name": "w", "mountPath": "/new"}]}],
    },
    "mount in another's place": in_worker(volumeMounts=[{"name": "v", "mountPath": "/w", "readOnly": True}]),
    "ports": in_worker(ports=[{"containerPort": 81}, {"containerPort": 80, "name": "web"}]),
    "tolerations": {"tolerations": [{"key": "b", "operator": "Exists"}]},
    "command": in_worker(command=["c"]),
    "secrets": {"imagePullSecrets": [{"name": "two"}, {"name": "one"}]},
    "spread": {
        "topologySpreadConstraints": [
            {"topologyKey": "host", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 2},
            {"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1},
        ]
    },
    "maps": {"nodeSelector": {"zone": "z"}, "affinity": {"nodeAffinity": {}}},
    "removed fields": {"nodeSelector": None, "tolerations": None},
    "removed items": {"containers": [{"name": "second", "$patch": "delete"}]},
    "a replaced list": {"containers": [{"$patch": "replace"}, {"name": "only", "image": "r"}]},
    "replaced maps": {"nodeSelector": {"$patch": "replace", "only": "this"}},
    "resources": in_worker(resources={"limits": {"memory": "1Gi"}}),
}


@pytest.mark.parametrize("name", PATCHES)
def test_our_strategic_merge_is_the_api_servers(api, server, api_namespace, name):
    api.apply(BASE, api_namespace)
    stored = api.get("deployment", "merged", api_namespace)
    change = {"metadata": {"labels": {"c": "d"}, "annotations": {"x": None, "y": "2"}}, "spec": PATCHES[name]}
    ours = copy.deepcopy(stored)
    ours["spec"]["template"] = strategic_merge(stored["spec"]["template"], change)

    del ours["metadata"]["resourceVersion"]

    answers = server.patch(BASE, api_namespace, {"spec": {"template": change}}), server.replace(ours, api_namespace)
    assert [answer.complaint for answer in answers] == ["", ""]
    theirs, made = (sorted_by_key(answer.stored["spec"]["template"]) for answer in answers)
    assert made == theirs


def sorted_by_key(value):
    """Kubernetes puts new items of a keyed list first and we put them last: their order means nothing."""
    if isinstance(value, dict):
        return {key: sorted_by_key(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((sorted_by_key(item) for item in value), key=str)
    return value


AMOUNTS = ["1024Mi", "1.5Gi", "1536Ki", "2048Gi", "1023Ki", "1000", "1000k", "1500M", "123456789"]
CPUS = ["0.5", "1000m", "1500m", "2", "0.1", "1k", "0.0001"]


@pytest.mark.parametrize(("resource", "given"), [("memory", a) for a in AMOUNTS] + [("cpu", c) for c in CPUS])
def test_an_amount_is_spelled_as_the_api_server_spells_it(server, resource, given):
    container = {"name": "a", "image": "a", "resources": {"requests": {resource: given}}}
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [container]}}
    stored = server.apply(document).stored

    assert stored["spec"]["containers"][0]["resources"]["requests"][resource] == canonical(Quantity(given))
