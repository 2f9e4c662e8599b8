"""The real operator as a process outside the cluster, under its own ServiceAccount's rights, with a real NATS server.

The rights are those that the chart gives it: what the chart forgets, these tests find.
"""

import asyncio
import base64
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx
import nats
import yaml
from harness.cluster import Cluster
from harness.errors import CommandError
from nats.aio.client import Client
from nats.js import JetStreamContext
from tailrace_operator.local.broker import free_port

WORKSPACE_ROOT = Path(__file__).parents[2]
RELEASE = "tailrace"
_RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
#: What Ready says once the workers are asked for: nobody runs them here, or nodes that have no image of them.
ASKED_FOR = ("WorkersStarting", "ImagePullFailed")
Answer = TypeVar("Answer")
_BIN = Path(sys.executable).parent


def eventually(holds: Callable[[], object], within_s: float = 30, what: str = "") -> None:
    """Wait until `holds` returns something true; its last answer is in the failure."""
    deadline, last = time.monotonic() + within_s, None
    while time.monotonic() < deadline:
        last = holds()
        if last:
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {within_s} s: {what or holds.__name__}; last answer: {last!r}")


def stays(holds: Callable[[], object], for_s: float, what: str) -> None:
    """Assert that `holds` is true now and for the next seconds."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        assert holds(), what
        time.sleep(0.1)


@dataclass
class Nats:
    """A nats-server on the loopback, with the accounts that the operator put into its Secret."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self, accounts: str | None = None) -> None:
        """Start it, or start it again; `accounts` is what the Secret's auth.conf holds."""
        if accounts is not None:
            (self.folder / "auth.conf").write_text(accounts)
        (self.folder / "nats.conf").write_text(
            f"listen: 127.0.0.1:{self.port}\n"
            f"jetstream {{ store_dir: {self.folder / 'store'}, max_memory_store: 4TB, max_file_store: 4TB }}\n"
            'include ./auth.conf\nping_interval: "2s"\nping_max: 2\n'
        )
        command = [_BIN / "nats-server", "-c", self.folder / "nats.conf"]
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self._listens, what="nats-server listens")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass
class Operator:
    """The operator's process; `settings` go into its file."""

    folder: Path
    kubeconfig: Path
    namespace: str
    settings: dict[str, object]
    process: subprocess.Popen[bytes] | None = None
    health_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)

    @property
    def log(self) -> str:
        return (self.folder / "operator.log").read_text()

    def start(self) -> None:
        file = self.folder / "operator.yaml"
        ports = {"healthPort": self.health_port, "metricsPort": self.metrics_port}
        file.write_text(yaml.safe_dump({"log": {"format": "text"}, **self.settings, **ports}))
        environment = {"KUBECONFIG": str(self.kubeconfig), "POD_NAMESPACE": self.namespace, "PATH": os.environ["PATH"]}
        # Killed, it leaves its password where it had it, as a pod does in its /tmp.
        environment["TMPDIR"] = str(self.folder)
        command = [sys.executable, "-m", "tailrace_operator.controller", "--settings", str(file)]
        with (self.folder / "operator.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=WORKSPACE_ROOT)

    def wait_started(self) -> None:
        eventually(lambda: self.metric("tailrace_operator_reconciles_total") is not None, what="the operator serves")
        eventually(lambda: "operator.started" in self.log, what="the operator has listed everything")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def metric(self, name: str, **labels: str) -> float | None:
        """The sum over all series of a metric that have these labels; `None` while the operator does not answer."""
        lines = self._lines(name, labels)
        return None if lines is None else sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def series(self, name: str, **labels: str) -> int:
        """How many series of a metric have these labels."""
        return len(self._lines(name, labels) or [])

    def _lines(self, name: str, labels: dict[str, str]) -> list[str] | None:
        try:
            text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5).text
        except httpx.HTTPError:
            return None
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in text.splitlines() if re.match(rf"{name}(\{{| )", line)]
        return [line for line in lines if all(label in line for label in wanted)]

    def writes(self) -> float:
        """Requests so far that are not reads."""
        total = self.metric("tailrace_operator_api_requests_total")
        assert total is not None
        return total - (self.metric("tailrace_operator_api_requests_total", verb="get") or 0)


@dataclass
class Stack:
    """Cluster, broker and operator."""

    cluster: Cluster
    nats: Nats
    operator: Operator
    namespace: str

    def auth_conf(self) -> str:
        found = self.cluster.get("secret", "tailrace-nats-auth", self.namespace)
        return base64.b64decode(found["data"]["auth.conf"]).decode() if found else ""

    def start_nats(self) -> None:
        eventually(self.auth_conf, what="the operator has made the Secret tailrace-nats-auth")
        self.nats.start(self.auth_conf())

    def condition(self, kind: str, name: str, namespace: str, condition: str) -> dict[str, object]:
        found = self.cluster.get(kind, name, namespace) or {}
        conditions = (found.get("status") or {}).get("conditions") or []
        return next((item for item in conditions if item["type"] == condition), {})

    def wait_reason(self, name: str, namespace: str, condition: str, *reasons: str, within_s: float = 30) -> str:
        """Wait until a model's condition has one of the reasons; its message."""
        seen: dict[str, object] = {}

        def has() -> bool:
            seen.update(self.condition("streamingmodel", name, namespace, condition))
            return seen.get("reason") in reasons

        eventually(has, within_s, f"{condition} of {name} is {' or '.join(reasons)}, not {seen}")
        return str(seen["message"])

    def events(self, namespace: str) -> list[dict[str, object]]:
        return self.cluster.objects("events", namespace)


