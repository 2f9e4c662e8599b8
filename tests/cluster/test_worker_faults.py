"""What stands in a worker's way on a real node: the model says what and names it, and goes on by itself once mended.

Nothing is edited but what the condition's message told: no pod is deleted, no operator restarted.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import secrecy
from harness.cluster import Cluster
from harness.local import LocalCluster
from hub_mirror import Access, HubMirror
from installation import VALUES, Installation, installed, simulated
from operator_stack import eventually

SOON_S = 90
pytestmark = pytest.mark.timeout(300, func_only=True)


@pytest.fixture(scope="module")
def tailrace(node: Cluster) -> Iterator[Installation]:
    with installed(node, {**VALUES, "nats": {**VALUES["nats"], "replicas": 1}}) as installation:
        yield installation


@pytest.fixture(scope="module")
def namespace(tailrace: Installation) -> Iterator[str]:
    """A namespace in which a gateway serves already."""
    with tailrace.cluster.namespace("models") as name:
        tailrace.cluster.apply(one("first"), name)
        tailrace.cluster.wait_condition("sm", "first", name, "Ready", timeout_s=SOON_S)
        yield name
        tailrace.cluster.kubectl("delete", "sm", "--all", "-n", name, "--timeout=60s")


def one(name: str, **spec: Any) -> dict[str, Any]:
    return simulated(name, **{"replicas": 1, **spec})


def says(tailrace: Installation, namespace: str, name: str, condition: str, reason: str, *words: str) -> None:
    """Wait until a condition has this reason and its message these words."""

    def found() -> dict[str, Any]:
        status = (tailrace.cluster.get("sm", name, namespace) or {}).get("status", {})
        return next((seen for seen in status.get("conditions", []) if seen["type"] == condition), {})

    def holds() -> bool:
        seen = found()
        return seen.get("reason") == reason and all(word in seen["message"] for word in words)

    eventually(holds, SOON_S, f"{condition} of {name} is {reason} with {words}, not {found()}")


def download(seen: dict[str, Any] | None) -> dict[str, Any]:
    """What the model's status says about its download."""
    found: dict[str, Any] = ((seen or {}).get("status") or {}).get("model") or {}
    return found


def goes_on(tailrace: Installation, namespace: str, name: str) -> None:
    """Wait until the model serves and nothing is wrong; then make room."""
    for condition, status in (("Ready", "True"), ("Degraded", "False")):
        tailrace.cluster.wait_condition("sm", name, namespace, condition, status, timeout_s=SOON_S)
    remove(tailrace, namespace, name)


def remove(tailrace: Installation, namespace: str, name: str) -> None:
    tailrace.cluster.kubectl("delete", "sm", name, "-n", namespace, "--timeout=60s")


def test_a_secret_that_is_missing_is_named_and_waited_for(tailrace: Installation, namespace: str) -> None:
    reference = {"secretKeyRef": {"name": "hub-token", "key": "token"}}
    tailrace.cluster.apply(one("m", pod={"env": [{"name": "HF_TOKEN", "valueFrom": reference}]}), namespace)
    says(tailrace, namespace, "m", "Ready", "SecretMissing", "hub-token", "make the Secret")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub-token"}, "stringData": {"other": "x"}}
    tailrace.cluster.apply(secret, namespace)
    says(tailrace, namespace, "m", "Degraded", "SecretMissing", "token", "hub-token")
    tailrace.cluster.apply({**secret, "stringData": {"token": "x"}}, namespace)
    goes_on(tailrace, namespace, "m")


def test_a_volume_that_is_missing_is_named_and_waited_for(tailrace: Installation, namespace: str) -> None:
    volume = {"name": "weights", "persistentVolumeClaim": {"claimName": "late-claim"}}
    mount = {"name": "weights", "mountPath": "/weights"}
    tailrace.cluster.apply(one("v", pod={"volumes": [volume], "volumeMounts": [mount]}), namespace)
    says(tailrace, namespace, "v", "Ready", "VolumeMissing", "late-claim", "make the claim")
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "late-claim"}, "spec": wanted}
    tailrace.cluster.apply(claim, namespace)
    goes_on(tailrace, namespace, "v")


