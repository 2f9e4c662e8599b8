"""CustomResourceDefinitions of the projects that the chart has objects for, from their pinned Go modules."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml
from harness import shell
from harness.binaries import GO_REMEDY
from harness.cluster import Cluster


@dataclass(frozen=True)
class Module:
    """A Go module that carries CustomResourceDefinitions."""

    path: str
    version: str
    #: Of the module's zip file, as in a go.sum.
    digest: str
    files: tuple[str, ...]

    def definitions(self) -> list[Path]:
        """The files, downloaded through the Go module proxy unless they are in Go's cache."""
        command = [shell.program("go", GO_REMEDY), "mod", "download", "-json", f"{self.path}@{self.version}"]
        found = json.loads(shell.output(command, cwd=Path(tempfile.gettempdir()), env={"GOFLAGS": "-mod=mod"}))
        assert found["Sum"] == self.digest, f"{self.path} is not what was reviewed"
        return [Path(found["Dir"]) / file for file in self.files]


MODULES = (
    Module(
        "sigs.k8s.io/gateway-api",
        "v1.4.1",
        "h1:NPxFutNkKNa8UfLd2CMlEuhIPMQgDQ6DXNKG9sHbJU8=",
        ("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",),
    ),
    Module(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.87.1",
        "h1:zjzxO10Rv3goA/GDbE3Vgf2TNhhcOp7fZbRG0Tkm3OY=",
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
            for plural in ("podmonitors", "prometheusrules", "servicemonitors")
        ),
    ),
)


def install(cluster: Cluster) -> None:
    """Let a cluster serve them all."""
    for module in MODULES:
        for definition in module.definitions():
            cluster.define(yaml.safe_load(definition.read_text()))
