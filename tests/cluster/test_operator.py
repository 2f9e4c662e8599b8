"""The operator against a real API server, under its own ServiceAccount, with a real broker: what it makes, and what it
puts right. No node is needed: pods are never scheduled here."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import secrecy
from harness.cluster import Cluster
from operator_stack import (
    ASKED_FOR,
    Stack,
    broker_streams,
    eventually,
    looks_and_writes_nothing,
    operator_stack,
    passing_namespace,
    quiet,
    settle,
    simulated,
    stays,
    unique,
)

CHILDREN = ("deployment", "configmap", "poddisruptionbudget")


@pytest.fixture(scope="module")
def stack(api: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with operator_stack(api, tmp_path_factory.mktemp("operator"), brokerPatienceS=6) as running:
        yield running


@pytest.fixture
def namespace(stack: Stack) -> Iterator[str]:
    yield from passing_namespace(stack.cluster)


def test_a_model_gets_its_children_its_gateway_and_its_streams(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    uid = stack.cluster.get("streamingmodel", "m", namespace)["metadata"]["uid"]
    for kind in CHILDREN:
        for child in stack.cluster.objects(kind, namespace, "tailrace.dev/model=m"):
            assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [uid]
    assert {f"tr_req_{namespace}_m", f"tr_log_{namespace}_m"} <= broker_streams(stack)
    gateway = stack.cluster.get("streaminggateway", "default", namespace)
    assert [owner["uid"] for owner in gateway["metadata"]["ownerReferences"]] == [uid]
    status = stack.cluster.get("streamingmodel", "m", namespace)["status"]
    assert status["observedGeneration"] == 1


def test_a_deleted_or_edited_child_is_put_right_within_seconds(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    cluster = stack.cluster
    cluster.kubectl("scale", "deployment/m-worker", "-n", namespace, "--replicas=7")
    cluster.wait("deployment", "m-worker", namespace, lambda seen: seen and seen["spec"]["replicas"] == 1, 10)
    cluster.kubectl("set", "image", "deployment/m-worker", "-n", namespace, "worker=example.com/other:1")
    cluster.wait("deployment", "m-worker", namespace, lambda seen: "example.com" not in json.dumps(seen["spec"]), 10)
    for kind, name in (("deployment", "m-worker"), ("service", "tailrace-gateway"), ("pdb", "m-worker")):
        before = cluster.get(kind, name, namespace)["metadata"]["uid"]
        cluster.kubectl("delete", kind, name, "-n", namespace)
        cluster.wait(kind, name, namespace, lambda seen, uid=before: seen and seen["metadata"]["uid"] != uid, 10)
    cluster.kubectl("label", "deployment/m-worker", "-n", namespace, "app.kubernetes.io/managed-by-")
    label = "app.kubernetes.io/managed-by"
    cluster.wait("deployment", "m-worker", namespace, lambda seen: seen["metadata"]["labels"].get(label), 10)


def test_nothing_is_written_when_nothing_changes(stack: Stack, namespace: str) -> None:
    stack.cluster.require_own("a world in which no pod's status changes by itself")
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    alone = lambda: {found["metadata"]["namespace"] for found in stack.cluster.objects("sm")} == {namespace}  # noqa: E731
    eventually(alone, 60, "the models of former tests are gone")
    for _ in range(3):
        assert looks_and_writes_nothing(stack, namespace)


def test_a_foreign_deployment_of_the_same_name_is_never_touched(stack: Stack, namespace: str) -> None:
    container = {"name": "theirs", "image": "example.com/theirs:1"}
    labels = {"app": "theirs"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "m-worker"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod},
    }
    stack.cluster.apply(foreign, namespace)
    before = stack.cluster.get("deployment", "m-worker", namespace)
    stack.cluster.apply(simulated("m"), namespace)
    message = stack.wait_reason("m", namespace, "Ready", "Conflict")
    assert "Deployment m-worker" in message
    assert "delete or rename" in message
    after = stack.cluster.get("deployment", "m-worker", namespace)
    assert (after["spec"], after["metadata"]["uid"]) == (before["spec"], before["metadata"]["uid"])
    assert "ownerReferences" not in after["metadata"]
    stack.cluster.kubectl("delete", "deployment", "m-worker", "-n", namespace)
    stack.wait_reason("m", namespace, "Ready", *ASKED_FOR, within_s=45)


def test_a_log_beyond_the_installations_limit_is_refused_in_words_until_it_is_lowered(
    stack: Stack, namespace: str
) -> None:
    stack.cluster.apply(simulated("greedy", replay={"maxBytes": "1025Mi"}), namespace)
    message = stack.wait_reason("greedy", namespace, "Ready", "InvalidSpec")
    assert "spec.replay.maxBytes 1025Mi is more than this installation allows (broker.logMaxBytes 1Gi)" in message
    assert not {f"tr_req_{namespace}_greedy", f"tr_log_{namespace}_greedy"} & broker_streams(stack)
    assert stack.cluster.get("deployment", "greedy-worker", namespace) is None
    stack.cluster.apply(simulated("greedy", replay={"maxBytes": "1Gi"}), namespace)
    settle(stack, "greedy", namespace)
    assert {f"tr_req_{namespace}_greedy", f"tr_log_{namespace}_greedy"} <= broker_streams(stack)


def test_a_deleted_model_leaves_nothing_but_what_others_need(stack: Stack, namespace: str) -> None:
    stack.cluster.apply([simulated("one"), simulated("two")], namespace)
    settle(stack, "one", namespace)
    settle(stack, "two", namespace)
    owners = lambda: stack.cluster.get("streaminggateway", "default", namespace)["metadata"]["ownerReferences"]  # noqa: E731
    eventually(lambda: len(owners()) == 2, what="the default gateway belongs to both models")
    stack.cluster.kubectl("delete", "sm", "one", "-n", namespace, "--timeout=20s")
    assert not {f"tr_req_{namespace}_one", f"tr_log_{namespace}_one"} & broker_streams(stack)
    stack.cluster.wait("deployment", "one-worker", namespace, lambda seen: seen is None)
    assert stack.cluster.get("deployment", "two-worker", namespace)
    stack.cluster.kubectl("delete", "sm", "two", "-n", namespace, "--timeout=20s")
    stack.cluster.wait("streaminggateway", "default", namespace, lambda seen: seen is None)
    stack.cluster.wait("deployment", "tailrace-gateway", namespace, lambda seen: seen is None)
    stack.cluster.wait("secret", "tailrace-nats", namespace, lambda seen: seen is None)
    assert not stack.cluster.objects("configmap", namespace, "app.kubernetes.io/managed-by=tailrace")


def test_a_namespace_with_models_can_be_deleted(stack: Stack) -> None:
    with stack.cluster.namespace("doomed") as namespace:
        stack.cluster.apply([simulated(f"m{n}") for n in range(5)], namespace)
        settle(stack, "m4", namespace)
    assert stack.cluster.get("namespace", namespace) is None
    assert not [name for name in broker_streams(stack) if namespace in name]
    assert "reconcile.broken" not in stack.operator.log


def test_a_model_made_again_under_its_name_gets_children_of_its_own(stack: Stack, namespace: str) -> None:
    for _ in range(3):
        stack.cluster.apply(simulated("again"), namespace)
        settle(stack, "again", namespace)
        stack.cluster.kubectl("delete", "sm", "again", "-n", namespace, "--timeout=20s")
    stack.cluster.apply(simulated("again"), namespace)
    uid = stack.cluster.get("streamingmodel", "again", namespace)["metadata"]["uid"]
    owned = lambda seen: seen and seen["metadata"]["ownerReferences"][0]["uid"] == uid  # noqa: E731
    stack.cluster.wait("deployment", "again-worker", namespace, owned, 45)


def test_a_paused_model_is_left_alone_until_it_is_resumed(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    stack.cluster.kubectl("annotate", "sm/m", "-n", namespace, "tailrace.dev/paused=true")
    stack.wait_reason("m", namespace, "Progressing", "Paused")
    stack.cluster.kubectl("scale", "deployment/m-worker", "-n", namespace, "--replicas=3")
    replicas = lambda: stack.cluster.get("deployment", "m-worker", namespace)["spec"]["replicas"]  # noqa: E731
    stays(lambda: replicas() == 3, 3, "a paused model's Deployment was touched")
    stack.cluster.kubectl("annotate", "sm/m", "-n", namespace, "tailrace.dev/paused-")
    eventually(lambda: replicas() == 1, 10, "it goes on")
    stack.cluster.kubectl("annotate", "sm/m", "-n", namespace, "tailrace.dev/paused=true")
    stack.wait_reason("m", namespace, "Progressing", "Paused")
    stack.cluster.kubectl("delete", "sm", "m", "-n", namespace, "--timeout=20s")


def test_a_changed_engine_leaves_the_old_pods_what_they_mount(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    old = {found["metadata"]["name"] for found in config_maps(stack, namespace)}
    stack.cluster.apply(simulated("m", engine={"simulated": {"tokensPerSecond": 7}}), namespace)
    eventually(lambda: len(config_maps(stack, namespace)) == 2, 10, "old and new settings stand side by side")
    new = {found["metadata"]["name"] for found in config_maps(stack, namespace)} - old
    deployment = stack.cluster.get("deployment", "m-worker", namespace)
    mounted = [v["configMap"]["name"] for v in deployment["spec"]["template"]["spec"]["volumes"] if "configMap" in v]
    assert mounted == list(new)
    stays(lambda: len(config_maps(stack, namespace)) == 2, 2, "the old pods lost their settings in a rollout")


def config_maps(stack: Stack, namespace: str) -> list[dict[str, object]]:
    return stack.cluster.objects("configmap", namespace, "tailrace.dev/model=m")


def test_a_gateway_that_a_person_made_is_theirs(stack: Stack, namespace: str) -> None:
    gateway = {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingGateway",
        "metadata": {"name": "default"},
        "spec": {"replicas": 3},
    }
    stack.cluster.apply(gateway, namespace)
    stack.cluster.apply(simulated("m"), namespace)
    stack.cluster.wait("deployment", "tailrace-gateway", namespace, lambda seen: seen and seen["spec"]["replicas"] == 3)
    settle(stack, "m", namespace)
    assert "ownerReferences" not in stack.cluster.get("streaminggateway", "default", namespace)["metadata"]
    stack.cluster.kubectl("delete", "sm", "m", "-n", namespace, "--timeout=20s")
    stays(lambda: stack.cluster.get("streaminggateway", "default", namespace), 3, "a person's gateway was removed")


def test_owners_change_where_that_needs_the_right_to_delete(stack: Stack, namespace: str) -> None:
    """The API server here asks for it (OwnerReferencesPermissionEnforcement), so no right to delete is one too many."""
    cluster = stack.cluster
    kept = {"source": {"hf": {"repo": "example/model"}}, "cache": {"size": "1Gi", "keep": True}}
    cached = {**simulated("cached"), "spec": {"engine": {"vllm": {}}, "model": kept}}
    cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    cluster.apply(cached, namespace)
    cluster.wait("streaminggateway", "default", namespace, lambda seen: len(owners(seen)) == 2)
    claim = cluster.wait("pvc", "cached-cache", namespace, bool)
    assert owners(claim) == []
    kept["cache"]["keep"] = False
    cluster.apply(cached, namespace)
    cluster.wait("pvc", "cached-cache", namespace, lambda seen: len(owners(seen)) == 1)
    second = {"apiVersion": "tailrace.dev/v1alpha1", "kind": "StreamingGateway", "metadata": {"name": "second"}}
    cluster.apply(second, namespace)
    cluster.wait("secret", "tailrace-nats", namespace, lambda seen: len(owners(seen)) == 2)


def owners(found: dict[str, Any]) -> list[str]:
    return [owner["name"] for owner in found["metadata"].get("ownerReferences", [])]


def test_gateways_of_the_same_name_in_two_namespaces_do_not_meet(stack: Stack, namespace: str) -> None:
    with stack.cluster.namespace("other") as other:
        for place in (namespace, other):
            stack.cluster.apply(simulated("m"), place)
            settle(stack, "m", place)
        stack.cluster.kubectl("delete", "sm", "m", "-n", namespace, "--timeout=20s")
        stack.cluster.wait("streaminggateway", "default", namespace, lambda seen: seen is None)
        assert stack.cluster.get("deployment", "tailrace-gateway", other)
        assert f"tr_req_{other}_m" in broker_streams(stack)


def test_a_model_whose_gateway_is_missing_says_so_and_goes_on_when_it_comes(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m", gateway={"name": "public"}), namespace)
    message = stack.wait_reason("m", namespace, "Degraded", "GatewayNotReady")
    assert "there is no StreamingGateway public" in message
    assert stack.cluster.get("streaminggateway", "default", namespace) is None
    gateway = {"apiVersion": "tailrace.dev/v1alpha1", "kind": "StreamingGateway", "metadata": {"name": "public"}}
    stack.cluster.apply({**gateway, "spec": {}}, namespace)
    stack.cluster.wait("deployment", "tailrace-gateway-public", namespace, bool)
    said = lambda: str(stack.condition("streamingmodel", "m", namespace, "Degraded").get("message", ""))  # noqa: E731
    eventually(lambda: "there is no" not in said(), what="the model has seen its gateway")


def test_passwords_appear_in_no_status_event_or_log(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    words = secrecy.passwords(stack.cluster.get("secret", "tailrace-nats-auth", stack.namespace))
    assert len({*words.values()}) == 5
    assert secrecy.leaked(words, secrecy.objects(stack.cluster) + stack.operator.log) == []
    assert secrecy.leaked(words, stack.cluster.kubectl("get", "secrets", "-A", "-o", "json")) == [*words], (
        "none is found"
    )
    shared = stack.cluster.get("secret", "tailrace-nats", namespace)
    assert sorted(shared["data"]) == ["advisory", "gateway", "worker"]


def test_a_download_whose_pod_a_quota_forbids_says_so_until_it_is_let_in(stack: Stack, namespace: str) -> None:
    none = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    stack.cluster.apply(none, namespace)
    source = {"hf": {"repo": "org/m"}}
    spec = {"engine": {"vllm": {}}, "model": {"source": source, "cache": {"size": "1Gi"}}}
    stack.cluster.apply(simulated("m", **spec), namespace)
    said = stack.wait_reason("m", namespace, "Ready", "PodsRefused", within_s=60)
    assert "no pod is let in for Job m-fetch-" in said
    assert "quota" in said
    stack.cluster.kubectl("delete", "resourcequota", "none", "-n", namespace)
    stack.wait_reason("m", namespace, "Ready", "Downloading", "Unschedulable", "VolumeMissing", within_s=90)


def test_the_broker_away_is_said_and_made_up_for(stack: Stack, namespace: str) -> None:
    stack.nats.stop()
    try:
        stack.cluster.apply(simulated("m"), namespace)
        stack.wait_reason("m", namespace, "Ready", "NATSUnreachable")
        assert stack.cluster.wait("deployment", "m-worker", namespace, bool), "the rest goes on without the broker"
    finally:
        stack.nats.start()
    stack.wait_reason("m", namespace, "Ready", *ASKED_FOR, within_s=45)
    assert f"tr_log_{namespace}_m" in broker_streams(stack)


def test_a_deletion_waits_for_a_dead_broker_only_so_long_and_says_what_is_left(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m", replay={"maxBytes": "16Mi", "storage": "file"}), namespace)
    settle(stack, "m", namespace)
    streams = {f"tr_req_{namespace}_m", f"tr_log_{namespace}_m"}
    stack.nats.stop()
    try:
        stack.cluster.kubectl("delete", "sm", "m", "-n", namespace, "--wait=false")
        stays(lambda: stack.cluster.get("streamingmodel", "m", namespace), 3, "it did not wait for the broker at all")
        stack.cluster.wait("streamingmodel", "m", namespace, lambda seen: seen is None, 40)
        said = lambda: {event["reason"]: event["message"] for event in stack.events(namespace)}  # noqa: E731
        eventually(lambda: "BrokerStateLeft" in said(), 10, "an event says what is left on the broker")
        assert all(f"`nats stream rm -f {name}`" in said()["BrokerStateLeft"] for name in streams)
    finally:
        stack.nats.start()
    orphaned = f"broker.orphaned model={namespace}.m:"
    eventually(lambda: orphaned in stack.operator.log, 30, "the log says of whom there are streams and no model")
    assert streams <= broker_streams(stack)


def test_an_operator_killed_and_started_again_changes_nothing(stack: Stack, namespace: str) -> None:
    stack.cluster.require_own("a world in which no pod's status changes by itself")
    name = unique("m")
    stack.cluster.apply(simulated(name), namespace)
    settle(stack, name, namespace)
    kinds = "deployments,configmaps,services,poddisruptionbudgets,streamingmodels,streaminggateways"
    versions = lambda: {  # noqa: E731
        (found["kind"], found["metadata"]["name"]): found["metadata"]["resourceVersion"]
        for found in stack.cluster.objects(kinds, namespace)
    }
    eventually(lambda: quiet(stack), 30, "the operator settles")
    before = versions()
    stack.operator.kill()
    stack.operator.start()
    eventually(lambda: (stack.operator.metric("tailrace_operator_reconciles_total") or 0) > 3, 30, "it looked around")
    eventually(lambda: quiet(stack), 30, "the operator settles")
    assert versions() == before


def test_sigterm_ends_the_operator_at_once_and_cleanly(stack: Stack) -> None:
    assert stack.operator.stop() == 0
    stack.operator.start()
    stack.operator.wait_started()
