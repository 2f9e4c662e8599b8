"""The Debian packages of nodes, image builds and alerts: checked, and installed where that is possible.

The API level needs none of them. Programs are what is checked, not packages, so that other distributions are served
by whatever brings the same programs.
"""

import os
import shutil
from collections.abc import Iterable

from . import shell
from .binaries import say
from .errors import UnavailableError

#: program → the Debian package that brings it.
NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "socat": "socat",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap"}
ALERTS = {"promtool": "prometheus"}
SBIN = "/usr/sbin:/sbin"


def require(*groups: dict[str, str]) -> None:
    """See to it that the programs are there; UnavailableError says what to install where this cannot be done here."""
    packages = missing(groups)
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise UnavailableError(f"programs are missing; as root: apt-get install --no-install-recommends {packages}")
    install(packages.split())
    if missing(groups):
        raise UnavailableError(f"{missing(groups)} still missing after apt-get install")


def missing(groups: Iterable[dict[str, str]]) -> str:
    """The packages whose programs are not on this machine, separated by spaces."""
    where = f"{os.environ.get('PATH', os.defpath)}:{SBIN}"
    wanted = {package for group in groups for name, package in group.items() if not shutil.which(name, path=where)}
    return " ".join(sorted(wanted))


def install(packages: list[str]) -> None:
    """Install packages without what they recommend: containerd would bring services that nobody starts."""
    say(f"installing {' '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    shell.run(["apt-get", "update"], env=quiet)
    shell.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], env=quiet)
