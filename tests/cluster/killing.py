"""Kills as the kernel does them, when memory is short: without a word before. A forced deletion sends SIGTERM first."""

from harness.cluster import Cluster
from harness.watching import Object

#: Runs in a pod whose containers share their processes; the program itself is named by its arguments.
_SCRIPT = """
import os, pathlib, sys
for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if int(file.parent.name) != os.getpid() and any(name.encode() in file.read_bytes() for name in sys.argv[1:]):
        os.kill(int(file.parent.name), 9)
        print(file.parent.name)
"""


def kill(cluster: Cluster, pod: str, namespace: str, container: str, *names: str) -> None:
    """Kill the programs in a pod whose command lines hold one of these names; returns when the container runs again."""
    before = restarts(cluster.get("pod", pod, namespace), container)
    killed = cluster.exec(pod, namespace, "python", "-c", _SCRIPT, *names, check=False)
    cluster.wait("pod", pod, namespace, lambda seen: restarts(seen, container) > before, 90)
    print(f"killed {names} in {pod}: {killed.split()}")


def restarts(pod: Object | None, container: str) -> int:
    """How often the container was started again."""
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or []
    return next((int(status["restartCount"]) for status in statuses if status["name"] == container), 0)
