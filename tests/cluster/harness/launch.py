"""Starts clusters, and finds those that run."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import assets, images, instances, network, packages, shell, stores, system
from .cluster import API, NODE, TWO_NODES
from .control_plane import ControlPlane, Ports
from .credentials import Credentials
from .errors import HarnessError, UnavailableError
from .instances import Instance
from .local import NODE_READY_S, LocalCluster, copy_logs
from .node import Node, proxy_argv, write_proxy_configuration
from .sandbox import PACKAGE_PARENT, Keeper, Sandbox

NODES = {API: 0, NODE: 1, TWO_NODES: 2}
DESCRIPTION = "cluster.json"
LOOPBACK = "127.0.0.1"
LOOPBACK_SERVICES = "10.0.0.0/24"


def start(level: str, *, detached: bool = False, archives: Sequence[Path] = ()) -> LocalCluster:
    """Start a cluster of a level with images in its nodes, and wait until it is ready.

    A `detached` one outlives this process. UnavailableError says what this machine lacks; HarnessError names the folder
    with the logs of a cluster that did not come up.
    """
    nodes = NODES[level] > 0
    if nodes:
        require_full_nodes()
    programs = assets.find(assets.NODE_LEVEL if nodes else assets.API_LEVEL)
    store = stores.store([images.pause(), *archives]) if nodes else None
    instance, lock = instances.take(network=nodes)
    keeper = Keeper(instance, lock, namespaces=nodes, detached=detached)
    try:
        ports = Ports() if nodes else Ports.free()
        (instance.folder / DESCRIPTION).write_text(
            json.dumps({"level": level, "ports": vars(ports), "detached": detached})
        )
        cluster = assemble(instance, level, ports, programs, keeper)
        cluster.archives = tuple(archives)
        bring_up(cluster, store)
    except BaseException as error:
        error.add_note(f"logs of all components: {keep_logs(instance)}")
        keeper.stop()
        raise
    return cluster


def keep_logs(instance: Instance) -> Path:
    """A folder with the logs of a cluster that is about to go."""
    folder = Path(tempfile.mkdtemp(prefix="tailrace-cluster-logs-"))
    copy_logs(instance, folder)
    return folder


def require_full_nodes() -> None:
    """UnavailableError unless this machine can run nodes."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise UnavailableError("nodes run in namespaces of their own, which needs Linux and root: run this as root")
    packages.require(packages.NODE)


def assemble(
    instance: Instance, level: str, ports: Ports, programs: dict[str, Path], keeper: Keeper | None
) -> LocalCluster:
    """The parts of a cluster whose supervisor runs."""
    full = NODES[level] > 0
    address = instance.control_address if full else LOOPBACK
    credentials = Credentials(instance.folder / "pki", f"https://{address}:{ports.api}")
    services = instance.services_range if full else LOOPBACK_SERVICES
    plane = ControlPlane(instance.folder, credentials, ports, address, services, programs)
    sandbox = Sandbox.attach(instance.folder, namespaces=full)
    indexes = range(1, NODES[level] + 1)
    nodes = [
        Node(instance, index, [other for other in indexes if other != index], sandbox, credentials, programs)
        for index in indexes
    ]
    admin = credentials.kubeconfig("admin")
    by_name = {node.name: node for node in nodes}
    return LocalCluster(admin, instance.folder, programs["kubectl"], level, instance, plane, sandbox, keeper, by_name)


def attach(instance: Instance) -> LocalCluster:
    """A cluster that another process started."""
    described = description(instance)
    programs = assets.find(assets.NODE_LEVEL if NODES[described["level"]] else assets.API_LEVEL)
    cluster = assemble(instance, described["level"], Ports(**described["ports"]), programs, None)
    for node in cluster.nodes.values():
        node.attach()
    return cluster


def description(instance: Instance) -> dict[str, Any]:
    """What a running cluster was started as."""
    try:
        return dict(json.loads((instance.folder / DESCRIPTION).read_text()))
    except (FileNotFoundError, ValueError) as error:
        raise HarnessError(f"cluster {instance.number} is just starting or ending") from error


def detached() -> Iterator[Instance]:
    """The clusters that stay until they are ended; those of running tests are theirs."""
    for instance in instances.running():
        with contextlib.suppress(HarnessError):
            if description(instance)["detached"]:
                yield instance


def bring_up(cluster: LocalCluster, store: Path | None) -> None:
    """Start all programs; nodes get ready for the API server while it starts."""
    first_service = cluster.plane.services_range.replace(".0/", ".1/").partition("/")[0]
    cluster.plane.credentials.create(cluster.plane.address, first_service, list(cluster.nodes))
    if cluster.nodes:
        cluster.sandbox.script(network.control_plane_lines(cluster.instance))
        shell.run(["sh", "-euxc", "\n".join(network.host_lines(cluster.instance, cluster.sandbox.pid))])
    cluster.plane.start_etcd(cluster.sandbox)
    cluster.plane.start_api(cluster.sandbox)
    with ThreadPoolExecutor() as pool:
        preparing = [pool.submit(prepare, node, store) for node in cluster.nodes.values()]
        cluster.wait_api()
        cluster.plane.start_controllers(cluster.sandbox)
        for prepared in preparing:
            prepared.result()
    if cluster.nodes:
        join(cluster)
    cluster.wait("serviceaccount", "default", "default", bool)


def prepare(node: Node, store: Path | None) -> None:
    """Start a node as far as it goes without an API server."""
    node.store = store
    node.start()


def join(cluster: LocalCluster) -> None:
    """Make it a cluster with nodes: register them, and start what serves them all."""
    for node in cluster.nodes.values():
        node.join()
    cluster.plane.start_services(cluster.sandbox)
    start_provisioner(cluster)
    cluster.apply(system.objects(cluster.instance))
    for name in cluster.nodes:
        cluster.wait_node(name, timeout_s=NODE_READY_S)
    start_proxy(cluster)


def start_proxy(cluster: LocalCluster) -> None:
    """Let the control plane and the host reach Services, as if they were on the first node."""
    folder = cluster.instance.folder
    write_proxy_configuration(cluster.instance, cluster.plane.credentials, folder)
    cluster.sandbox.start("kube-proxy", proxy_argv(cluster.plane.programs, folder, next(iter(cluster.nodes))))


def start_provisioner(cluster: LocalCluster) -> None:
    volumes = cluster.instance.folder / "volumes"
    argv = [sys.executable, "-m", "harness.provisioner", volumes]
    env = {**cluster.environment(), "PYTHONPATH": str(PACKAGE_PARENT), "KUBECTL": str(cluster.kubectl_path)}
    cluster.sandbox.start("provisioner", argv, env)
