"""Which binaries a cluster runs: those of $KUBEBUILDER_ASSETS first (the field's usual way), and our own builds."""

import os
from pathlib import Path

from . import binaries
from .errors import UnavailableError

VARIABLE = "KUBEBUILDER_ASSETS"
API_LEVEL = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE_LEVEL = (*API_LEVEL, "kube-scheduler", "kubelet", "kube-proxy", "coredns")


def find(names: tuple[str, ...]) -> dict[str, Path]:
    """A path for each name; what has to be built is built now."""
    return {name: find_one(name) for name in names}


def find_one(name: str) -> Path:
    folder = os.environ.get(VARIABLE)
    if folder and (Path(folder) / name).is_file():
        return Path(folder).resolve() / name
    try:
        return binaries.path(name)
    except UnavailableError as error:
        place = f"{VARIABLE}={folder} holds no {name}, and to build it: " if folder else ""
        raise UnavailableError(f"{place}{error}") from error
