"""A release's whole life on a real cluster: install, test, upgrade, rollback, uninstall, and what stays on purpose."""

import base64
import json
import secrets
from collections.abc import Iterator

import pytest
from harness.cluster import Cluster
from harness.errors import CommandError, WaitTimeoutError

from . import tailrace_images
from .operator_stack import simulated
from .releases import NATS_IMAGE, RESTRICTED, SMALL, SMALL_BROKER, Release, Values, nats_archive

pytestmark = pytest.mark.timeout(300)
CRDS = ("streamingmodels.tailrace.dev", "streaminggateways.tailrace.dev")
WAIT = ("--wait", "--timeout=200s")


def values(**more: object) -> Values:
    """An installation that fits on a test machine; its operator answers for the namespaces that are named."""
    return {"nats": {"image": NATS_IMAGE, **SMALL}, "broker": SMALL_BROKER, **more}


@pytest.fixture(scope="module")
def images(cluster: Cluster) -> Cluster:
    """A cluster that has what a release runs."""
    cluster.load_image(nats_archive())
    cluster.load_image(tailrace_images.archive("operator"))
    return cluster


@pytest.fixture(scope="module")
def team(images: Cluster) -> Iterator[str]:
    """A namespace for models, which no release owns."""
    with images.namespace("team") as name:
        yield name


@pytest.fixture(scope="module")
def release(images: Cluster, team: str) -> Iterator[Release]:
    """A release in a namespace that lets only restricted pods in. The tests below follow its life, in their order."""
    with images.namespace("tailrace", RESTRICTED) as namespace:
        yield Release(images, namespace)


def uid_of(release: Release, kind: str, name: str) -> str:
    found = release.cluster.get(kind, name, release.namespace)
    assert found is not None, f"there is no {kind} {name}"
    return str(found["metadata"]["uid"])


def passwords(release: Release, name: str = "tailrace-nats-auth", namespace: str = "") -> dict[str, str]:
    found = release.cluster.get("secret", name, namespace or release.namespace)
    return {key: base64.b64decode(value).decode() for key, value in (found or {}).get("data", {}).items()}


def operator_log(release: Release) -> str:
    [pod] = release.pods("operator")
    return release.cluster.pod_logs(pod["metadata"]["name"], release.namespace)


def forbidden(release):
    """What the operator was not let do; but where owners are checked, new kinds of them are unknown for up to 30 s."""
    lines = operator_log(release).splitlines()
    return [line for line in lines if "forbidden" in line.lower() and "cannot find RESTMapping" not in line]


def test_an_installation_becomes_ready_by_itself_in_any_order(release):
    """NATS waits for the Secret that the operator makes; the operator goes on trying until NATS is there."""
    notes = release.install(values(), *WAIT)
    assert "kubectl apply -n default" in notes
    assert set(passwords(release)) >= {"operator", "gateway", "worker", "advisory", "routes", "auth.conf"}
    for name in CRDS:
        release.cluster.wait_condition("crd", name, None, "Established")


def test_a_releases_record_is_far_from_the_limit_of_a_secret(release):
    """Helm keeps chart and objects in a Secret of 1 MiB at most; large CustomResourceDefinitions can fill it."""
    [record] = [
        found
        for found in release.cluster.objects("secrets", release.namespace)
        if found["type"] == "helm.sh/release.v1"
    ]
    assert len(base64.b64decode(record["data"]["release"])) < 256 * 1024


def test_the_releases_own_test_passes(release):
    printed = release.test()
    assert "Succeeded" in printed
    for check in ("operator_is_healthy", "broker_keeps_logs", "resources_are_served"):
        assert f"ok      {check}" in printed


def test_the_operators_rights_are_enough_for_a_model(release, team):
    release.cluster.apply(simulated("first"), team)
    release.cluster.wait("deployment", "first-worker", team, bool, timeout_s=60)
    release.cluster.wait("deployment", "tailrace-gateway", team, bool, timeout_s=60)
    release.cluster.wait("secret", "tailrace-nats", team, bool, timeout_s=60)
    assert set(passwords(release, "tailrace-nats", team)) == {"gateway", "worker", "advisory"}
    assert not forbidden(release)


def test_an_upgrade_changes_the_operator_and_leaves_nats_alone(release):
    before = (
        uid_of(release, "pod", "tailrace-nats-0"),
        passwords(release),
        release.pods("operator")[0]["metadata"]["uid"],
    )
    release.upgrade(values(operator={"log": {"level": "debug", "format": "text"}}), *WAIT)
    [operator] = release.pods("operator")
    assert operator["metadata"]["uid"] != before[2]
    assert (uid_of(release, "pod", "tailrace-nats-0"), passwords(release)) == before[:2]
    assert (
        "level: debug"
        in release.cluster.get("configmap", "tailrace-operator", release.namespace)["data"]["operator.yaml"]
    )


