"""A cluster of the harness's own, and what tests may do to it: break its parts, mend them, and end it."""

import contextlib
import json
import shutil
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from . import sandbox
from .cluster import Cluster, allocatable
from .control_plane import ControlPlane
from .errors import HarnessError
from .instances import Instance
from .node import Node
from .sandbox import Keeper, Sandbox
from .watching import Object

API_READY_S = 60.0
NODE_READY_S = 90.0


@dataclass
class LocalCluster(Cluster):
    """The parts of a running cluster. `keeper` is the one that ends it, if this process started it."""

    instance: Instance
    plane: ControlPlane
    sandbox: Sandbox
    keeper: Keeper | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    #: What its nodes had from their start.
    archives: Sequence[Path] = ()

    def set_gpus(self, node: str, count: int, resource: str = "nvidia.com/gpu") -> None:
        name = resource.replace("/", "~1")
        places = [f"/status/{part}/{name}" for part in ("capacity", "allocatable")]
        patch = json.dumps([{"op": "add", "path": place, "value": str(count)} for place in places])
        self.kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", patch)
        self.wait("node", node, None, lambda seen: allocatable(seen, resource) == str(count))

    def load_image(self, archive: Path) -> None:
        if archive in self.archives:
            return
        running = [each for each in self.nodes.values() if each.running]
        with ThreadPoolExecutor() as pool:
            for loading in [pool.submit(each.load_image, archive) for each in running]:
                loading.result()

    def require_own(self, what: str) -> None:
        """It is."""

    def kill_node(self, name: str) -> None:
        self.nodes[name].kill()

    def start_node(self, name: str) -> None:
        started = datetime.now(UTC).replace(microsecond=0)
        self.nodes[name].start()
        self.nodes[name].join()
        self.wait("node", name, None, lambda seen: is_ready_since(seen, started), NODE_READY_S)

    def stop_api(self) -> None:
        self.sandbox.stop("kube-apiserver")

    def start_api(self) -> None:
        self.plane.start_api(self.sandbox)
        self.wait_api()

    def freeze(self, name: str) -> None:
        self.send(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self.send(name, signal.SIGCONT)

    def send(self, name: str, number: signal.Signals) -> None:
        """Signal all of a node, or one program of the control plane."""
        if name in self.nodes:
            self.nodes[name].sandbox.send_all(number)
        else:
            self.sandbox.send(name, number)

    def cut(self, node: str) -> None:
        self.sandbox.run(["ip", "link", "set", node, "down"])

    def mend(self, node: str) -> None:
        self.sandbox.run(["ip", "link", "set", node, "up"])

    def wait_api(self) -> None:
        """Wait until the API server says that it is ready; HarnessError if it ended instead."""
        deadline = time.monotonic() + API_READY_S
        while not self.plane.is_ready():
            exits = self.sandbox.exits()
            ended = [name for name in ("etcd", "kube-apiserver") if exits[name] is not None]
            if ended or time.monotonic() > deadline:
                why = f"{' and '.join(ended)} ended" if ended else f"not ready after {API_READY_S:.0f} s"
                raise HarnessError(f"the API server does not serve: {why}")
            time.sleep(0.05)

    def dump_logs(self, folder: Path) -> None:
        super().dump_logs(folder)
        copy_logs(self.instance, folder)

    def stop(self) -> None:
        if self.keeper:
            self.keeper.stop()
        else:
            sandbox.stop_detached(self.instance)


def is_ready_since(node: Object | None, moment: datetime) -> bool:
    """Whether the node itself has said so: right after a crash, what it said before still stands."""
    ready = next(
        (item for item in (node or {}).get("status", {}).get("conditions", []) if item["type"] == "Ready"), None
    )
    return bool(ready) and ready["status"] == "True" and datetime.fromisoformat(ready["lastHeartbeatTime"]) >= moment


def copy_logs(instance: Instance, folder: Path) -> None:
    """Copy the logs of all programs and pods; their paths become their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for log in instance.folder.rglob("*.log"):
        name = "-".join(log.relative_to(instance.folder).parts).replace("-own-log-pods", "")
        if not log.is_symlink():
            with contextlib.suppress(OSError):
                shutil.copy(log, folder / name)
