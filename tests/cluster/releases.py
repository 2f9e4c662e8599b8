"""Releases of the chart on a cluster, and what they need that no registry gives here: NATS's image, its credentials."""

import json
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from harness import cache, images
from harness.cluster import Cluster
from tailrace_operator.render.accounts import nats_accounts

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "tailrace"
NATS_IMAGE = {"registry": "localhost", "repository": "tailrace-nats", "tag": "test"}
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
#: Sizes for a cluster on one machine.
SMALL = {
    "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    "jetstream": {"memoryStore": {"maxSize": "256Mi"}, "fileStore": {"pvc": {"size": "1Gi"}}},
}
SMALL_BROKER = {"payloadsMaxBytes": "256Mi"}
Values = dict[str, Any]


def nats_archive() -> Path:
    """An image that holds nothing but nats-server, as the official `scratch` one does."""
    server = Path(sys.executable).parent / "nats-server"

    def make(draft: Path) -> None:
        folder = draft / "rootfs" / "usr" / "local" / "bin"
        folder.mkdir(parents=True)
        shutil.copy(server, folder / "nats-server")
        tag = "{registry}/{repository}:{tag}".format(**NATS_IMAGE)
        images.pack(draft, tag, {"Entrypoint": ["nats-server"], "Env": ["PATH=/usr/local/bin"]})

    return cache.entry("images", f"nats-{cache.key(server)}", make) / images.FILE


@dataclass(frozen=True)
class Credentials:
    """A Secret as the operator makes it."""

    passwords: Mapping[str, str]

    @classmethod
    def new(cls) -> "Credentials":
        names = ("operator", "gateway", "worker", "advisory", "routes")
        return cls({name: secrets.token_urlsafe(24) for name in names})

    def secret(self, name: str = "tailrace-nats-auth") -> dict[str, Any]:
        accounts = json.dumps(nats_accounts(self.passwords, "TAILRACE"))[1:-1]
        data = {**self.passwords, "auth.conf": accounts}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


@dataclass(frozen=True)
class Release:
    """A release in a namespace."""

    cluster: Cluster
    namespace: str
    name: str = "tailrace"

    def install(self, values: Values, *arguments: str) -> str:
        return self._with(values, "install", self.name, str(CHART), *arguments)

    def upgrade(self, values: Values, *arguments: str) -> str:
        return self._with(values, "upgrade", self.name, str(CHART), *arguments)

    def rollback(self, revision: int, *arguments: str) -> str:
        return self.helm("rollback", self.name, str(revision), *arguments)

    def test(self) -> str:
        return self.helm("test", self.name, "--logs", "--timeout=150s")

    def uninstall(self) -> str:
        return self.helm("uninstall", self.name, "--wait", "--timeout=150s")

    def helm(self, *arguments: str) -> str:
        return self.cluster.helm(*arguments, "--namespace", self.namespace)

    def _with(self, values: Values, *arguments: str) -> str:
        file = self.cluster.work / f"{self.namespace}-values.yaml"
        file.write_text(yaml.safe_dump(values))
        return self.helm(*arguments, f"--values={file}")

    def pods(self, component: str) -> list[dict[str, Any]]:
        chosen = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        return self.cluster.objects("pods", self.namespace, chosen)

    def state(self) -> str:
        """What helps to understand a failure; the namespace is gone when the cluster's own logs are kept."""
        described = self.cluster.kubectl("describe", "pods", "-n", self.namespace, check=False)
        logs = [self.cluster.pod_logs(pod["metadata"]["name"], self.namespace) for pod in self.pods("nats")]
        return "\n".join([described, *logs])

    def service_ip(self, name: str) -> str:
        """Where a Service is reached from this machine; only clusters of the harness's own let it in."""
        self.cluster.require_own("reaching Services from this machine")
        found = self.cluster.get("service", name, self.namespace)
        assert found is not None
        return str(found["spec"]["clusterIP"])


@contextmanager
def nats_release(cluster: Cluster, replicas: int, credentials: Credentials | None) -> Iterator[Release]:
    """The chart's NATS in a namespace that lets only restricted pods in; the operator is not run.

    Without `credentials` the Secret is not made.
    """
    cluster.load_image(nats_archive())
    with cluster.namespace("nats", RESTRICTED) as namespace:
        release = Release(cluster, namespace)
        if credentials:
            cluster.apply(credentials.secret(), namespace)
        release.install(
            {
                "crds": {"enabled": False},
                "watchNamespaces": [namespace],
                "broker": SMALL_BROKER,
                "nats": {"replicas": replicas, "image": NATS_IMAGE, "auth": {"create": False}, **SMALL},
            }
        )
        cluster.kubectl("scale", "deployment/tailrace-operator", "--replicas=0", "-n", namespace)
        try:
            yield release
        except BaseException:
            print(release.state())
            raise
