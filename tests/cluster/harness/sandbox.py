"""A set of Linux namespaces with a supervisor as their process 1: a cluster is one, and each of its nodes is one in it.

Everything of a sandbox ends with its process 1: processes with the process namespace, mounts with the mount namespace,
interfaces and iptables rules with the network namespace. The API level uses the same supervisor without namespaces.
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import shell
from .errors import HarnessError
from .instances import Instance
from .supervisor import SOCKET

PACKAGE_PARENT = Path(__file__).resolve().parent.parent
START_S = 10.0
STOP_S = 120.0
UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")


def supervisor_argv(folder: Path, *, namespaces: bool) -> list[str]:
    """How a sandbox's supervisor is started."""
    supervisor = [sys.executable, str(PACKAGE_PARENT / "harness" / "supervisor.py"), str(folder)]
    return [*UNSHARE, *supervisor] if namespaces else supervisor


@dataclass
class Sandbox:
    """A running supervisor, as seen from the host; `pid` is its process there."""

    folder: Path
    pid: int
    namespaces: bool

    @classmethod
    def attach(cls, folder: Path, *, namespaces: bool, timeout_s: float = START_S) -> "Sandbox":
        """Find the supervisor that serves this folder; waits for it to be up."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                with connect(folder) as connection:
                    return cls(folder, peer_pid(connection), namespaces)
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise HarnessError(f"no supervisor serves {folder}: see the logs there") from None
                time.sleep(0.01)

    def start(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start a program; its output goes to `<name>.log` in the sandbox's folder."""
        self.request(do="start", name=name, argv=[str(part) for part in argv], env=dict(env or {}))

    def send(self, name: str, number: signal.Signals) -> None:
        """Signal a program and what it started in its group."""
        self.request(do="signal", name=name, signal=int(number))

    def stop(self, name: str) -> None:
        """Kill a program and wait until it is gone."""
        self.send(name, signal.SIGKILL)
        while self.exits()[name] is None:
            time.sleep(0.01)

    def exits(self) -> dict[str, int | None]:
        """The programs' exit statuses; None for one that runs."""
        return dict(self.request(do="status")["programs"])

    def request(self, **request: Any) -> dict[str, Any]:
        with connect(self.folder) as connection, connection.makefile("rw") as stream:
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            answer = dict(json.loads(stream.readline() or '{"error": "the supervisor broke off"}'))
        if "error" in answer:
            raise HarnessError(f"{request['do']} {request.get('name', '')} in {self.folder}: {answer['error']}")
        return answer

    def enter(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs a program inside."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--"] if self.namespaces else []
        return [*inside, *map(str, argv)]

    def run(self, argv: Sequence[str | Path], **options: Any) -> str:
        """Run a program inside to its end; what it printed."""
        return shell.output(self.enter(argv), **options)

    def script(self, lines: Sequence[str]) -> None:
        """Run shell commands inside, up to the first that fails."""
        self.run(["sh", "-euxc", "\n".join(lines)])

    def kill(self) -> None:
        """End everything inside, at once; returns when it is over."""
        with contextlib.suppress(ProcessLookupError):
            waiting = os.pidfd_open(self.pid)
            try:
                os.kill(self.pid, signal.SIGKILL)
                wait_for_end(waiting, STOP_S)
            finally:
                os.close(waiting)

    def processes(self) -> list[int]:
        """All processes inside, sandboxes within it included, parents first; process numbers of the host."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(stat.parent.name))
        found = [self.pid]
        for pid in found:
            found.extend(children.get(pid, []))
        return found

    def send_all(self, number: signal.Signals) -> None:
        """Signal every process inside."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def connect(folder: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(START_S)
        connection.connect(str(folder / SOCKET))
    except BaseException:
        connection.close()
        raise
    return connection


def peer_pid(connection: socket.socket) -> int:
    """The process at the other end: the kernel tells its number as this side's process namespace sees it."""
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


def wait_for_end(pidfd: int, timeout_s: float) -> None:
    """Wait until a process has ended; a namespace's process 1 does so after all others in it."""
    if not select.select([pidfd], [], [], timeout_s)[0]:
        raise HarnessError(f"a killed sandbox was not gone within {timeout_s:.0f} s")


class Keeper:
    """The process that ends a cluster and removes what is left of it (see `keeper`)."""

    def __init__(self, instance: Instance, lock: int, *, namespaces: bool, detached: bool) -> None:
        argv = supervisor_argv(instance.folder, namespaces=namespaces)
        spec = {"number": instance.number, "lock": lock, "argv": argv, "detached": detached}
        with (instance.folder / "keeper.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "harness.keeper", json.dumps(spec)],
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)},
                pass_fds=[lock],
                start_new_session=True,
            )
        os.close(lock)
        (instance.folder / "keeper.pid").write_text(str(self.process.pid))

    def stop(self) -> None:
        """End the cluster; returns when nothing is left of it."""
        self.process.terminate()
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise HarnessError(f"the cluster's keeper {self.process.pid} did not end within {STOP_S:.0f} s") from None


def stop_detached(instance: Instance) -> None:
    """End a cluster that another process started."""
    pidfd = os.pidfd_open(int((instance.folder / "keeper.pid").read_text()))
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        wait_for_end(pidfd, STOP_S)
    finally:
        os.close(pidfd)
