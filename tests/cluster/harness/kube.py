"""Talks to a cluster, whoever made it: kubectl and helm with the cluster's kubeconfig, and what tests do with them."""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from . import binaries, shell, watching
from .credentials import write_kubeconfig
from .watching import Object

NAMESPACE_GONE_S = 90.0
TOKEN_DURATION = "24h"


@dataclass
class Kube:
    """A cluster as its administrator sees it; `work` is a folder for kubectl's cache and derived kubeconfigs."""

    kubeconfig: Path
    work: Path
    kubectl_path: Path
    #: The namespaces that the tests made, gone or not.
    made: list[str] = field(default_factory=list, kw_only=True)

    def kubectl(self, *args: str | Path, stdin: str | None = None, check: bool = True, timeout_s: float = 120) -> str:
        """What kubectl prints; CommandError with its last words when it fails and `check` is set."""
        command = [self.kubectl_path, *args]
        return shell.output(command, stdin=stdin, check=check, env=self.environment(), timeout_s=timeout_s)

    def helm(self, *args: str | Path, check: bool = True, timeout_s: float = 300) -> str:
        """What helm prints."""
        return shell.output([binaries.path("helm"), *args], check=check, env=self.environment(), timeout_s=timeout_s)

    def environment(self) -> dict[str, str]:
        """What programs need to reach this cluster, with their caches beside it rather than in the home folder."""
        folders = {f"HELM_{kind}_HOME": str(self.work / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        return {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.work / "kube-cache"), **folders}

    def apply(self, objects: str | Object | Sequence[Object], namespace: str | None = None, *args: str) -> str:
        """Server-side apply of YAML text or objects; `args` go to kubectl (`--field-manager=…`, `--dry-run=server`)."""
        text = objects if isinstance(objects, str) else as_yaml(objects)
        return self.kubectl("apply", "--server-side", *within(namespace), *args, "-f", "-", stdin=text)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object, or None when there is none of that name."""
        printed = self.kubectl("get", kind, name, *within(namespace), "--ignore-not-found", "-o", "json")
        return dict(json.loads(printed)) if printed.strip() else None

    def objects(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Object]:
        """The objects of a kind in a namespace, or without one in the whole cluster."""
        where = within(namespace) or ["--all-namespaces"]
        chosen = [f"--selector={selector}"] if selector else []
        return list(json.loads(self.kubectl("get", kind, *where, *chosen, "-o", "json"))["items"])

    def wait(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        predicate: Callable[[Object | None], object],
        timeout_s: float = 30,
    ) -> Object | None:
        """The object once the predicate holds for it (it is given None while there is no such object).

        The object is watched, so this returns the moment it is so. WaitTimeoutError carries the object as it was last.
        """
        chosen = ["--field-selector", f"metadata.name={name}", *within(namespace)]
        command = ["get", kind, *chosen, "--watch", "--output-watch-events", "-o", "json"]
        return watching.wait(
            lambda: self.get(kind, name, namespace),
            [str(self.kubectl_path), *command],
            {**os.environ, **self.environment()},
            predicate,
            timeout_s,
            f"{kind} {namespace or ''}/{name}",
        )

    def wait_condition(
        self, kind: str, name: str, namespace: str | None, condition: str, status: str = "True", timeout_s: float = 60
    ) -> Object:
        """The object once a condition of its status has this value."""
        found = self.wait(kind, name, namespace, lambda seen: condition_of(seen, condition) == status, timeout_s)
        assert found is not None
        return found

    def wait_rollout(self, kind: str, name: str, namespace: str, timeout_s: float = 120) -> None:
        """Wait until a Deployment or StatefulSet runs its last revision alone, all replicas ready."""
        patience = f"--timeout={timeout_s:.0f}s"
        self.kubectl("rollout", "status", f"{kind}/{name}", "-n", namespace, patience, timeout_s=timeout_s + 10)

    def exec(self, pod: str, namespace: str, *command: str, check: bool = True, timeout_s: float = 60) -> str:
        """What a command prints inside a pod."""
        return self.kubectl("exec", "-n", namespace, pod, "--", *command, check=check, timeout_s=timeout_s)

    def pod_logs(self, pod: str, namespace: str, *args: str) -> str:
        """What a pod's containers have printed."""
        return self.kubectl("logs", "-n", namespace, pod, "--all-containers", *args)

    @contextmanager
    def namespace(
        self, prefix: str = "test", labels: dict[str, str] | None = None, *, wait: bool = True
    ) -> Iterator[str]:
        """A namespace of a unique name, deleted with all that is in it when the block ends.

        Kubernetes takes 5 s at the least to delete one; `wait` until it is gone, where the next test needs the room.
        """
        name = f"{prefix}-{secrets.token_hex(3)}"
        self.made.append(name)
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}})
        self.wait("serviceaccount", "default", name, bool, 120)
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
            # The namespace's own deletion of them begins after 5 s, and lets them take their time.
            self.kubectl("delete", "pods", "--all", "-n", name, "--grace-period=1", "--wait=false", check=False)
            if wait:
                self.wait("namespace", name, None, lambda seen: seen is None, NAMESPACE_GONE_S)

    def own_namespaces(self) -> list[str]:
        """Those of the tests' own that are there; only in these may anything be deleted."""
        there = {found["metadata"]["name"] for found in self.objects("namespaces")}
        return [name for name in self.made if name in there]

    def kubeconfig_for(self, service_account: str, namespace: str) -> Path:
        """A kubeconfig with which a program outside acts as this ServiceAccount, under its RBAC."""
        token = self.kubectl("create", "token", service_account, "-n", namespace, f"--duration={TOKEN_DURATION}")
        path = self.work / f"{namespace}-{service_account}.kubeconfig"
        write_kubeconfig(path, self.server(), token.strip(), namespace)
        return path

    def server(self) -> dict[str, str]:
        """How the kubeconfig in use reaches the API server: its address and how to verify it."""
        printed = self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
        return dict(json.loads(printed)["clusters"][0]["cluster"])


def within(namespace: str | None) -> list[str]:
    return ["-n", namespace] if namespace else []


def as_yaml(objects: Object | Sequence[Object]) -> str:
    return str(yaml.safe_dump_all([objects] if isinstance(objects, dict) else list(objects)))


def condition_of(seen: Object | None, condition: str) -> str | None:
    """A condition's status, if the object is there and has it."""
    conditions = ((seen or {}).get("status") or {}).get("conditions") or []
    return next((str(item["status"]) for item in conditions if item["type"] == condition), None)
