"""One node of a cluster: namespaces with a containerd, a kubelet and a kube-proxy of their own.

Its folders lie where every node has them (/var/lib/kubelet, /run/containerd, /var/log/pods), by mounts that the host
does not see. Its disk outlives `kill`; its memory, mounts and network do not.
"""

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from . import cgroups, network, node_config, shell, stores
from .credentials import Credentials
from .errors import CommandError, HarnessError
from .instances import Instance
from .sandbox import Sandbox, supervisor_argv

CONTAINERD_START_S = 30.0
PERSISTENT = ("containerd", "kubelet", "cni")
CTR = ("ctr", "-n", "k8s.io")


@dataclass
class Node:
    """A node by its index, from 1; `parent` is the cluster's sandbox."""

    instance: Instance
    index: int
    others: list[int]
    parent: Sandbox
    credentials: Credentials
    programs: dict[str, Path]
    store: Path | None = None
    running: Sandbox | None = None

    @property
    def name(self) -> str:
        return node_name(self.index)

    @property
    def folder(self) -> Path:
        return self.instance.folder / self.name

    @property
    def cgroup(self) -> str:
        return f"{self.instance.cgroup_prefix}{self.name}"

    @property
    def sandbox(self) -> Sandbox:
        if self.running is None:
            raise HarnessError(f"{self.name} does not run")
        return self.running

    def attach(self) -> None:
        """Find the node that another process started."""
        with contextlib.suppress(HarnessError):
            self.running = Sandbox.attach(self.folder, namespaces=True, timeout_s=0)

    def start(self) -> None:
        """Start all but what needs the API server, with `store`'s images if it is the first start."""
        self.folder.mkdir(exist_ok=True)
        self.fill_disk()
        self.write_configuration()
        cgroups.create(self.cgroup)
        self.parent.start(self.name, supervisor_argv(self.folder, namespaces=True))
        self.running = Sandbox.attach(self.folder, namespaces=True)
        self.plug_in()
        self.sandbox.script(self.mount_lines())
        self.sandbox.start("containerd", ["containerd", "--config", self.folder / "containerd.toml"])
        self.wait_for_containerd()

    def join(self) -> None:
        """Start what makes it a node of the cluster."""
        kubeconfig = self.credentials.kubeconfig(f"system:node:{self.name}")
        self.sandbox.start("kubelet", [
            self.programs["kubelet"],
            f"--config={self.folder / 'kubelet.json'}",
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.instance.node_address(self.index)}",
            f"--node-labels=topology.kubernetes.io/zone=zone-{self.index}",
        ])  # fmt: skip
        self.sandbox.start("kube-proxy", proxy_argv(self.programs, self.folder, self.name))

    def kill(self) -> None:
        """End everything on the node at once."""
        self.sandbox.kill()
        self.running = None
        # The kernel takes its time to do so, and the node may be started again before.
        shell.run(self.parent.enter(["ip", "link", "delete", self.name]), check=False)

    def load_image(self, archive: Path) -> None:
        """Give containerd an image, by standard input: the node may see other folders than the host."""
        with archive.open("rb") as content:
            shell.run(self.sandbox.enter([*CTR, "images", "import", "-"]), stdin=content)

    def fill_disk(self) -> None:
        containerd = self.folder / "own" / stores.CONTAINERD
        if self.store and not containerd.exists():
            containerd.parent.mkdir()
            stores.clone(self.store, containerd)

    def plug_in(self) -> None:
        """Wire the node to the others, and tell the host and the control plane where its pods are."""
        lines = network.plug_lines(self.parent.pid, self.sandbox.pid, self.name)
        route = network.pod_route(self.instance, self.index)
        shell.run(["sh", "-euxc", "\n".join([*lines, route])])
        self.parent.script([route])
        self.sandbox.script(network.node_lines(self.instance, self.index, self.others))

    def write_configuration(self) -> None:
        cni = self.folder / "cni"
        cni.mkdir(exist_ok=True)
        (cni / "10-pods.conflist").write_text(json.dumps(node_config.cni(self.instance, self.index)))
        (self.folder / "containerd.toml").write_text(node_config.containerd(cni))
        kubelet = node_config.kubelet(self.instance, str(self.credentials.file("ca.crt")), self.cgroup)
        (self.folder / "kubelet.json").write_text(json.dumps(kubelet))
        write_proxy_configuration(self.instance, self.credentials, self.folder)

    def mount_lines(self) -> list[str]:
        """Shell lines that give the node its own folders; an overlay makes places to mount them on."""
        own, tunables = self.folder / "own", node_config.TUNABLES
        overlay = f"lowerdir=/var/lib,upperdir={own}/upper,workdir={own}/work"
        folders = [f"{own}/{name}" for name in ("upper", "work", "log", "tunables", *PERSISTENT)]
        return [
            # The kubelet hands mounts on to containers, which needs them shared within the node.
            "mount --make-rshared /",
            "mount -t tmpfs -o mode=755 tmpfs /run",
            f"mkdir -p {' '.join(folders)}",
            f"mount -t overlay -o {overlay} overlay /var/lib",
            *(f"mkdir -p /var/lib/{name}; mount --bind {own}/{name} /var/lib/{name}" for name in PERSISTENT),
            f"mount --bind {own}/log /var/log",
            *(line for name, value in tunables.items() for line in tunable_lines(f"{own}/tunables", name, value)),
        ]

    def wait_for_containerd(self) -> None:
        deadline = time.monotonic() + CONTAINERD_START_S
        while True:
            try:
                self.sandbox.run(["ctr", "version"], timeout_s=10)
                return
            except CommandError as error:
                if time.monotonic() > deadline or self.sandbox.exits()["containerd"] is not None:
                    raise HarnessError(f"containerd did not start, see {self.folder}/containerd.log") from error
                time.sleep(0.1)


def node_name(index: int) -> str:
    return f"node-{index}"


def tunable_lines(folder: str, name: str, value: int) -> list[str]:
    """Shell lines that show a kernel setting to have a value, to this node alone."""
    file = f"{folder}/{name.replace('/', '-')}"
    return [f"echo {value} > {file}", f"mount --bind {file} /proc/sys/{name}"]


def write_proxy_configuration(instance: Instance, credentials: Credentials, folder: Path) -> None:
    config = node_config.kube_proxy(instance, str(credentials.kubeconfig("system:kube-proxy")))
    (folder / "kube-proxy.json").write_text(json.dumps(config))


def proxy_argv(programs: dict[str, Path], folder: Path, node: str) -> list[str | Path]:
    """kube-proxy as that node."""
    return [programs["kube-proxy"], f"--config={folder / 'kube-proxy.json'}", f"--hostname-override={node}"]
