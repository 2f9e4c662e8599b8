"""Pods that hang: all their processes stop, as on a machine that swaps or is suspended, and go on later."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.cluster import Cluster
from harness.watching import Object


@contextmanager
def frozen(cluster: Cluster, pods: list[Object], program: str) -> Iterator[None]:
    """While inside, the processes of these pods that run `program` stand still."""
    cluster.require_own("stopping the processes of pods")
    pids = [pid for pod in pods for pid in _processes(str(pod["metadata"]["uid"]), program)]
    assert len(pids) >= len(pods), f"{program} of {len(pods)} pods: {pids}"
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _processes(uid: str, program: str) -> Iterator[int]:
    """A pod's processes are in a control group that is called after it, with one of two spellings."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            group, command = (process / "cgroup").read_text(), (process / "cmdline").read_bytes()
        except OSError:
            continue  # It has ended.
        if (uid in group or uid.replace("-", "_") in group) and program.encode() in command.split(b"\0")[0]:
            yield int(process.name)