def test_a_claim_with_the_model_that_is_missing_is_named_and_waited_for(tailrace: Installation, namespace: str) -> None:
    weights = {"source": {"pvc": {"claimName": "late-weights"}}}
    image = "registry.invalid/none:1"
    tailrace.cluster.apply(one("w", engine={"vllm": {}}, model=weights, pod={"image": image}), namespace)
    says(tailrace, namespace, "w", "Ready", "VolumeMissing", "late-weights", "make the claim")
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "late-weights"}, "spec": wanted}
    tailrace.cluster.apply(claim, namespace)
    says(tailrace, namespace, "w", "Ready", "ImagePullFailed", image)  # It goes on, as far as one can without vLLM.
    remove(tailrace, namespace, "w")


def test_pods_that_a_quota_forbids_are_quoted_and_made_when_it_is_gone(tailrace: Installation, namespace: str) -> None:
    cluster, spec = tailrace.cluster, {"hard": {"pods": "0"}}
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": spec}, namespace)
    cluster.apply(one("q"), namespace)
    says(tailrace, namespace, "q", "Ready", "PodsRefused", "is forbidden", "quota", "tries again")
    cluster.kubectl("delete", "resourcequota", "none", "-n", namespace)
    goes_on(tailrace, namespace, "q")


def test_a_volume_that_its_node_cannot_mount_is_told_in_the_nodes_words(tailrace: Installation, namespace: str) -> None:
    volume = {"name": "keys", "secret": {"secretName": "late-keys"}}
    mount = {"name": "keys", "mountPath": "/keys"}
    tailrace.cluster.apply(one("k", pod={"volumes": [volume], "volumeMounts": [mount]}), namespace)
    says(tailrace, namespace, "k", "Ready", "PodNotSetUp", "more than a minute", 'secret "late-keys" not found')
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late-keys"}, "stringData": {"key": "value"}}
    tailrace.cluster.apply(secret, namespace)
    goes_on(tailrace, namespace, "k")