def broker_streams(stack: Stack) -> set[str]:
    """The names of all streams on the broker."""
    return asyncio.run(_at_broker(stack, _stream_names))


def delete_streams(stack: Stack, names: Iterable[str]) -> None:
    """Delete streams behind the operator's back."""

    async def delete(jetstream: JetStreamContext) -> None:
        for name in names:
            await jetstream.delete_stream(name)

    asyncio.run(_at_broker(stack, delete))


async def _stream_names(jetstream: JetStreamContext) -> set[str]:
    return {str(stream.config.name) for stream in await jetstream.streams_info()}


async def _at_broker(stack: Stack, ask: Callable[[JetStreamContext], Awaitable[Answer]]) -> Answer:
    async with broker_client(stack) as client:
        return await ask(client.jetstream())


@asynccontextmanager
async def broker_client(stack: Stack) -> AsyncIterator[Client]:
    """A connection to the broker with the operator's password."""
    secret = stack.cluster.get("secret", "tailrace-nats-auth", stack.namespace)
    assert secret
    password = base64.b64decode(secret["data"]["operator"]).decode()
    client = await nats.connect(stack.nats.url, user="operator", password=password)
    try:
        yield client
    finally:
        await client.close()


def rights(cluster: Cluster, namespace: str, watched: Sequence[str] = ()) -> list[dict[str, object]]:
    """What the chart gives the operator to be allowed: its ServiceAccount, roles and bindings.

    Those of the whole cluster have names of their own, which no installation there bears.
    """
    chart = WORKSPACE_ROOT / "charts" / "tailrace"
    chosen = ["--set", "watchNamespaces={" + ",".join(watched) + "}"] if watched else []
    rendered = cluster.helm("template", RELEASE, chart, "--namespace", namespace, *chosen)
    found = [item for item in yaml.safe_load_all(rendered) if item and item["kind"] in _RIGHTS]
    for item in found:
        if item["kind"].startswith("Cluster"):
            for named in (item["metadata"], item.get("roleRef", {})):
                named["name"] = f"{namespace}-{named.get('name')}"
    return found


def install_crds(cluster: Cluster) -> None:
    for file in sorted((WORKSPACE_ROOT / "crds").glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        cluster.define(definition)
        name = definition["metadata"]["name"]
        eventually(lambda name=name: _is_served(cluster, name), what=f"{name} are served")


def _is_served(cluster: Cluster, plural: str) -> bool:
    """A new schema takes a moment during which the API server refuses to list."""
    try:
        cluster.kubectl("get", plural, "-A")
    except CommandError:
        return False
    return True


@contextmanager
def operator_stack(
    cluster: Cluster, folder: Path, *, watched: Sequence[str] = (), **settings: object
) -> Iterator[Stack]:
    """A running stack in a namespace of its own; `settings` are the operator's."""
    install_crds(cluster)
    with cluster.namespace("tailrace") as namespace:
        allowed = rights(cluster, namespace, watched)
        for found in allowed:
            cluster.apply(found)
        account = next(found["metadata"]["name"] for found in allowed if found["kind"] == "ServiceAccount")
        nats = Nats(folder)
        defaults = {"nats": {"servers": [nats.url]}, "watchNamespaces": list(watched)}
        kubeconfig = cluster.kubeconfig_for(account, namespace)
        operator = Operator(folder, kubeconfig, namespace, {**defaults, **settings})
        stack = Stack(cluster, nats, operator, namespace)
        try:
            operator.start()
            stack.start_nats()
            operator.wait_started()
            yield stack
        finally:
            operator.kill()
            nats.stop()
            for found in allowed:
                cluster.kubectl("delete", found["kind"], found["metadata"]["name"], "-n", namespace, check=False)


def simulated(name: str, **spec: object) -> dict[str, object]:
    """A model without a model."""
    return {
        "apiVersion": "tailrace.dev/v1alpha1",
        "kind": "StreamingModel",
        "metadata": {"name": name},
        "spec": {"engine": {"simulated": {}}, "replay": {"maxBytes": "16Mi"}, **spec},
    }


def settle(stack: Stack, name: str, namespace: str, within_s: float = 30) -> None:
    """Wait until a model's workers and its gateway are asked for, and its status says so."""
    stack.wait_reason(name, namespace, "Ready", *ASKED_FOR, within_s=within_s)
    stack.cluster.wait("service", "tailrace-gateway", namespace, bool)


def quiet(stack: Stack) -> bool:
    """Whether the operator asks the API server nothing for a while."""
    before = stack.operator.metric("tailrace_operator_api_requests_total")
    time.sleep(1.5)
    return stack.operator.metric("tailrace_operator_api_requests_total") == before


def looks_and_writes_nothing(stack: Stack, namespace: str) -> bool:
    """Whether the operator looks five times at what was touched in a namespace, and writes nothing."""
    eventually(lambda: quiet(stack), 30, "the operator settles")
    before, looks = stack.operator.writes(), stack.operator.metric("tailrace_operator_reconciles_total") or 0
    for value in range(5):
        touched = f"example.com/touched={value}-{time.monotonic()}"
        for kind in ("sm", "sg"):
            stack.cluster.kubectl("annotate", kind, "--all", "-n", namespace, touched, "--overwrite")
    eventually(
        lambda: (stack.operator.metric("tailrace_operator_reconciles_total") or 0) >= looks + 5, 10, "it looked again"
    )
    eventually(lambda: quiet(stack), 10, "the operator settles")
    return stack.operator.writes() == before


def unique(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(2)}"


def passing_namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for one test. Nobody waits for its end: the namespace controller takes ten seconds for it."""
    with cluster.namespace("models", wait=False) as name:
        yield name
