"""Kills as the kernel does them, when memory is short: without a word before. A forced deletion sends SIGTERM first."""

from harness.cluster import Cluster
from harness.watching import Object

#: The status of a program that ended by SIGKILL: one that is told to stop ends by itself, with another.
_KILLED = 128 + 9
#: Runs in a pod whose containers share their processes; the program itself is named by its arguments.
_SCRIPT = """
import contextlib, os, pathlib, sys
for process in pathlib.Path("/proc").glob("[0-9]*"):
    with contextlib.suppress(OSError):  # It may end by itself.
        arguments = (process / "cmdline").read_bytes()
        if int(process.name) != os.getpid() and any(name.encode() in arguments for name in sys.argv[1:]):
            os.kill(int(process.name), 9)
"""


def kill(cluster: Cluster, pod: str, namespace: str, container: str, *names: str) -> None:
    """Kill the programs in a pod whose command lines hold one of these names; returns when the container runs again."""
    before = restarts(cluster.get("pod", pod, namespace), container)
    # What runs in a container ends with its program, so this may end before it can say that it did well.
    cluster.exec(pod, namespace, "python", "-c", _SCRIPT, *names, check=False)
    # The kubelet tells of the new run before it tells, at times, how the former one ended.
    seen = cluster.wait(
        "pod", pod, namespace, lambda seen: restarts(seen, container) > before and end(seen, container), 90
    )
    assert end(seen, container)["exitCode"] == _KILLED, end(seen, container)


def restarts(pod: Object | None, container: str) -> int:
    """How often the container was started again."""
    return int(status(pod, container).get("restartCount", 0))


def end(pod: Object | None, container: str) -> Object:
    """How its former run ended; empty while that is not told."""
    return (status(pod, container).get("lastState") or {}).get("terminated") or {}


def status(pod: Object | None, container: str) -> Object:
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or []
    return next((found for found in statuses if found["name"] == container), {})
