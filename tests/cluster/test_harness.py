"""What the harness promises to every other test of a real cluster, on each level."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from harness import cgroups, images, launch
from harness.cluster import API, NODE, Cluster
from harness.errors import CommandError, WaitTimeoutError
from harness.instances import FROM_VARIABLE, MOST, Instance
from harness.kube import condition_of
from harness.local import LocalCluster
from harness.node_config import TUNABLES
from harness.sandbox import PACKAGE_PARENT
from harness.shell import output

T = TypeVar("T")

SERVER = r"""
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 16, ReuseAddr => 1) or die;
while (my $client = $server->accept) {
  my ($path) = (<$client> // "") =~ m{^GET /(\S*)};
  while (defined(my $line = <$client>)) { last if $line eq "\r\n" }
  my $status = (-e "/tmp/sick" && $path eq "health") ? "500 No" : "200 OK";
  print $client "HTTP/1.0 $status\r\n\r\n$ENV{HOSTNAME}\n";
  close $client;
}
"""


def container(command: list[str], **more: object) -> dict[str, object]:
    return {"name": "main", "image": images.BASE, "command": command, **more}


def pod(name: str, command: list[str], spec: dict[str, object] | None = None, **more: object) -> dict[str, object]:
    whole = {"terminationGracePeriodSeconds": 1, "containers": [container(command, **more)], **(spec or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": whole}


def web(replicas: int) -> list[dict[str, object]]:
    """A Deployment spread over the nodes, whose pods answer with their names, and its Service."""
    labels = {"app": "web"}
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    template = {key: value for key, value in server("web", readinessProbe=probe).items() if key in {"metadata", "spec"}}
    template["spec"]["topologySpreadConstraints"] = [{**spread, "labelSelector": {"matchLabels": labels}}]
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}, service("web")]


def server(name: str, **more: object) -> dict[str, object]:
    return pod(name, ["perl", "-e", SERVER], **more)


def service(name: str) -> dict[str, object]:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


FETCH = "exec 3<>/dev/tcp/{host}/80; printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3; tail -n1 <&3"


def test_server_side_apply_keeps_the_fields_of_two_managers_apart(api, api_namespace):
    api.apply(config_map("shared", a="1"), api_namespace, "--field-manager=one")
    api.apply(config_map("shared", b="2"), api_namespace, "--field-manager=two")
    assert api.get("configmap", "shared", api_namespace)["data"] == {"a": "1", "b": "2"}
    with pytest.raises(CommandError, match='conflict with "one"'):
        api.apply(config_map("shared", a="3"), api_namespace, "--field-manager=two")


def test_a_service_account_can_do_what_its_role_says_and_no_more(api, api_namespace):
    api.kubectl("create", "serviceaccount", "reader", "-n", api_namespace)
    api.kubectl("create", "role", "reader", "--verb=get", "--resource=configmaps", "-n", api_namespace)
    given = f"--serviceaccount={api_namespace}:reader"
    api.kubectl("create", "rolebinding", "reader", "--role=reader", given, "-n", api_namespace)
    api.apply(config_map("public"), api_namespace)
    own = f"--kubeconfig={api.kubeconfig_for('reader', api_namespace)}"
    assert "public" in api.kubectl(own, "get", "configmap", "public")
    with pytest.raises(CommandError, match=f"{api_namespace}:reader.* cannot get resource .secrets."):
        api.kubectl(own, "get", "secret", "any")


def test_what_an_object_owns_goes_with_it(api, api_namespace):
    api.apply(config_map("owner"), api_namespace)
    uid = api.get("configmap", "owner", api_namespace)["metadata"]["uid"]
    owned = config_map("owned")
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    api.apply(owned, api_namespace)
    api.kubectl("delete", "configmap", "owner", "-n", api_namespace)
    api.wait("configmap", "owned", api_namespace, lambda seen: seen is None)


def test_a_wait_in_vain_tells_what_was_there_instead(api, api_namespace):
    api.apply(config_map("stays", colour="blue"), api_namespace)
    with pytest.raises(WaitTimeoutError, match='"colour": "blue"'):
        api.wait("configmap", "stays", api_namespace, lambda seen: seen["data"]["colour"] == "red", timeout_s=1)


def test_a_wait_survives_the_api_server(api, api_namespace):
    def come_back() -> None:
        time.sleep(1)
        api.start_api()
        api.apply(config_map("late"), api_namespace)

    api.stop_api()
    with pytest.raises(CommandError, match="refused"):
        api.kubectl("get", "namespaces")
    returning = threading.Thread(target=come_back)
    returning.start()
    assert api.wait("configmap", "late", api_namespace, bool, timeout_s=30)
    returning.join()


def test_a_frozen_api_server_does_not_answer_until_it_is_thawed(api):
    api.freeze("kube-apiserver")
    try:
        with pytest.raises(CommandError, match=r"[Tt]imeout|deadline"):
            api.kubectl("get", "--raw=/readyz", "--request-timeout=1s")
    finally:
        api.thaw("kube-apiserver")
    assert api.kubectl("get", "--raw=/readyz") == "ok"


def test_the_restricted_pod_security_standard_is_enforced(api):
    with (
        api.namespace(labels={"pod-security.kubernetes.io/enforce": "restricted"}, wait=False) as restricted,
        pytest.raises(CommandError, match="violates PodSecurity"),
    ):
        api.apply(pod("rootful", ["sleep", "1"]), restricted)


def test_pods_spread_over_two_nodes_and_answer_by_name_and_address(cluster, namespace):
    cluster.apply(web(2), namespace)
    cluster.wait_rollout("deployment", "web", namespace)
    pods = cluster.objects("pods", namespace)
    assert len({each["spec"]["nodeName"] for each in pods}) == 2
    names = {each["metadata"]["name"] for each in pods}
    address = cluster.get("service", "web", namespace)["spec"]["clusterIP"]
    for caller in sorted(names):
        for host in ("web", f"web.{namespace}.svc.cluster.local", address):
            assert answers(cluster, namespace, caller, host, want=names) == names


def answers(cluster: Cluster, namespace: str, caller: str, host: str, want: set[str]) -> set[str]:
    """Which pods answered; iptables chooses one at random, so that 20 calls reach both but for a chance in 2^19."""
    found: set[str] = set()
    for _ in range(20):
        found.add(cluster.exec(caller, namespace, "bash", "-c", FETCH.format(host=host)).strip())
        if found >= want:
            break
    return found


def test_the_host_reaches_pods_and_services(cluster, namespace):
    cluster.require_own("reaching pods and Services from this machine")
    cluster.apply([server("direct"), service("direct")], namespace)
    seen = cluster.wait_condition("pod", "direct", namespace, "Ready")
    address = cluster.get("service", "direct", namespace)["spec"]["clusterIP"]
    for url in (f"http://{seen['status']['podIP']}:8080/", f"http://{address}/"):
        assert eventually(lambda url=url: fetch(url), 10) == "direct\n"


def test_a_probe_takes_a_sick_pod_out_of_its_service_and_another_restarts_it(cluster, namespace):
    health = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1}
    probes = {"readinessProbe": {**health, "failureThreshold": 1}, "livenessProbe": {**health, "failureThreshold": 6}}
    cluster.apply(server("sick", **probes), namespace)
    cluster.wait_condition("pod", "sick", namespace, "Ready")
    cluster.exec("sick", namespace, "touch", "/tmp/sick")
    cluster.wait_condition("pod", "sick", namespace, "Ready", "False")
    cluster.wait("pod", "sick", namespace, lambda seen: seen["status"]["containerStatuses"][0]["restartCount"] == 1)
    cluster.wait_condition("pod", "sick", namespace, "Ready")


def test_a_container_over_its_memory_limit_is_killed(cluster, namespace):
    greedy = pod("greedy", ["perl", "-e", "$a = 'x' x 200_000_000; sleep 60"], {"restartPolicy": "Never"})
    greedy["spec"]["containers"][0]["resources"] = {"limits": {"memory": "50Mi"}}
    cluster.apply(greedy, namespace)
    seen = cluster.wait("pod", "greedy", namespace, lambda seen: seen["status"]["phase"] == "Failed")
    assert seen["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"


def test_a_claim_is_bound_shared_by_the_nodes_writable_for_its_group_and_removed(cluster, namespace):
    cluster.require_own("seeing a volume's folder on this machine")
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    cluster.apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim}, namespace
    )
    cluster.apply([user_of_claim("writer", "node-1", "echo hello > /data/file; sleep 60")], namespace)
    cluster.apply([user_of_claim("reader", "node-2", "until cat /data/file; do sleep 0.1; done")], namespace)
    cluster.wait("pod", "reader", namespace, lambda seen: seen["status"]["phase"] == "Succeeded")
    assert "hello" in cluster.pod_logs("reader", namespace)
    volume = cluster.get("persistentvolumeclaim", "data", namespace)["spec"]["volumeName"]
    folder = Path(cluster.get("persistentvolume", volume)["spec"]["local"]["path"])
    assert (folder / "file").read_text() == "hello\n"
    cluster.kubectl("delete", "pod,pvc", "--all", "--wait=false", "-n", namespace)
    cluster.wait("persistentvolume", volume, None, lambda seen: seen is None)
    assert not folder.exists()


def user_of_claim(name: str, node: str, script: str) -> dict[str, object]:
    """A pod that is not root, with the claim `data` at /data."""
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    security = {"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 2000}
    # By the scheduler, which has the volume made.
    where = {"nodeSelector": {"kubernetes.io/hostname": node}}
    spec = {**where, "restartPolicy": "Never", "volumes": volumes, "securityContext": security}
    return pod(name, ["sh", "-c", script], spec, volumeMounts=[{"name": "data", "mountPath": "/data"}])


def test_a_pod_that_asks_for_more_gpus_than_are_left_is_pending(cluster, namespace):
    cluster.set_gpus("node-1", 2)
    cluster.apply([gpu_pod("one"), gpu_pod("two")], namespace)
    for name in ("one", "two"):
        assert cluster.wait_condition("pod", name, namespace, "Ready")["spec"]["nodeName"] == "node-1"
    cluster.apply(gpu_pod("three"), namespace)
    seen = cluster.wait_condition("pod", "three", namespace, "PodScheduled", "False")
    assert "Insufficient nvidia.com/gpu" in json.dumps(seen["status"])
    cluster.kubectl("delete", "pod", "one", "-n", namespace)
    cluster.wait_condition("pod", "three", namespace, "Ready")


def gpu_pod(name: str) -> dict[str, object]:
    return pod(name, ["sleep", "300"], resources={"limits": {"nvidia.com/gpu": 1}})


def test_the_pods_of_a_killed_node_move_and_the_node_comes_back(cluster, namespace):
    cluster.require_own("killing a node")
    cluster.apply(web(2), namespace)
    cluster.wait_rollout("deployment", "web", namespace)
    cluster.kill_node("node-2")
    cluster.wait_node("node-2", ready=False)
    survivor = next(each for each in cluster.objects("pods", namespace) if each["spec"]["nodeName"] == "node-1")
    assert cluster.exec(survivor["metadata"]["name"], namespace, "echo", "still here") == "still here\n"
    cluster.start_node("node-2")
    cluster.wait_rollout("deployment", "web", namespace)
    assert eventually(lambda: nodes_of_ready_pods(cluster, namespace) == ["node-1", "node-2"], 60)


def test_a_node_that_is_back_before_anybody_noticed_runs_its_pods_again(cluster, namespace):
    cluster.require_own("killing a node")
    cluster.apply(pod("stays", ["sleep", "300"], {"nodeName": "node-2"}), namespace)
    cluster.wait_condition("pod", "stays", namespace, "Ready")
    cluster.kill_node("node-2")
    cluster.start_node("node-2")
    cluster.wait("pod", "stays", namespace, lambda seen: seen["status"]["containerStatuses"][0]["restartCount"] == 1)
    assert cluster.exec("stays", namespace, "echo", "back") == "back\n"


def nodes_of_ready_pods(cluster: Cluster, namespace: str) -> list[str]:
    pods = cluster.objects("pods", namespace)
    return sorted(each["spec"]["nodeName"] for each in pods if condition_of(each, "Ready") == "True")


@pytest.mark.parametrize(("stop", "go_on"), [("freeze", "thaw"), ("cut", "mend")])
def test_a_node_that_is_frozen_or_cut_off_is_not_ready_until_it_goes_on(cluster, namespace, stop, go_on):
    cluster.require_own("freezing a node or cutting it off")
    cluster.apply(pod("stays", ["sleep", "300"], {"nodeName": "node-2"}), namespace)
    before = cluster.wait_condition("pod", "stays", namespace, "Ready")
    getattr(cluster, stop)("node-2")
    try:
        cluster.wait_node("node-2", ready=False)
    finally:
        getattr(cluster, go_on)("node-2")
    cluster.wait_node("node-2")
    after = cluster.get("pod", "stays", namespace)
    assert after is None or after["metadata"]["uid"] == before["metadata"]["uid"]


@dataclass(frozen=True)
class Traces:
    """What of a cluster, or of its making, can be seen on the host."""

    of_cluster: list[str]
    of_host: tuple[str, ...]

    @classmethod
    def of(cls, instance: Instance) -> "Traces":
        mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(instance.folder) in line]
        links = [line for line in output(["ip", "-o", "link"]).splitlines() if f" {instance.interface}@" in line]
        routes = [line for line in output(["ip", "route"]).splitlines() if f"{instance.net}." in line]
        groups = [str(group) for group in cgroups.existing(instance.cgroup_prefix)]
        files = [str(path) for path in (instance.folder, instance.lock) if path.exists()]
        settings = tuple(Path("/proc/sys", name).read_text() for name in SETTINGS)
        return cls(
            [*mounts, *links, *routes, *groups, *files],
            (output(["iptables", "-S"]), output(["iptables", "-t", "nat", "-S"]), *settings),
        )


#: Settings of the machine that the kubelet, kube-proxy or we change somewhere.
SETTINGS = [*TUNABLES, "net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max"]


def processes_of(cluster: LocalCluster) -> dict[int, str]:
    """The host's numbers of all processes, and what they are."""
    pids = [int((cluster.instance.folder / "keeper.pid").read_text()), *cluster.sandbox.processes()]
    return {pid: command for pid in pids if (command := command_of(pid))}


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(processes: dict[int, str]) -> list[str]:
    return [command for pid, command in processes.items() if command_of(pid) == command]


@pytest.fixture
def own_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the test's cluster take a number that nobody takes right after it."""
    monkeypatch.setenv(FROM_VARIABLE, str(random.randint(MOST // 4, MOST - 4)))


@pytest.mark.usefixtures("own_number")
def test_a_cluster_that_is_stopped_leaves_nothing(cluster, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    nodes = cluster.node_names()
    own = launch.start(NODE, archives=[images.base()])
    before = Traces.of(own.instance)
    with own.namespace(wait=False) as namespace:
        own.apply(pod("left-behind", ["sleep", "300"]), namespace)
        own.wait_condition("pod", "left-behind", namespace, "Ready")
        running = processes_of(own)
        assert any("sleep 300" in command for command in running.values())
        assert any("containerd-shim" in command for command in running.values())
    own.stop()
    assert alive(running) == []
    assert Traces.of(own.instance).of_cluster == []
    assert before.of_cluster
    assert Traces.of(own.instance).of_host == before.of_host
    assert list(tmp_path.iterdir()) == [], "something was left in the working directory"
    assert cluster.node_names() == nodes


@pytest.mark.usefixtures("own_number")
@pytest.mark.parametrize("level", [API, NODE])
def test_a_cluster_whose_tests_are_killed_is_removed(level):
    script = f"from harness import launch; c = launch.start({level!r}); print(c.instance.number, flush=True); input()"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tests:
        instance = Instance(int(tests.stdout.readline()))
        running = processes_of(launch.attach(instance))
        tests.kill()
    assert any("kube-apiserver" in command for command in running.values())
    assert eventually(lambda: not Traces.of(instance).of_cluster, 20), Traces.of(instance)
    assert eventually(lambda: not alive(running), 5), alive(running)


def eventually(look: Callable[[], T], timeout_s: float) -> T:
    """What `look` returns once it returns something true; else what it returned last."""
    deadline = time.monotonic() + timeout_s
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return seen


def fetch(url: str) -> str | None:
    try:
        return httpx.get(url, timeout=2).text
    except httpx.HTTPError:
        return None
