"""The operator under attack: its API server and its broker go, hands edit what is its own, schemas change under it.

A cluster of its own, since it is broken on purpose; pods never run here. The real operator acts under its own
ServiceAccount, against a real broker. What pods make of faults is in `test_worker_faults`.
"""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import launch
from harness.cluster import API, Cluster
from operator_stack import (
    WORKSPACE_ROOT,
    Operator,
    Stack,
    broker_streams,
    delete_streams,
    eventually,
    looks_and_writes_nothing,
    operator_stack,
    passing_namespace,
    quiet,
    settle,
    simulated,
)

API_AWAY_S = 60
#: The garbage collector of a new cluster learns of new kinds of owners every 30 s.
GARBAGE_S = 90
FLAPS, FLAP_S, FLAPPED_MODELS = 5, 4.0, 20
MODELS_CRD = WORKSPACE_ROOT / "crds" / "streamingmodels.tailrace.dev.yaml"


@pytest.fixture(scope="module")
def broken() -> Iterator[Cluster]:
    """A cluster that nobody else uses."""
    cluster = launch.start(API)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def stack(broken: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with operator_stack(broken, tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture
def namespace(stack: Stack) -> Iterator[str]:
    """A namespace for one test, in which the operator goes on in the same process, and no look ends in a surprise."""
    process = stack.operator.process
    assert process
    yield from passing_namespace(stack.cluster)
    assert stack.operator.process is process
    assert process.poll() is None, "the operator ended"
    assert "reconcile.broken" not in stack.operator.log


def writes_stop(*operators: Operator, within_s: float = 30) -> None:
    """Wait until nobody has written for two seconds."""

    def quiet() -> bool:
        before = [operator.writes() for operator in operators]
        time.sleep(2)
        return before == [operator.writes() for operator in operators]

    eventually(quiet, within_s, "the operators cease to write")


def made_anew(stack: Stack, kind: str, name: str, namespace: str, uid: str, within_s: float = 10) -> None:
    """Wait until an object exists that is not the one of this uid."""
    stack.cluster.wait(kind, name, namespace, lambda seen: seen and seen["metadata"]["uid"] != uid, within_s)


def worker(stack: Stack, model: str, namespace: str) -> dict[str, Any]:
    found = stack.cluster.get("deployment", f"{model}-worker", namespace)
    assert found
    return found


def test_an_api_server_that_was_away_is_made_up_for_without_a_restart(stack: Stack, namespace: str) -> None:
    cluster = stack.cluster
    for name in ("one", "two"):
        cluster.apply(simulated(name), namespace)
        settle(stack, name, namespace)
    writes_stop(stack.operator)
    events, before = len(stack.events(namespace)), worker(stack, "one", namespace)["metadata"]["uid"]
    cluster.stop_api()
    waiting = threading.Thread(target=apply_when_possible, args=(cluster, simulated("three"), namespace))
    waiting.start()
    time.sleep(API_AWAY_S)
    cluster.start_api()
    back = time.monotonic()
    cluster.kubectl("delete", "deployment/one-worker", "pdb/two-worker", "-n", namespace, "--wait=false")
    made_anew(stack, "deployment", "one-worker", namespace, before, 30)
    cluster.wait("pdb", "two-worker", namespace, lambda seen: seen and "deletionTimestamp" not in seen["metadata"], 30)
    waiting.join()
    settle(stack, "three", namespace)
    took = time.monotonic() - back
    print(f"\nAPI server away for {API_AWAY_S} s: all is right {took:.1f} s after it is back")
    assert took < 30
    writes_stop(stack.operator)
    assert len(stack.events(namespace)) - events < 10, "an outage is no reason for a storm of events"


def apply_when_possible(cluster: Cluster, model: dict[str, object], namespace: str) -> None:
    for _ in range(600):
        if "serverside-applied" in cluster.kubectl(
            "apply", "--server-side", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(model), check=False
        ):
            return
        time.sleep(0.2)


def test_in_namespaced_mode_roles_suffice_and_other_namespaces_are_left_alone(api: Cluster, tmp_path: Path) -> None:
    with (
        api.namespace("served", wait=False) as served,
        api.namespace("ignored", wait=False) as ignored,
        operator_stack(api, tmp_path, watched=[served]) as stack,
    ):
        assert "tailrace" not in api.kubectl("get", "clusterrolebindings", "-o", "name"), "only Roles are given"
        for place in (ignored, served):
            api.apply(simulated("m"), place)
        settle(stack, "m", served)
        api.kubectl("delete", "deployment/m-worker", "-n", served)
        api.wait("deployment", "m-worker", served, lambda seen: seen and "deletionTimestamp" not in seen["metadata"])
        assert {f"tr_req_{served}_m", f"tr_log_{served}_m"} <= broker_streams(stack)
        api.kubectl("delete", "sm/m", "-n", served, "--timeout=20s")
        writes_stop(stack.operator)
        assert "finalizers" not in api.get("sm", "m", ignored)["metadata"]
        assert not api.objects("deployments", ignored)
        assert not [name for name in broker_streams(stack) if ignored in name]
        assert not re.search(r"(?i)forbidden|\b403\b|reconcile\.broken", stack.operator.log)


def hold(api: Cluster, pod: str, namespace: str, finalizers: str) -> None:
    patch = f'{{"metadata":{{"finalizers":{finalizers}}}}}'
    api.kubectl("patch", "pod", pod, "-n", namespace, "--type=merge", "-p", patch)


def test_in_namespaced_mode_a_namespace_that_is_deleted_goes_and_the_others_are_served(
    api: Cluster, tmp_path: Path
) -> None:
    """The operator's rights there go with it, before or after the models, but after the pods, which take their time."""
    with (
        api.namespace("staying", wait=False) as staying,
        api.namespace("leaving") as leaving,
        operator_stack(api, tmp_path, watched=[staying, leaving]) as stack,
    ):
        for place in (staying, leaving):
            api.apply(simulated("m", replicas=2), place)
            settle(stack, "m", place)
            api.wait("deployment", "m-worker", place, lambda seen: (seen.get("status") or {}).get("replicas") == 2)
        eventually(lambda: quiet(stack), 30, "the operator has seen the pods")
        # No node runs them here, so they would be gone at once: on nodes gateways and workers end after seconds.
        pods = [pod["metadata"]["name"] for pod in api.objects("pods", leaving)]
        for pod in pods:
            hold(api, pod, leaving, '["example.com/ends-slowly"]')
        api.kubectl("delete", "namespace", leaving, "--wait=false")
        api.wait("sm", "m", leaving, lambda seen: not (seen or {"metadata": {}})["metadata"].get("finalizers"), 60)
        for pod in pods:
            hold(api, pod, leaving, "null")
        api.kubectl("wait", "--for=delete", f"namespace/{leaving}", "--timeout=90s", timeout_s=100)
        assert not [name for name in broker_streams(stack) if leaving in name]
        stack.operator.kill()
        stack.operator.start()
        stack.operator.wait_started()
        api.kubectl("delete", "deployment/m-worker", "-n", staying)
        api.wait("deployment", "m-worker", staying, lambda seen: seen and "deletionTimestamp" not in seen["metadata"])
        api.kubectl("delete", "sm/m", "-n", staying, "--timeout=20s")


def test_two_operators_at_once_come_to_the_same_end_and_rest(stack: Stack, namespace: str, tmp_path: Path) -> None:
    first = stack.operator
    second = Operator(tmp_path, first.kubeconfig, first.namespace, first.settings)
    second.start()
    try:
        second.wait_started()
        stack.cluster.apply([simulated(f"m{n}") for n in range(5)], namespace)
        for n in range(5):
            settle(stack, f"m{n}", namespace)
        stack.cluster.apply(simulated("m0", engine={"simulated": {"tokensPerSecond": 7}}), namespace)
        stack.cluster.kubectl("scale", "sm/m1", "-n", namespace, "--replicas=3")
        stack.cluster.kubectl("delete", "deployment/m2-worker", "-n", namespace)
        stack.cluster.kubectl("delete", "sm/m3", "-n", namespace, "--timeout=20s")
        stack.cluster.wait("deployment", "m1-worker", namespace, lambda seen: seen["spec"]["replicas"] == 3)
        stack.cluster.wait("deployment", "m2-worker", namespace, bool)
        stack.cluster.wait("deployment", "m3-worker", namespace, lambda seen: seen is None, GARBAGE_S)
        writes_stop(first, second)
        assert "reconcile.broken" not in second.log
        assert second.process.poll() is None
    finally:
        second.kill()
    # Not at the first try where a former test's namespace goes just then: its models are let go.
    eventually(lambda: looks_and_writes_nothing(stack, namespace), 60, "one operator alone finds nothing to change")


def test_a_newer_schema_reaches_a_running_operator_and_leaves_live_objects_alone(stack: Stack, namespace: str) -> None:
    present = yaml.safe_load(MODELS_CRD.read_text())
    older = yaml.safe_load(MODELS_CRD.read_text())
    spec = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del spec["rollout"], spec["startup"]
    replace_crd(stack, older)
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    writes_stop(stack.operator)
    before = stack.cluster.get("sm", "m", namespace)["metadata"]
    replace_crd(stack, present)
    after = stack.cluster.get("sm", "m", namespace)["metadata"]
    told = ("uid", "generation", "resourceVersion")
    assert [after[key] for key in told] == [before[key] for key in told]
    newer = simulated("m", rollout={"maxSurge": 0, "maxUnavailable": 1})
    kept = lambda: stack.cluster.apply(newer, namespace) and stack.cluster.get("sm", "m", namespace)["spec"]["rollout"]  # noqa: E731
    eventually(lambda: kept()["maxSurge"] == 0, 10, "the new field is served")
    surge = lambda: worker(stack, "m", namespace)["spec"]["strategy"]["rollingUpdate"]["maxSurge"]  # noqa: E731
    eventually(lambda: surge() == 0, 20, "the new field takes effect")


def replace_crd(stack: Stack, definition: dict[str, Any]) -> None:
    stack.cluster.kubectl("replace", "-f", "-", stdin=yaml.safe_dump(definition))
    stack.cluster.wait_condition("crd", definition["metadata"]["name"], None, "Established")


def test_a_broker_that_flaps_while_models_are_made_gets_every_stream_in_the_end(stack: Stack, namespace: str) -> None:
    names = [f"m{n}" for n in range(FLAPPED_MODELS)]
    making = threading.Thread(target=lambda: [stack.cluster.apply(simulated(name), namespace) for name in names])
    making.start()
    for _ in range(FLAPS):
        stack.nats.stop()
        time.sleep(FLAP_S / 2)
        stack.nats.start()
        time.sleep(FLAP_S / 2)
    making.join()
    back = time.monotonic()
    for name in names:
        settle(stack, name, namespace, within_s=60)
    print(f"\nbroker killed {FLAPS} times: {len(names)} models are right {time.monotonic() - back:.1f} s afterwards")
    wanted = {f"tr_{what}_{namespace}_{name}" for what in ("req", "log") for name in names}
    assert wanted <= broker_streams(stack)
    assert {"KV_tailrace_models", "OBJ_tailrace_payloads"} <= broker_streams(stack)


def test_a_child_labelled_as_another_models_comes_back_to_its_own(stack: Stack, namespace: str) -> None:
    for name in ("mine", "other"):
        stack.cluster.apply(simulated(name), namespace)
        settle(stack, name, namespace)
    stack.cluster.kubectl("label", "deployment/mine-worker", "-n", namespace, "tailrace.dev/model=other", "--overwrite")
    label = lambda seen: seen["metadata"]["labels"]["tailrace.dev/model"] == "mine"  # noqa: E731
    stack.cluster.wait("deployment", "mine-worker", namespace, label, 10)
    writes_stop(stack.operator)
    for name in ("mine", "other"):
        assert stack.condition("sm", name, namespace, "Ready")["reason"] == "WorkersStarting"


def test_owner_references_that_were_removed_by_hand_come_back(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    uid = worker(stack, "m", namespace)["metadata"]["uid"]
    patch = '{"metadata":{"ownerReferences":null}}'
    stack.cluster.kubectl("patch", "deployment/m-worker", "-n", namespace, "--type=merge", "-p", patch)
    owned = lambda seen: seen["metadata"].get("ownerReferences")  # noqa: E731
    stack.cluster.wait("deployment", "m-worker", namespace, owned, 10)
    assert worker(stack, "m", namespace)["metadata"]["uid"] == uid, "the running workers were replaced"
    writes_stop(stack.operator)
    assert stack.condition("sm", "m", namespace, "Ready")["reason"] == "WorkersStarting"


def test_a_finalizer_that_was_removed_by_hand_comes_back(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    stack.cluster.kubectl("patch", "sm/m", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    stack.cluster.wait("sm", "m", namespace, lambda seen: seen["metadata"].get("finalizers"), 10)


def test_a_model_whose_deletion_was_forced_leaves_no_streams(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m", replay={"maxBytes": "16Mi", "storage": "file"}), namespace)
    settle(stack, "m", namespace)
    stack.nats.stop()
    try:
        stack.cluster.kubectl("delete", "sm/m", "-n", namespace, "--wait=false")
        patch = '{"metadata":{"finalizers":null}}'
        stack.cluster.kubectl("patch", "sm/m", "-n", namespace, "--type=merge", "-p", patch)
        stack.cluster.wait("sm", "m", namespace, lambda seen: seen is None, 10)
    finally:
        stack.nats.start()
    left = lambda: {f"tr_req_{namespace}_m", f"tr_log_{namespace}_m"} & broker_streams(stack)  # noqa: E731
    eventually(lambda: f"broker.removed model={namespace}.m" in stack.operator.log, 45, "the operator removes them")
    assert not left()


def test_streams_that_were_deleted_by_hand_come_back(stack: Stack, namespace: str) -> None:
    stack.cluster.apply([simulated("q"), simulated("l")], namespace)
    for name in ("q", "l"):
        settle(stack, name, namespace)
    lost = {f"tr_req_{namespace}_q", f"tr_log_{namespace}_l"}
    assert lost <= broker_streams(stack)
    delete_streams(stack, lost)
    eventually(lambda: lost <= broker_streams(stack), 20, "the streams are made anew")


def test_a_status_edited_by_hand_is_put_right(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    eventually(lambda: "streams" in stack.cluster.get("sm", "m", namespace)["status"], 15, "its streams are counted")
    writes_stop(stack.operator)
    right = stack.cluster.get("sm", "m", namespace)["status"]
    lie = {
        "type": "Ready",
        "status": "True",
        "reason": "Lie",
        "message": "no",
        "lastTransitionTime": "2020-01-01T00:00:00Z",
    }
    fetch = {"state": "failed", "bytesDone": 1, "bytesTotal": 2, "percent": 50, "message": "a lie"}
    edited = {**right, "readyReplicas": 9, "streams": 99, "model": fetch, "conditions": [lie]}
    patch = yaml.safe_dump({"status": edited})
    stack.cluster.kubectl("patch", "sm/m", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    told = ("conditions", "readyReplicas", "streams", "model")
    seen = lambda: {name: stack.cluster.get("sm", "m", namespace)["status"].get(name) for name in told}  # noqa: E731
    reasons = lambda status: {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}  # noqa: E731
    plain = lambda status: {**{n: status.get(n) for n in told}, "conditions": reasons(status)}  # noqa: E731
    eventually(lambda: plain(seen()) == plain(right), 15, f"{right}, not {seen()}")
    writes_stop(stack.operator)


def test_settings_that_pods_mount_come_back_when_they_are_deleted(stack: Stack, namespace: str) -> None:
    stack.cluster.apply(simulated("m"), namespace)
    settle(stack, "m", namespace)
    volumes = worker(stack, "m", namespace)["spec"]["template"]["spec"]["volumes"]
    name = next(volume["configMap"]["name"] for volume in volumes if "configMap" in volume)
    before = stack.cluster.get("configmap", name, namespace)
    stack.cluster.kubectl("delete", "configmap", name, "-n", namespace)
    made_anew(stack, "configmap", name, namespace, before["metadata"]["uid"])
    after = stack.cluster.get("configmap", name, namespace)
    assert (after["data"], after["immutable"]) == (before["data"], True)


def test_an_operator_that_lost_a_watch_for_good_ends_and_the_next_one_goes_on(stack: Stack) -> None:
    cluster = stack.cluster
    for namespace in passing_namespace(cluster):
        cluster.apply(simulated("first"), namespace)
        settle(stack, "first", namespace)
        cluster.kubectl("delete", "crd", "streamingmodels.tailrace.dev", "--timeout=60s")
        eventually(lambda: stack.operator.process.poll() is not None, 30, "the operator ends")
        assert "operator.deaf" in stack.operator.log
        assert "streamingmodels" in stack.operator.log.rpartition("operator.deaf")[2]
        stack.operator.start()  # As its pod would.
        cluster.apply(MODELS_CRD.read_text())
        cluster.wait_condition("crd", "streamingmodels.tailrace.dev", None, "Established")
        cluster.apply(simulated("second"), namespace)
        settle(stack, "second", namespace, within_s=60)
