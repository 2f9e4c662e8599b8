"""One look at a gateway: all parts together, with an API server in memory."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tailrace_operator.controller.executor import Executor
from tailrace_operator.controller.gateway_scaler import GatewayScaler
from tailrace_operator.controller.gateways import GatewayReconciler
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.metrics import Metrics
from tailrace_operator.controller.models import LOOK_AGAIN_S, PAUSED
from tailrace_operator.controller.pods import Pods
from tailrace_operator.controller.reporting import Reporter
from tailrace_operator.controller.secret_troubles import SecretTroubles
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Ref
from tailrace_operator.render import RenderSettings

from .fake_api import FakeApi
from .objects import gateway, resource, unmounted

EDGE = Key("StreamingGateway", "default", "edge")
DEPLOYMENT = Ref("apps/v1", "Deployment", "default", "tailrace-gateway-edge")
SERVICE = Ref("v1", "Service", "default", "tailrace-gateway-edge")
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
SERVES = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}


class Bench:
    def __init__(self, *present: dict[str, Any]) -> None:
        self.api, self.world = FakeApi(*(present or [gateway("edge")])), World()
        journal = Journal(self.api, "operator-0", lambda: NOW)
        reporter = Reporter(self.api, self.world, journal, Metrics(), lambda: NOW)
        self.secrets = SecretTroubles(lambda namespace: None)
        self.reconciler = GatewayReconciler(
            self.world,
            Executor(self.api, self.world),
            reporter,
            Pods(self.api, lambda: NOW),
            self.secrets,
            RenderSettings(),
            GatewayScaler(self.api, SimpleNamespace(client=None), self.world, journal, lambda key: None),
        )

    async def look(self) -> float | None:
        for ref, known in list(self.api.objects.items()):
            if ref.kind != "Event":
                self.world.put(known)
        for ref in self.world.refs() - set(self.api.objects):
            self.world.drop(ref)
        self.api.asked.clear()
        return await self.reconciler.reconcile(EDGE)

    @property
    def status(self) -> dict[str, Any]:
        return self.api.objects[Ref.of(gateway("edge"))]["status"]

    def said(self, kind: str = "Ready") -> str:
        condition = next(c for c in self.status["conditions"] if c["type"] == kind)
        return f"{condition['status']} {condition['reason']}"

    def edit(self, ref: Ref, **changes: Any) -> None:
        self.api._store(ref, {**self.api.objects[ref], **changes})


async def test_the_first_look_makes_everything_and_the_second_nothing() -> None:
    bench = Bench()
    assert await bench.look() is None
    made = sorted(ref.kind for ref in bench.api.objects if not ref.kind.startswith("Streaming") and ref.kind != "Event")
    assert made == ["ConfigMap", "Deployment", "NetworkPolicy", "NetworkPolicy", "PodDisruptionBudget", "Service"]
    assert bench.said() == "False GatewaysStarting"
    await bench.look()
    assert bench.api.asked == []


async def test_it_says_where_it_is_reached_and_by_how_many_models() -> None:
    asks = {"engine": {"simulated": {}}, "gateway": {"name": "edge"}}
    going = {"deletionTimestamp": "2026-11-22T20:00:00Z"}
    bench = Bench(
        gateway("edge"),
        {**resource("a"), "spec": asks},
        {**resource("b", metadata=going), "spec": asks},
        resource("of-the-default-gateway"),
    )
    await bench.look()
    assert bench.status["address"] == "http://tailrace-gateway-edge.default.svc"
    assert bench.status["models"] == 1
    assert bench.status["selector"] == "app.kubernetes.io/name=tailrace-gateway,app.kubernetes.io/instance=edge"


@pytest.mark.parametrize("point", [{"ip": "203.0.113.7"}, {"hostname": "lb.example.com"}])
async def test_a_load_balancer_is_waited_for_and_then_named(point: dict[str, str]) -> None:
    bench = Bench({**gateway("edge"), "spec": {"service": {"type": "LoadBalancer"}}})
    await bench.look()
    bench.edit(DEPLOYMENT, status=SERVES)
    await bench.look()
    assert bench.said() == "False AddressPending"
    assert "address" not in bench.status
    bench.edit(SERVICE, status={"loadBalancer": {"ingress": [point]}})
    await bench.look()
    assert bench.said() == "True Serving"
    assert bench.status["address"] == f"http://{next(iter(point.values()))}"


async def test_a_service_in_the_way_is_said_and_looked_at_again() -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "tailrace-gateway-edge", "namespace": "default"},
    }
    bench = Bench(gateway("edge"), theirs)
    assert await bench.look() == LOOK_AGAIN_S
    assert bench.said() == "False Conflict"
    assert DEPLOYMENT in bench.api.objects, "the rest is made nevertheless"


@pytest.mark.parametrize(
    ("waited_s", "again_s", "said"), [(40, 20, "False GatewaysStarting"), (60, 60, "False PodNotSetUp")]
)
async def test_a_pod_without_its_volumes_is_told_when_a_minute_is_over(waited_s: int, again_s: int, said: str) -> None:
    bench = Bench(gateway("edge"), unmounted("g", NOW - timedelta(seconds=waited_s), "gateway=edge"))
    assert await bench.look() == again_s
    assert bench.said() == said


async def test_passwords_that_its_namespace_lacks_are_said() -> None:
    bench = Bench()
    bench.secrets.tell("default", "Secret x lacks the key advisory")
    await bench.look()
    assert (bench.said(), bench.said("Degraded")) == ("False SecretMissing", "True SecretMissing")
    bench.secrets.tell("default", "")
    await bench.look()
    assert bench.said() == "False GatewaysStarting"


async def test_an_invalid_spec_is_said_and_the_pods_go_on() -> None:
    bench = Bench()
    await bench.look()
    bench.edit(DEPLOYMENT, status=SERVES)
    bench.edit(Ref.of(gateway("edge")), spec={"replicsa": 3})
    await bench.look()
    assert (bench.said(), bench.said("Degraded")) == ("True Serving", "True InvalidSpec")
    (message,) = [c["message"] for c in bench.status["conditions"] if c["type"] == "Degraded"]
    assert message == "spec.replicsa is no known field; did you mean replicas?"


async def test_a_paused_gateway_is_left_alone_and_still_reported() -> None:
    bench = Bench(gateway("edge", metadata={"annotations": {PAUSED: "true"}}))
    await bench.look()
    assert DEPLOYMENT not in bench.api.objects
    assert bench.said("Progressing") == "False Paused"


async def test_one_that_goes_or_is_gone_is_left_to_the_garbage_collector() -> None:
    bench = Bench(gateway("edge", metadata={"deletionTimestamp": "2026-11-22T20:00:00Z"}))
    assert await bench.look() is None
    assert bench.api.asked == []
    bench.api.objects.clear()
    assert await bench.look() is None
    assert bench.api.asked == []


async def test_settings_that_pods_of_an_unfinished_rollout_may_mount_are_kept() -> None:
    bench = Bench()
    await bench.look()
    bench.edit(DEPLOYMENT, status={**SERVES, "replicas": 3})
    bench.edit(Ref.of(gateway("edge")), spec={"heartbeat": "5s"})
    await bench.look()
    assert sum(ref.kind == "ConfigMap" for ref in bench.api.objects) == 2
    bench.edit(DEPLOYMENT, status=SERVES)
    await bench.look()
    assert sum(ref.kind == "ConfigMap" for ref in bench.api.objects) == 1
