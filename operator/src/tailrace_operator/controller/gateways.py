"""One look at a StreamingGateway: bring about what it asks for, and say how it stands and where it is reached."""

from typing import Any

from pydantic import ValidationError

from tailrace_operator.conditions import GatewayView, WorkloadView, gateway_verdicts
from tailrace_operator.controller.executor import Executor, Outcome
from tailrace_operator.controller.gateway_scaler import GatewayScaler
from tailrace_operator.controller.models import LOOK_AGAIN_S, is_paused, size_that_holds
from tailrace_operator.controller.pods import Pods, again_s, soonest
from tailrace_operator.controller.reporting import Reporter
from tailrace_operator.controller.secret_troubles import SecretTroubles
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Plan, in_use, plan, versioned
from tailrace_operator.render import Manifest, RenderSettings, render_gateway
from tailrace_operator.resources import StreamingGateway
from tailrace_operator.resources.complaints import complaints, spelled


class GatewayReconciler:
    """Looks at gateways; it remembers nothing between two looks."""

    def __init__(
        self,
        world: World,
        executor: Executor,
        reporter: Reporter,
        pods: Pods,
        secrets: SecretTroubles,
        rendering: RenderSettings,
        scaler: GatewayScaler,
    ) -> None:
        self._scaler = scaler
        self._world = world
        self._executor = executor
        self._reporter = reporter
        self._pods = pods
        self._secrets = secrets
        self._rendering = rendering

    async def reconcile(self, key: Key) -> float | None:
        """One look; returns after how many seconds to look again. Raises what should make it be repeated soon."""
        resource = self._world.resource(key)
        if resource is None:
            self._reporter.forget(key.kind, key.namespace, key.name)
            self._scaler.forget(key)
            return None
        if "deletionTimestamp" in resource["metadata"]:
            return None  # Its children go with it; it holds nothing outside the cluster.
        try:
            gateway = StreamingGateway.parse({name: part for name, part in resource.items() if name != "status"})
        except ValidationError as error:
            wrong = [f"{spelled(path)} {sentence}" for path, sentence in complaints(error)]
            self._scaler.forget(key)
            workload = await self._workload(key, None)
            await self._report(key, resource, GatewayView(workload, complaints=wrong))
            return again_s(workload.pods)
        return await self._bring_about(key, resource, gateway)

    async def _bring_about(self, key: Key, resource: Manifest, gateway: StreamingGateway) -> float | None:
        paused, outcome = is_paused(resource), Outcome()
        sized = self._scaler.left_alone if paused else self._scaler.sized
        gateway = sized(key, gateway)
        if not paused:
            outcome = await self._executor.carry_out(self._plan(key, resource, gateway), resource["metadata"]["uid"])
        workload = await self._workload(key, gateway.spec.replicas)
        view = GatewayView(
            workload,
            paused,
            conflicts=outcome.conflicts,
            missing_secret=self._secrets.of(key.namespace),
            address_trouble=self._address(key)[1],
        )
        await self._report(key, resource, view)
        return soonest(LOOK_AGAIN_S if outcome.conflicts else None, again_s(workload.pods))

    def _plan(self, key: Key, resource: Manifest, gateway: StreamingGateway) -> Plan:
        observed = self._world.children(key)
        desired = versioned(render_gateway(gateway, (), self._rendering))
        return plan(desired, observed, resource["metadata"]["uid"], in_use(observed, self._world.pods(key)))

    async def _workload(self, key: Key, wanted: int | None) -> WorkloadView:
        return WorkloadView.of(
            wanted, self._world.deployment(key) or None, await self._pods.views(self._world.pods(key))
        )

    def _address(self, key: Key) -> tuple[str | None, str]:
        """Where clients reach it, and why they do not yet."""
        service = next((o for o in self._world.children(key) if o["kind"] == "Service"), None)
        if service is None:
            return None, ""
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        if service["spec"].get("type") != "LoadBalancer":
            return f"http://{name}.{namespace}.svc", ""
        points = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        if not points:
            return None, f"Service {name} has no address from its load balancer yet"
        return f"http://{points[0].get('hostname') or points[0].get('ip')}", ""

    async def _report(self, key: Key, resource: Manifest, view: GatewayView) -> None:
        models = sum(_asks_for(model, key.name) for _, model in self._world.resources("StreamingModel", key.namespace))
        fields: dict[str, Any] = {
            "replicas": view.workload.replicas,
            "readyReplicas": view.workload.ready,
            "selector": f"app.kubernetes.io/name=tailrace-gateway,app.kubernetes.io/instance={key.name}",
            "address": self._address(key)[0],
            "models": models,
            "scaling": size_that_holds(self._scaler.told(key), view, resource.get("status") or {}),
        }
        await self._reporter.report(resource, fields, gateway_verdicts(view))


def _asks_for(model: Manifest, gateway: str) -> bool:
    asked = (model["spec"].get("gateway") or {}).get("name", "default")
    return bool(asked == gateway and "deletionTimestamp" not in model["metadata"])
