"""A cluster under test: what every one can do, whoever made it, and what only one of our own can."""

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .errors import NotOursError
from .kube import Kube
from .watching import Object

API, NODE, TWO_NODES, EXTERNAL = "api", "node", "two-nodes", "external"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
LEVELS = (API, NODE, TWO_NODES)


@dataclass
class Cluster(Kube):
    """A cluster and its level: `api`, `node`, `two-nodes`, or `external` (the user's own, by $KUBECONFIG).

    What would harm a cluster that is not ours raises NotOursError, which the fixtures turn into a skip.
    """

    level: str

    def node_names(self) -> list[str]:
        """The nodes that are there for pods."""
        return sorted(str(node["metadata"]["name"]) for node in self.objects("nodes") if not is_tainted(node))

    def set_gpus(self, node: str, count: int, resource: str = "nvidia.com/gpu") -> None:
        """Have a node report GPUs that it has not: the scheduler counts them; pods that ask for them run without.

        A node that is started again reports none, until this is called again.
        """
        self.refuse("inventing GPUs")

    def wait_node(self, name: str, *, ready: bool = True, timeout_s: float = 60) -> None:
        """Wait until a node is Ready, or until the control plane has found that it is not."""
        self.wait(
            "node", name, None, lambda seen: (ready_status(seen) == "True") == ready and seen is not None, timeout_s
        )

    def load_image(self, archive: Path) -> None:
        """Make the image of a docker-archive available to pods on all nodes."""
        self.refuse("loading an image")

    def define(self, definition: Object) -> None:
        """Serve a CustomResourceDefinition, in the place of one of its name, and wait until it is established."""
        self.apply(definition, None, "--force-conflicts")
        self.wait_condition("crd", definition["metadata"]["name"], None, "Established")

    def require_own(self, what: str) -> None:
        """Refuse what only a cluster on this machine can: reaching its Services, or a world without anybody else."""
        self.refuse(what)

    def kill_node(self, name: str) -> None:
        """End a node at once, as a power cut does: kubelet, containerd, all containers, its network."""
        self.refuse("killing a node")

    def start_node(self, name: str) -> None:
        """Start a killed node again, with the disk that it had, and wait until it is Ready."""
        self.refuse("starting a node")

    def stop_api(self) -> None:
        """Kill the API server; what runs on the nodes goes on."""
        self.refuse("stopping the API server")

    def start_api(self) -> None:
        """Start the API server again and wait until it is ready."""
        self.refuse("starting the API server")

    def freeze(self, name: str) -> None:
        """Stop a node or a control plane program without ending it, as a machine does that swaps or is suspended."""
        self.refuse("freezing a node")

    def thaw(self, name: str) -> None:
        """Let a frozen node or program go on."""
        self.refuse("thawing a node")

    def cut(self, node: str) -> None:
        """Cut a node off the network; what runs on it goes on."""
        self.refuse("cutting a node off")

    def mend(self, node: str) -> None:
        """Join a node that was cut off to the network again."""
        self.refuse("joining a node to the network")

    def dump_logs(self, folder: Path) -> None:
        """Write what helps to understand a failure into a folder: objects, events, logs."""
        folder.mkdir(parents=True, exist_ok=True)
        listed = {
            "objects.txt": ("get", "all,nodes,pv,pvc,events", "-A", "-o", "wide"),
            "pods.txt": ("describe", "pods", "-A"),
        }
        for name, command in listed.items():
            (folder / name).write_text(self.kubectl(*command, check=False, timeout_s=20))

    def stop(self) -> None:
        """End the cluster, if it is ours."""

    def refuse(self, what: str) -> NoReturn:
        raise NotOursError(f"{what} needs a cluster of the harness's own: unset KUBECONFIG, and run as root")


def ready_status(node: Object | None) -> str | None:
    conditions = ((node or {}).get("status") or {}).get("conditions") or []
    return next((str(item["status"]) for item in conditions if item["type"] == "Ready"), None)


def is_tainted(node: Object) -> bool:
    """Whether a node is the control plane's alone."""
    return any(taint["key"] == CONTROL_PLANE for taint in node["spec"].get("taints", []))


def allocatable(node: Object | None, resource: str) -> str | None:
    return ((node or {}).get("status") or {}).get("allocatable", {}).get(resource)
