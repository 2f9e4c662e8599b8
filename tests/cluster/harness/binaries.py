"""Kubernetes' own programs, etcd, Helm and CoreDNS, built from the pinned Go modules in `tests/cluster/binaries/`.

The Go module proxy is what every machine that can build Go can reach, and go.sum says that what is built is what was
reviewed. A first build takes about 15 minutes on two cores; the programs are then kept outside the checkout, one cache
entry per module, named after the hash of the module's files.
"""

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import cache, shell

MODULES_DIR = Path(__file__).resolve().parent.parent / "binaries"
SOURCES = ("go.mod", "go.sum", "main.go")
GO_REMEDY = "install Go 1.24 or newer (https://go.dev/dl); sudo drops it: sudo env PATH=$PATH …"
FIRST_TIME = "first time only: about 15 minutes for all on 2 cores"


@dataclass(frozen=True)
class Module:
    """A pinned Go module and the programs that it makes: name → Go package."""

    name: str
    programs: dict[str, str]

    @property
    def folder(self) -> Path:
        return MODULES_DIR / self.name

    @property
    def key(self) -> str:
        return cache.key(*(self.folder / source for source in SOURCES), *self.ldflags)

    @property
    def ldflags(self) -> tuple[str, ...]:
        return ("-s", "-w", *(version_flags(self.folder / "go.mod") if self.name == "kubernetes" else ()))


KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kube-proxy", "kubelet")
MODULES = (
    Module("etcd", {"etcd": "."}),
    Module("kubernetes", {name: f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES}),
    Module("coredns", {"coredns": "."}),
    Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}),
)
ALL = [name for module in MODULES for name in module.programs]


def version_flags(go_mod: Path) -> tuple[str, ...]:
    """Linker flags that tell Kubernetes its version: without them it calls itself v0.0.0-master."""
    found = re.search(r"^\s*(?:require )?k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)\b", go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{go_mod} does not require k8s.io/kubernetes")
    values = {"gitVersion": found[1], "gitMajor": found[2], "gitMinor": found[3]}
    return tuple(f"-X=k8s.io/component-base/version.{name}={value}" for name, value in values.items())


def folder(module: Module) -> Path:
    """Where a module's programs lie; builds them on first use. UnavailableError without Go."""
    return cache.entry("binaries", f"{module.name}-{module.key}", lambda draft: build(module, draft))


def path(name: str) -> Path:
    """A program's path; builds its module on first use."""
    module = next(module for module in MODULES if name in module.programs)
    return folder(module) / name


def build(module: Module, draft: Path) -> None:
    """Build a module's programs into a folder, telling which one is at work: some take minutes."""
    go = shell.program("go", GO_REMEDY)
    for name, package in module.programs.items():
        say(f"building {name} ({ALL.index(name) + 1} of {len(ALL)}), {FIRST_TIME}")
        started = time.monotonic()
        command = [go, "build", "-mod=readonly", "-buildvcs=false", "-ldflags", " ".join(module.ldflags)]
        settings = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
        shell.run([*command, "-o", draft / name, package], cwd=module.folder, env=settings, timeout_s=3600, nice=True)
        say(f"built {name} in {time.monotonic() - started:.0f} s")


def build_all() -> None:
    """Build what is not in the cache yet."""
    for module in MODULES:
        folder(module)


def say(line: str) -> None:
    """Progress goes past pytest's capture when there is a terminal to read it, and to stderr otherwise."""
    print(f"harness: {line}", file=sys.__stderr__, flush=True)
