"""The NATS that comes with the release: one server or three, whose configuration the real nats-server accepts."""

import json
import re
import shutil
import subprocess
import sysconfig

import pytest
import yaml
from tailrace_operator.render import RenderSettings, render, render_gateway
from tailrace_operator.render.accounts import nats_accounts
from tailrace_operator.resources import StreamingGateway, StreamingModel

from .helm import CASES, CHART

BUNDLED = [path for path in CASES if path.stem != "external-nats"]
PASSWORDS = {name: f"-{name}_1e5" for name in ("operator", "gateway", "worker", "advisory", "routes")}
THREE = {"nats": {"replicas": 3}}


def nats_server():
    """The server that comes with the operator's development dependencies."""
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    assert found is not None
    return found


def config_of(objects):
    return objects.one("ConfigMap", "-nats")["data"]["nats.conf"]


def pod_of(objects):
    return objects.one("StatefulSet")["spec"]["template"]["spec"]


def container_of(objects):
    return pod_of(objects)["containers"][0]


def environment(container):
    """The container's variables, put together as the kubelet does."""
    known = {}
    for item in container["env"]:
        source = item.get("valueFrom", {})
        if "secretKeyRef" in source:
            known[item["name"]] = PASSWORDS[source["secretKeyRef"]["key"]]
        elif "fieldRef" in source:
            known[item["name"]] = "tailrace-nats-0"
        else:
            known[item["name"]] = re.sub(r"\$\((\w+)\)", lambda match: known.get(match[1], match[0]), item["value"])
    return known


