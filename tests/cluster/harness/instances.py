"""Several clusters on one machine: each takes a number, and from it its folder, addresses, interface and groups.

A number belongs to whoever holds the lock on its file; the cluster's keeper does so as long as it lives. What a killed
keeper left behind is removed by the next one to take the number.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import cache, cgroups, shell
from .errors import UnavailableError

MOST = 64
FIRST_RANGE = 128
#: The lowest number to take, for who wants to tell an own cluster from one that took its number right afterwards.
FROM_VARIABLE = "TAILRACE_CLUSTER_FROM"
#: Wider routes than this (a VPN's 10.0.0.0/8) stay in force for all but the cluster's own range.
NARROW_PREFIX = 12


def root() -> Path:
    """The folder of all clusters of this user: on disk, with a short path (sockets lie in it)."""
    return Path(os.environ.get("TAILRACE_CLUSTER_DIR") or usual_root())


def usual_root() -> Path:
    """The folder of who names none."""
    return Path(f"/var/tmp/tailrace-cluster-{os.getuid()}")


def scope() -> str:
    """What tells clusters in another folder from those of the same numbers in the usual one: the machine sees both."""
    return "" if root() == usual_root() else cache.key(str(root()))[:4]


@dataclass(frozen=True)
class Instance:
    """A cluster's number and what follows from it. Addresses: 10.(128 + number).0.0/16, divided below."""

    number: int

    @property
    def folder(self) -> Path:
        return root() / str(self.number)

    @property
    def lock(self) -> Path:
        return root() / f"{self.number}.lock"

    @property
    def interface(self) -> str:
        return f"tailrace{scope()}{self.number}"

    @property
    def cgroup_prefix(self) -> str:
        return f"tailrace-{os.getuid()}{scope()}-{self.number}-"

    @property
    def net(self) -> str:
        return f"10.{FIRST_RANGE + self.number}"

    @property
    def range(self) -> str:
        return f"{self.net}.0.0/16"

    @property
    def host_address(self) -> str:
        return f"{self.net}.0.1"

    @property
    def control_address(self) -> str:
        return f"{self.net}.0.2"

    @property
    def pods_range(self) -> str:
        return f"{self.net}.16.0/20"

    @property
    def services_range(self) -> str:
        return f"{self.net}.32.0/20"

    @property
    def dns_address(self) -> str:
        return f"{self.net}.32.10"

    def node_address(self, index: int) -> str:
        return f"{self.net}.0.{10 + index}"

    def node_pods(self, index: int) -> str:
        return f"{self.net}.{16 + index}.0/24"

    def remove_leftovers(self) -> None:
        """Remove what a cluster of this number left; its processes are gone, and its mounts with them.

        The kernel keeps a network namespace until its last connection has timed out, but without a way into it.
        """
        if Path("/sys/class/net", self.interface).exists():
            shell.run(["ip", "link", "delete", self.interface], check=False)
        cgroups.remove(self.cgroup_prefix)
        # A node's disk may hold a hundred thousand files: Python takes three times as long to remove them.
        shell.run(["rm", "-rf", self.folder])


def take(*, network: bool) -> tuple[Instance, int]:
    """A free number and the descriptor of its lock, to be handed to the keeper; `network`: its addresses are free."""
    for number in range(int(os.environ.get(FROM_VARIABLE, "0")), MOST):
        instance = Instance(number)
        descriptor = try_lock(instance.lock)
        if descriptor is None:
            continue
        if network and not is_free(instance.range):
            release(instance, descriptor)
            continue
        instance.remove_leftovers()
        instance.folder.mkdir()
        return instance, descriptor
    raise UnavailableError(f"all {MOST} cluster numbers are taken or their addresses are in use: see {root()}")


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock, or None; the file must still be the one of that name when the lock is ours."""
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def open_lock(path: Path) -> int:
    """The lock's file, made if need be; its folder may go at any moment with the last cluster that was."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def release(instance: Instance, descriptor: int) -> None:
    """Give a number back, and leave no file of it; the folder of all goes with the last one."""
    instance.lock.unlink(missing_ok=True)
    os.close(descriptor)
    try:
        root().rmdir()
    except OSError:
        return


def running() -> Iterator[Instance]:
    """The numbers whose lock is held: their clusters run, or are being started or stopped."""
    for path in sorted(root().glob("*.lock")):
        if is_locked(path):
            yield Instance(int(path.stem))


def is_locked(path: Path) -> bool:
    """Whether somebody holds a lock; asks without taking it from anybody."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def is_free(network: str) -> bool:
    """Whether no address and no narrow route of this machine lies in the range."""
    wanted = ipaddress.ip_network(network)
    routes = json.loads(shell.output(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    ranges = [ipaddress.ip_network(route["dst"]) for route in routes if route.get("dst", "default") != "default"]
    return not any(other.overlaps(wanted) for other in ranges if other.prefixlen >= NARROW_PREFIX)
