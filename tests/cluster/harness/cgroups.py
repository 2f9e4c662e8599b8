"""The control groups of a cluster's nodes: made before a kubelet starts, removed when the cluster has ended.

Version 1 has one tree per controller and version 2 a single one; machines may have both. Each node gets one group of
its own in every tree, and the kubelet makes its groups inside it, so nothing outside is touched.
"""

import os
import time
from pathlib import Path

REMOVAL_S = 10.0


def trees() -> dict[Path, str]:
    """Where the control group trees are mounted, and as which type (`cgroup` or `cgroup2`)."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    fields = [line.split() for line in lines]
    return {Path(field[1]): field[2] for field in fields if field[2] in {"cgroup", "cgroup2"}}


def create(name: str) -> None:
    """Make a group in every tree, usable at once."""
    for tree, kind in trees().items():
        if kind == "cgroup2":
            delegate(tree)
        group = tree / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if kind == "cgroup" and (group / setting).exists():
                (group / setting).write_text((tree / setting).read_text())


def delegate(tree: Path) -> None:
    """Let the groups below have the controllers that this version 2 tree has."""
    for controller in (tree / "cgroup.controllers").read_text().split():
        (tree / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(prefix: str) -> None:
    """Remove all groups whose name starts so, with what is in them; their processes must have been killed."""
    for tree in trees():
        for group in tree.glob(f"{prefix}*"):
            remove_tree(group)


def remove_tree(group: Path) -> None:
    """Remove a group from its leaves up; the kernel takes a moment to let go of killed processes."""
    for folder, _, _ in os.walk(group, topdown=False):
        deadline = time.monotonic() + REMOVAL_S
        while Path(folder).exists():
            try:
                Path(folder).rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def existing(prefix: str) -> list[Path]:
    """The groups whose name starts so."""
    return [group for tree in trees() for group in tree.glob(f"{prefix}*")]