def merged(base: Values, wish: Values) -> Values:
    """`base` with what `wish` holds in its place, at any depth."""
    deeper = {key: merged(base[key], value) for key, value in wish.items() if isinstance(value, dict) and key in base}
    return {**base, **wish, **deeper}


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"replicas": 3}, "nats.replicas: 1 servers run, and 3 are wanted: logs do not move along"),
        (
            {"jetstream": {"fileStore": {"pvc": {"size": "2Gi"}}}},
            "nats.jetstream.fileStore.pvc.size: Kubernetes refuses to change it from 1Gi to 2Gi",
        ),
        (
            {"jetstream": {"fileStore": {"pvc": {"enabled": False}}}},
            "nats.jetstream.fileStore.pvc.enabled: cannot be changed while NATS runs",
        ),
    ],
    ids=["replicas", "size", "volume"],
)
def test_an_upgrade_that_would_lose_logs_is_refused_before_anything_changes(release, wish, sentence):
    wanted = values()
    wanted["nats"] = merged(wanted["nats"], wish)
    before = uid_of(release, "statefulset", "tailrace-nats")
    with pytest.raises(CommandError, match=sentence):
        release.upgrade(wanted)
    assert uid_of(release, "statefulset", "tailrace-nats") == before
    assert json.loads(release.helm("status", release.name, "-o", "json"))["info"]["status"] == "deployed"


def test_a_rollback_brings_the_old_settings_back(release, team):
    before = uid_of(release, "pod", "tailrace-nats-0")
    worker = release.cluster.get("deployment", "first-worker", team)
    release.rollback(1, *WAIT)
    settings = release.cluster.get("configmap", "tailrace-operator", release.namespace)["data"]["operator.yaml"]
    assert "level: info" in settings
    assert uid_of(release, "pod", "tailrace-nats-0") == before
    after = release.cluster.get("deployment", "first-worker", team)
    assert (after["metadata"]["uid"], after["metadata"]["generation"]) == (
        worker["metadata"]["uid"],
        worker["metadata"]["generation"],
    )


def test_the_releases_own_test_says_what_does_not_work(release):
    release.cluster.kubectl("scale", "deployment/tailrace-operator", "--replicas=0", "-n", release.namespace)
    release.cluster.kubectl(
        "wait", "pod", "-l=app.kubernetes.io/component=operator", "--for=delete", "-n", release.namespace
    )
    with pytest.raises(CommandError):
        release.test()
    printed = release.cluster.pod_logs("tailrace-test", release.namespace)
    assert "FAILED  operator_is_healthy" in printed
    assert "ok      broker_keeps_logs" in printed
    release.cluster.kubectl("scale", "deployment/tailrace-operator", "--replicas=1", "-n", release.namespace)
    release.cluster.wait_rollout("deployment", "tailrace-operator", release.namespace)


def test_an_uninstalled_release_leaves_models_logs_and_passwords(release, team):
    """What stays, stays on purpose: docs/upgrade.md says how to remove it."""
    kept = (uid_of(release, "pvc", "data-tailrace-nats-0"), passwords(release))
    release.uninstall()
    assert (uid_of(release, "pvc", "data-tailrace-nats-0"), passwords(release)) == kept
    assert release.cluster.get("streamingmodel", "first", team)
    assert release.cluster.get("deployment", "first-worker", team)
    for kind, name in (
        ("deployment", "tailrace-operator"),
        ("statefulset", "tailrace-nats"),
        ("role", "tailrace-operator"),
    ):
        assert release.cluster.get(kind, name, release.namespace) is None
    assert release.cluster.get("clusterrole", "tailrace-operator-models") is None


def test_installed_again_it_finds_its_logs_passwords_and_models(release, team):
    before = (uid_of(release, "pvc", "data-tailrace-nats-0"), passwords(release))
    release.install(values(), *WAIT)
    assert (uid_of(release, "pvc", "data-tailrace-nats-0"), passwords(release)) == before
    release.cluster.kubectl("delete", "streamingmodel", "first", "-n", team, "--timeout=60s")
    with pytest.raises(WaitTimeoutError):
        release.cluster.wait("streamingmodel", "first", team, bool, timeout_s=1)


def test_the_test_pod_and_the_kept_things_are_all_that_is_left(release):
    """The list in docs/upgrade.md is complete."""
    release.uninstall()
    gone = ("wait", "pod", "-l=app.kubernetes.io/component in (operator,nats)", "--for=delete", "--timeout=60s")
    release.cluster.kubectl(*gone, "-n", release.namespace)
    kinds = "all,configmap,secret,pvc,serviceaccount,role,rolebinding,networkpolicy,pdb,ingress"
    listed = release.cluster.kubectl("get", kinds, "-n", release.namespace, "-o", "name").split()
    ignored = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
    left = {name.replace(".apps", "") for name in listed} - ignored
    assert left == {"pod/tailrace-test", "secret/tailrace-nats-auth", "persistentvolumeclaim/data-tailrace-nats-0"}


def test_two_releases_serve_two_namespaces_and_know_nothing_of_each_other(images):
    with (
        images.namespace("team") as team_a,
        images.namespace("team") as team_b,
        images.namespace("tailrace") as home_a,
        images.namespace("tailrace") as home_b,
    ):
        for file in sorted((tailrace_images.ROOT / "crds").glob("*.yaml")):
            images.apply(file.read_text())
        both = ((Release(images, home_a), team_a), (Release(images, home_b), team_b))
        for release, watched in both:
            release.install(values(watchNamespaces=[watched], crds={"enabled": False}))
        for release, watched in both:
            images.wait_rollout("deployment", "tailrace-operator", release.namespace, 200)
            images.apply(simulated(f"model-{secrets.token_hex(2)}"), watched)
            images.wait("secret", "tailrace-nats", watched, bool, timeout_s=60)
            assert passwords(release, "tailrace-nats", watched)["worker"] == passwords(release)["worker"]
            assert not forbidden(release)
        assert passwords(both[0][0]) != passwords(both[1][0])
        for _, watched in both:
            images.kubectl("delete", "streamingmodel", "--all", "-n", watched, "--timeout=60s")