def checked(objects, folder):
    """What nats-server says of the release's configuration."""
    (folder / "nats.conf").write_text(config_of(objects).replace("/data", str(folder / "data")))
    (folder / "auth.conf").write_text(json.dumps(nats_accounts(PASSWORDS, "TAILRACE"))[1:-1])
    command = [nats_server(), "-t", "-c", folder / "nats.conf"]
    return subprocess.run(command, env=environment(container_of(objects)), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("case", BUNDLED, ids=lambda path: path.stem)
def test_nats_accepts_its_configuration(helm, tmp_path, case):
    done = checked(helm.template(files=(case,)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stderr


def test_nats_refuses_a_configuration_with_a_fault_in_it(helm, tmp_path):
    """The check above can fail."""
    assert checked(helm.template({"nats": {"extraConfig": "max_payload: many"}}), tmp_path).returncode != 0


def test_the_admins_own_configuration_comes_last_and_so_wins(helm):
    config = config_of(helm.template({"nats": {"extraConfig": "ping_max: 5\n"}}))
    assert config.rstrip().endswith("ping_max: 5")


def test_a_dead_peer_is_known_after_two_pings_as_on_one_machine(helm):
    config = config_of(helm.template())
    assert 'ping_interval: "2s"' in config
    assert "ping_max: 2" in config


def test_one_server_has_no_routes_no_budget_and_stops_at_once(helm):
    objects = helm.template()
    assert objects.one("StatefulSet")["spec"]["replicas"] == 1
    assert "cluster {" not in config_of(objects)
    assert objects.none("PodDisruptionBudget")
    assert "lifecycle" not in container_of(objects)
    assert "topologySpreadConstraints" not in pod_of(objects)
    assert pod_of(objects)["terminationGracePeriodSeconds"] == 30


def test_three_servers_are_one_cluster_whose_routes_need_a_password(helm):
    objects = helm.template(THREE)
    assert objects.one("StatefulSet")["spec"]["replicas"] == 3
    variables = environment(container_of(objects))
    routes = [
        f"nats://routes:{PASSWORDS['routes']}@tailrace-nats-{number}.tailrace-nats-headless:6222" for number in range(3)
    ]
    assert yaml.safe_load(variables["ROUTES"]) == routes
    assert yaml.safe_load(variables["ROUTES_AUTHORIZATION"]) == {"user": "routes", "password": PASSWORDS["routes"]}
    assert objects.one("Service", "-headless")["spec"]["publishNotReadyAddresses"] is True
    assert objects.one("Service", "-headless")["spec"]["clusterIP"] == "None"
    assert objects.one("StatefulSet")["spec"]["podManagementPolicy"] == "Parallel"


def test_three_servers_lose_one_at_a_time_to_a_drain_and_share_no_node(helm):
    objects = helm.template(THREE)
    assert objects.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    hard, soft = pod_of(objects)["topologySpreadConstraints"]
    assert (hard["topologyKey"], hard["maxSkew"]) == ("kubernetes.io/hostname", 1)
    assert hard["whenUnsatisfiable"] == "DoNotSchedule"
    assert soft["whenUnsatisfiable"] == "ScheduleAnyway"


def test_the_admins_spread_replaces_the_charts(helm):
    objects = helm.template(files=(CHART / "ci" / "everything.yaml",))
    [only] = pod_of(objects)["topologySpreadConstraints"]
    assert only["labelSelector"]["matchLabels"] == {"example.com/part": "nats"}


def test_a_budget_can_be_left_out(helm):
    assert helm.template({"nats": {"replicas": 3, "podDisruptionBudget": {"enabled": False}}}).none(
        "PodDisruptionBudget"
    )


@pytest.mark.parametrize(("grace", "duration", "seconds"), [("5s", "30s", 55), ("10s", "2m", 150)])
def test_three_servers_send_their_clients_away_before_they_are_killed(helm, grace, duration, seconds):
    objects = helm.template({"nats": {"replicas": 3, "lameDuck": {"gracePeriod": grace, "duration": duration}}})
    command = container_of(objects)["lifecycle"]["preStop"]["exec"]["command"]
    pid_file = re.search(r"pid_file: (\S+)", config_of(objects))
    assert pid_file is not None
    assert command == ["nats-server", "--signal", f"ldm={pid_file[1]}"]
    assert pod_of(objects)["terminationGracePeriodSeconds"] == seconds


def test_a_pod_waits_for_the_secret_that_the_operator_makes(helm):
    """GitOps tools apply everything at once: no order is needed, and nothing secret is rendered."""
    [config] = [volume for volume in pod_of(helm.template())["volumes"] if volume["name"] == "config"]
    secret = config["projected"]["sources"][1]["secret"]
    assert secret["name"] == "tailrace-nats-auth"
    assert secret["items"] == [{"key": "auth.conf", "path": "auth.conf"}]
    assert secret.get("optional") is not True


def test_logs_lie_on_a_volume_that_outlives_the_release(helm):
    objects = helm.template(
        {"nats": {"jetstream": {"fileStore": {"pvc": {"size": "10Gi", "storageClassName": "fast"}}}}}
    )
    spec = objects.one("StatefulSet")["spec"]
    [claim] = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert "max_file_store: 9216Mi" in config_of(objects)


def test_the_default_storage_class_is_left_to_the_cluster(helm):
    [claim] = helm.template().one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert "storageClassName" not in claim["spec"]


def test_without_a_volume_the_logs_lie_on_the_node(helm):
    objects = helm.template({"nats": {"jetstream": {"fileStore": {"pvc": {"enabled": False, "size": "4Gi"}}}}})
    assert "volumeClaimTemplates" not in objects.one("StatefulSet")["spec"]
    [data] = [volume for volume in pod_of(objects)["volumes"] if volume["name"] == "data"]
    assert data["emptyDir"] == {"sizeLimit": "4Gi"}


@pytest.mark.parametrize(
    ("resources", "limit"),
    [
        ({"limits": {"memory": "4Gi"}}, "3686MiB"),
        ({"limits": {"memory": "4096Mi"}}, "3686MiB"),
        ({"limits": {"memory": "4G"}}, None),
        ({"limits": {"memory": None}}, None),
    ],
)
def test_gos_collector_is_told_nine_tenths_of_the_memory_limit(helm, resources, limit):
    variables = environment(container_of(helm.template({"nats": {"resources": resources}})))
    assert variables.get("GOMEMLIMIT") == limit


def test_a_new_configuration_restarts_nats_and_an_equal_one_does_not(helm):
    def annotations(values):
        return helm.template(values).one("StatefulSet")["spec"]["template"]["metadata"]["annotations"]

    assert annotations({}) == annotations({"modelRoot": "/elsewhere", "metrics": {"podMonitor": {"enabled": True}}})
    assert annotations({}) != annotations({"nats": {"maxPayload": "2Mi"}})


def peers(objects, port):
    rules = objects.one("NetworkPolicy", "-nats")["spec"]["ingress"]
    return [peer for rule in rules if rule["ports"] == [{"port": port}] for peer in rule["from"]]


def test_only_tailraces_own_pods_reach_nats(helm):
    models, operator, tester = peers(helm.template(), "nats")
    assert models["podSelector"]["matchLabels"] == {"app.kubernetes.io/managed-by": "tailrace"}
    assert models["namespaceSelector"] == {}
    for peer, component in ((operator, "operator"), (tester, "test")):
        assert "namespaceSelector" not in peer
        assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == component


def test_in_namespaced_mode_only_pods_of_these_namespaces_reach_nats(helm):
    models = peers(helm.template({"watchNamespaces": ["a", "b"]}), "nats")[0]
    [expression] = models["namespaceSelector"]["matchExpressions"]
    assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}


def test_the_admins_clients_reach_nats_too(helm):
    peer = {"podSelector": {"matchLabels": {"app": "nats-box"}}}
    assert peer in peers(helm.template({"networkPolicy": {"natsClientsFrom": [peer]}}), "nats")


def test_servers_are_reached_by_servers_alone_and_monitors_by_who_is_named(helm):
    peer = {"namespaceSelector": {}}
    plain = helm.template(THREE)
    watched = helm.template({**THREE, "networkPolicy": {"metricsFrom": [peer]}})
    [server] = peers(plain, "cluster")
    assert server["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "nats"
    assert peers(plain, "monitor") == []
    assert peers(watched, "monitor") == [peer]
    assert peers(helm.template(), "cluster") == []


def test_an_external_nats_leaves_nothing_of_ours(helm):
    objects = helm.template(files=(CHART / "ci" / "external-nats.yaml",))
    for kind in ("StatefulSet", "PodDisruptionBudget"):
        assert objects.none(kind)
    for kind in ("ConfigMap", "Service", "NetworkPolicy"):
        assert objects.none(kind, "-nats")


def test_the_pods_that_the_operator_makes_are_among_those_that_reach_nats(helm):
    """No network plugin enforces policies in these tests, so that their labels meet is looked at here."""
    cached = {"engine": {"vllm": {}}, "model": {"source": {"hf": {"repo": "o/m"}}, "cache": {"size": "1Gi"}}}
    model = StreamingModel.parse(resource("StreamingModel", cached))
    gateway = StreamingGateway.parse(resource("StreamingGateway", {}))
    made = render(model, RenderSettings())
    manifests = [*made.manifests, made.fetch, *render_gateway(gateway, [model], RenderSettings())]
    pods = {m["metadata"]["name"]: m["spec"]["template"] for m in manifests if m["kind"] in ("Deployment", "Job")}
    assert len(pods) == 3
    wanted = peers(helm.template(), "nats")[0]["podSelector"]["matchLabels"]
    for name, template in pods.items():
        assert wanted.items() <= template["metadata"]["labels"].items(), name


def resource(kind, spec):
    metadata = {"name": "m", "namespace": "models", "uid": "u"}
    return {"apiVersion": "tailrace.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