def test_passwords_that_somebody_made_are_said_to_lack_one_and_a_worker_how_long_it_tried_in_vain(
    tailrace: Installation,
) -> None:
    """With a wrong password a worker waits for the broker until it is told to stop, as a slow one loads."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tailrace-nats"}}
    with tailrace.cluster.namespace("theirs") as theirs:
        tailrace.cluster.apply({**secret, "stringData": {"worker": "wrong"}}, theirs)
        tailrace.cluster.apply(one("p", startup={"deadline": "15s"}), theirs)
        says(tailrace, theirs, "p", "Ready", "SecretMissing", "is not ours", "gateway, advisory", "delete it")
        every = dict.fromkeys(("worker", "gateway", "advisory"), "wrong")
        tailrace.cluster.apply({**secret, "stringData": every}, theirs)
        says(tailrace, theirs, "p", "Ready", "StartupTimeout", "startup.deadline", "waiting for the broker")
        tailrace.cluster.kubectl("delete", "secret", "tailrace-nats", "-n", theirs)
        goes_on(tailrace, theirs, "p")


def test_gpus_that_are_not_free_are_said_and_taken_when_they_come(tailrace: Installation, namespace: str) -> None:
    cluster = tailrace.cluster
    name = cluster.node_names()[0]
    cluster.set_gpus(name, 1)
    resources = {"cpu": "50m", "memory": "256Mi", "gpu": {"count": 2}}
    cluster.apply(one("g", resources=resources), namespace)
    says(tailrace, namespace, "g", "Ready", "NoGPUFree", "nvidia.com/gpu", "free or add GPUs")
    cluster.set_gpus(name, 2)
    goes_on(tailrace, namespace, "g")


def test_a_rollout_that_stalls_says_the_images_trouble_and_the_old_worker_serves(
    tailrace: Installation, namespace: str
) -> None:
    cluster = tailrace.cluster
    cluster.apply(one("s"), namespace)
    cluster.wait_condition("sm", "s", namespace, "Ready", timeout_s=SOON_S)
    image = "registry.invalid/none:1"
    cluster.apply(one("s", pod={"image": image}), namespace)
    says(tailrace, namespace, "s", "Degraded", "ImagePullFailed", image)
    # The real deadline is minutes away: a paused model lets us shorten it, and what it caused stays afterwards.
    cluster.kubectl("annotate", "sm/s", "-n", namespace, "tailrace.dev/paused=true")
    says(tailrace, namespace, "s", "Progressing", "Paused")
    patch = json.dumps({"spec": {"progressDeadlineSeconds": 1}})
    cluster.kubectl("patch", "deployment/s-worker", "-n", namespace, "--type=merge", "-p", patch)
    cluster.wait_condition("deployment", "s-worker", namespace, "Progressing", "False", timeout_s=SOON_S)
    cluster.kubectl("annotate", "sm/s", "-n", namespace, "tailrace.dev/paused-")
    says(tailrace, namespace, "s", "Progressing", "Stalled", "ImagePullFailed", image)
    cluster.wait_condition("sm", "s", namespace, "Ready", timeout_s=1)
    cluster.apply(one("s"), namespace)
    goes_on(tailrace, namespace, "s")


def test_a_worker_killed_for_its_memory_says_so(tailrace: Installation, namespace: str) -> None:
    tailrace.cluster.apply(one("o", resources={"cpu": "50m", "memory": "24Mi"}), namespace)
    says(tailrace, namespace, "o", "Ready", "OutOfMemory", "worker was killed", "raise the memory")
    tailrace.cluster.apply(one("o"), namespace)
    goes_on(tailrace, namespace, "o")


def test_a_worker_that_crashes_again_and_again_is_quoted(tailrace: Installation, namespace: str) -> None:
    worker = tailrace.cluster.objects("pods", namespace, "app.kubernetes.io/instance=first")[0]
    image = next(c["image"] for c in worker["spec"]["containers"] if c["name"] == "worker")
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    squatter = {
        "name": "squatter",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "http.server", "9090"],
        "securityContext": safe,
    }
    # An init container that stays is there first.
    early = {**squatter, "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 9090}, "periodSeconds": 1}}
    tailrace.cluster.apply(one("c", pod={"initContainers": [early]}), namespace)
    says(tailrace, namespace, "c", "Ready", "AddressInUse", "9090", "restarts: 1")
    tailrace.cluster.apply(one("c"), namespace)
    goes_on(tailrace, namespace, "c")


@pytest.fixture
def hub(node: Cluster, tmp_path: Path) -> Iterator[HubMirror]:
    """A mirror of the hub that asks for a token, on this machine, where pods reach it."""
    if not isinstance(node, LocalCluster):
        node.refuse("a mirror on this machine that pods reach")
    (tmp_path / "config.json").write_text("{}")
    # Not in a format that the mirror keeps on its content network: with one address it is the host that has the token.
    (tmp_path / "model.pt").write_bytes(b"weights")
    mirror = HubMirror("org/m", {"main": tmp_path}, host=node.instance.host_address)
    mirror.access = Access(token="hf_the-right-token")
    with mirror.running():
        yield mirror


def test_a_token_that_is_refused_is_put_right_and_no_log_shows_a_token_or_password(
    tailrace: Installation, namespace: str, hub: HubMirror
) -> None:
    cluster = tailrace.cluster
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hub"},
        "stringData": {"token": "hf_wrong-one"},
    }
    source = {"repo": "org/m", "endpoint": hub.url, "tokenSecret": {"name": "hub", "key": "token"}}
    downloaded = {"source": {"hf": source}, "cache": {"size": "16Mi"}}
    cluster.apply(one("t", engine={"vllm": {}}, model=downloaded), namespace)
    says(tailrace, namespace, "t", "Ready", "SecretMissing", "hub", "make the Secret")
    cluster.apply(secret, namespace)
    says(tailrace, namespace, "t", "Ready", "TokenRefused", "tokenSecret")
    cluster.apply({**secret, "stringData": {"token": hub.access.token}}, namespace)
    [job] = cluster.objects("jobs", namespace, "tailrace.dev/model=t")
    cluster.wait_condition("job", job["metadata"]["name"], namespace, "Complete", timeout_s=SOON_S)
    seen = cluster.wait("sm", "t", namespace, lambda seen: download(seen).get("state") == "done")
    assert download(seen)["percent"] == 100
    assert download(seen)["bytesDone"] == download(seen)["bytesTotal"] > 0
    question = {"model": "first", "messages": [{"role": "user", "content": "?"}], "max_tokens": 5}
    answer = httpx.post(f"{tailrace.gateway_url(namespace)}/v1/chat/completions", json=question, timeout=30)
    assert answer.status_code == 200

    words = secrecy.passwords(cluster.get("secret", "tailrace-nats-auth", tailrace.namespace))
    words |= {"right token": hub.access.token, "wrong token": "hf_wrong-one"}
    logs = secrecy.logs(cluster, (tailrace.namespace, namespace))
    assert {"tailrace-gateway", "tailrace-worker", "tailrace-fetch"} <= {part for part, said in logs.items() if said}
    assert {part: found for part, said in logs.items() if (found := secrecy.leaked(words, said))} == {}
    assert secrecy.leaked(words, secrecy.objects(cluster)) == []
    remove(tailrace, namespace, "t")
