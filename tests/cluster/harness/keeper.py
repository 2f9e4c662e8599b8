"""Outlives whoever started a cluster, just long enough to remove the cluster.

It starts the cluster's supervisor and waits: for the other end of its standard input to close (the tests ended, or
were killed), for SIGTERM (`down`), or for the supervisor's end. Then it kills the sandbox, waits until every process in
it is gone, and removes groups and folder. Orphans come to it (it is a subreaper), so to wait for all children is
to wait for all processes.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from typing import Any

from . import instances
from .supervisor import die_with_parent

PR_SET_CHILD_SUBREAPER = 36


def keep(spec: dict[str, Any]) -> None:
    """Run the sandbox of an instance until it is to end, then leave nothing of it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    instance = instances.Instance(spec["number"])
    ended = listen_for_signals()
    sandbox = subprocess.Popen(spec["argv"], stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    select.select([ended, *([] if spec["detached"] else [sys.stdin])], [], [])
    sandbox.kill()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    instance.remove_leftovers()
    instances.release(instance, spec["lock"])


def listen_for_signals() -> int:
    """A descriptor that is readable once the keeper is told to end, or the sandbox ended by itself."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return woken


if __name__ == "__main__":
    keep(json.loads(sys.argv[1]))
