"""A cluster under test: what every one can do, whoever made it, and what only one of our own can."""

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from . import shell
from .errors import NotOursError
from .kube import Kube
from .watching import Object

API, NODE, TWO_NODES, EXTERNAL = "api", "node", "two-nodes", "external"
LOAD_VARIABLE = "TAILRACE_LOAD_IMAGE"
LEVELS = (API, NODE, TWO_NODES)


@dataclass
class Cluster(Kube):
    """A cluster and its level: `api`, `node`, `two-nodes`, or `external` (the user's own, by $KUBECONFIG).

    What would harm a cluster that is not ours raises NotOursError, which the fixtures turn into a skip.
    """

    level: str

    def node_names(self) -> list[str]:
        return sorted(str(node["metadata"]["name"]) for node in self.objects("nodes"))

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
        """Make the image of a docker-archive available to pods on all nodes.

        For a cluster that is not ours, $TAILRACE_LOAD_IMAGE is the command that does so (`kind load image-archive`).
        """
        command = os.environ.get(LOAD_VARIABLE)
        if not command:
            self.refuse(f"loading an image without {LOAD_VARIABLE}, the command that loads an archive,")
        shell.run([*shlex.split(command), archive], env=self.environment())

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


class ExternalCluster(Cluster):
    """The user's own cluster, of which only our folder of caches and kubeconfigs goes in the end."""

    def stop(self) -> None:
        shutil.rmtree(self.work)


def ready_status(node: Object | None) -> str | None:
    conditions = ((node or {}).get("status") or {}).get("conditions") or []
    return next((str(item["status"]) for item in conditions if item["type"] == "Ready"), None)


def allocatable(node: Object | None, resource: str) -> str | None:
    return ((node or {}).get("status") or {}).get("allocatable", {}).get(resource)
