"""One look at a StreamingModel: bring about what it asks for, and say how it stands."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from tailrace_protocol.subjects import ModelKey

from tailrace_operator.apply.kubernetes import KubernetesApi
from tailrace_operator.conditions import (
    BrokerView,
    FetchView,
    GatewayLink,
    GatewayView,
    ModelView,
    PodView,
    WorkloadView,
    model_verdicts,
)
from tailrace_operator.controller import fetching
from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.controller.departures import Departures
from tailrace_operator.controller.executor import Executor, Outcome
from tailrace_operator.controller.finalizer import FINALIZER, Finalizer
from tailrace_operator.controller.loads import Loads
from tailrace_operator.controller.pods import Pods, again_s, soonest
from tailrace_operator.controller.progress import Progress
from tailrace_operator.controller.reporting import Reporter
from tailrace_operator.controller.scaler import Scaler
from tailrace_operator.controller.secret_troubles import SecretTroubles
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Plan, Ref, in_use, plan, versioned
from tailrace_operator.render import Manifest, Rendered, RenderSettings, beyond_limits, render
from tailrace_operator.resources import DEFAULT_GATEWAY, StreamingModel
from tailrace_operator.resources.complaints import complaints, spelled

log = logging.getLogger("tailrace.operator.models")

PAUSED = "tailrace.dev/paused"
#: What stands in the way may go without a word to us: a foreign object, a quota, a limit of the broker's.
LOOK_AGAIN_S = 15.0
_FETCH_POD = "tailrace-fetch"


@dataclass(frozen=True, slots=True)
class Tools:
    """What a look needs."""

    api: KubernetesApi
    world: World
    broker: BrokerLink
    executor: Executor
    reporter: Reporter
    finalizer: Finalizer
    loads: Loads
    progress: Progress
    pods: Pods
    secrets: SecretTroubles
    departures: Departures
    rendering: RenderSettings
    scaler: Scaler


class ModelReconciler:
    """Looks at models; it remembers nothing between two looks."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def reconcile(self, key: Key) -> float | None:
        """One look; returns after how many seconds to look again. Raises what should make it be repeated soon."""
        resource = self._tools.world.resource(key)
        if resource is None:
            self._tools.progress.forget(key)
            self._tools.departures.forget(key)
            self._tools.scaler.forget(key)
            self._tools.reporter.forget(key.kind, key.namespace, key.name)
            await self._tools.finalizer.clean_up(ModelKey(key.namespace, key.name))
            return None
        if "deletionTimestamp" in resource["metadata"]:
            await self._tools.finalizer.let_go(resource)
            self._tools.world.drop(Ref.of(resource))  # If others still hold it, the watch tells of it again.
            return None
        if await self._departs(key, resource):
            await self._tools.finalizer.forsake(resource)
            return None
        try:
            model = parse(resource)
        except ValidationError as error:
            wrong = [f"{spelled(path)} {sentence}" for path, sentence in complaints(error)]
            return await self._refuse(key, resource, wrong)
        if wrong := beyond_limits(model, self._tools.rendering):
            return await self._refuse(key, resource, wrong)
        return await self._bring_about(key, resource, model)

    async def _departs(self, key: Key, resource: Manifest) -> bool:
        """Whether all of the namespace is being deleted."""
        gateway = Key("StreamingGateway", key.namespace, gateway_name(resource))
        pods = (*self._tools.world.pods(key), *self._tools.world.pods(gateway))
        return await self._tools.departures.include(key, pods)

    async def _refuse(self, key: Key, resource: Manifest, wrong: list[str]) -> float | None:
        """Say what is wrong with the spec; what runs goes on as it is."""
        self._tools.scaler.forget(key)
        pods, _ = await self._pods(key)
        await self._report(key, resource, ModelView(self._workers(key, None, pods), complaints=wrong))
        return again_s(pods)

    async def _bring_about(self, key: Key, resource: Manifest, model: StreamingModel) -> float | None:
        tools, paused = self._tools, is_paused(resource)
        sized = tools.scaler.left_alone if paused else tools.scaler.sized
        model = sized(key, model)
        rendered = render(model, tools.rendering)
        broker, outcome = (BrokerView(), Outcome()) if paused else await self._carry_out(key, resource, rendered)
        if not paused and not outcome.conflicts:
            tools.scaler.written(key, model.spec.replicas)
        pods, of_fetch = await self._pods(key)
        workers, fetch = self._workers(key, model.spec.replicas, pods), await self._fetch(key, rendered, of_fetch)
        self._follow(key, workers, fetch)
        view = ModelView(
            workload=workers,
            paused=paused,
            wakes=model.spec.auto is not None and not paused,
            conflicts=outcome.conflicts,
            missing_secret=tools.secrets.of(key.namespace),
            broker=broker,
            fetch=fetch,
            progress=tools.progress.of(key),
            gateway=gateway_link(tools.world, key.namespace, model.spec.gateway.name),
        )
        await self._report(key, resource, view)
        # What refuses a download's pods tells us nothing when it does so no more.
        waits = outcome.conflicts or broker.state != "ready" or (fetch.state == "running" and not of_fetch)
        return soonest(LOOK_AGAIN_S if waits else None, again_s((*pods, *of_fetch)))

    async def _carry_out(self, key: Key, resource: Manifest, rendered: Rendered) -> tuple[BrokerView, Outcome]:
        tools = self._tools
        await tools.finalizer.hold(resource)
        broker = await tools.broker.apply(ModelKey(key.namespace, key.name), rendered.broker)
        wanted = self._plan(key, resource, rendered)
        return broker, await tools.executor.carry_out(wanted, resource["metadata"]["uid"])

    def _plan(self, key: Key, resource: Manifest, rendered: Rendered) -> Plan:
        observed = self._tools.world.children(key)
        fetched = rendered.fetch is None or fetching.state(observed, rendered.fetch) == "done"
        first = [*rendered.prepare, *([rendered.fetch] if rendered.fetch else [])]
        desired = versioned([*first, *(rendered.manifests if fetched else ())])
        # Until the new model is there, the workers of the old one stay as they are, with all that they use.
        kept = in_use(observed, self._tools.world.pods(key)) if fetched else {Ref.of(o) for o in observed}
        return plan(desired, observed, resource["metadata"]["uid"], kept)

    async def _pods(self, key: Key) -> tuple[list[PodView], list[PodView]]:
        """The model's workers, and the pods of its download."""
        known, views = self._tools.world.pods(key), self._tools.pods.views
        workers = [pod for pod in known if not _is_fetch_pod(pod)]
        return await views(workers), await views(pod for pod in known if _is_fetch_pod(pod))

    def _workers(self, key: Key, wanted: int | None, pods: list[PodView]) -> WorkloadView:
        return WorkloadView.of(wanted, self._tools.world.deployment(key) or None, pods)

    async def _fetch(self, key: Key, rendered: Rendered, pods: list[PodView]) -> FetchView:
        if rendered.fetch is None:
            return FetchView()
        observed, said = self._tools.world.children(key), self._tools.progress.fetch_of(key)
        starving = None if pods else fetching.running(observed, rendered.fetch)
        refused = await self._tools.pods.complaint_about(starving) if starving else ""
        return fetching.view(observed, rendered.fetch, pods, said, refused)

    def _follow(self, key: Key, workers: WorkloadView, fetch: FetchView) -> None:
        """Listen to the pods' own words only while some are on their way."""
        if fetch.state == "running" or (workers.wanted and not workers.rolled_out):
            self._tools.progress.follow(key)
        else:
            self._tools.progress.forget(key)

    async def _report(self, key: Key, resource: Manifest, view: ModelView) -> None:
        before = resource.get("status") or {}
        streams, queued = self._tools.loads.of(key) or (before.get("streams"), before.get("queued"))
        fields: dict[str, Any] = {
            "replicas": view.workload.replicas,
            "readyReplicas": view.workload.ready,
            "selector": f"app.kubernetes.io/name=tailrace-worker,app.kubernetes.io/instance={key.name}",
            "streams": streams,
            "queued": queued,
            "scaling": size_that_holds(self._tools.scaler.told(key), view, before),
            "model": fetching.status(view.fetch, self._tools.progress.fetch_of(key), before.get("model")),
        }
        verdicts = model_verdicts(view)
        self._tools.scaler.prospects.judged(key, verdicts["Ready"])
        await self._tools.reporter.report(resource, fields, verdicts)


def parse(resource: Mapping[str, Any]) -> StreamingModel:
    """The model in an object of the API server.

    Raises:
        ValidationError: the schema on the server is another one than ours.
    """
    return StreamingModel.parse({name: value for name, value in resource.items() if name != "status"})


def is_paused(resource: Mapping[str, Any]) -> bool:
    """Whether a person asked the operator to leave the resource alone."""
    annotations = resource["metadata"].get("annotations") or {}
    return str(annotations.get(PAUSED, "")).lower() in ("true", "yes", "1")


def gateway_name(resource: Mapping[str, Any]) -> str:
    """The name of the gateway that a model asks for, as far as its spec is legible."""
    return str((resource["spec"].get("gateway") or {}).get("name", DEFAULT_GATEWAY))


def gateway_link(world: World, namespace: str, name: str) -> GatewayLink:
    """Whether the gateway called `name` serves."""
    gateway = world.resource(Key("StreamingGateway", namespace, name))
    return GatewayLink.of(name, gateway, is_made=name == DEFAULT_GATEWAY)


def size_that_holds(
    told: dict[str, Any] | None, view: ModelView | GatewayView, before: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The decision to tell in a status: where nothing is decided now, the one that was told `before`."""
    return before.get("scaling") if told is None and (view.paused or view.complaints) else told


def _is_fetch_pod(pod: Manifest) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get("app.kubernetes.io/name") == _FETCH_POD)


__all__ = ["FINALIZER", "ModelReconciler", "Tools", "gateway_link", "gateway_name", "is_paused", "parse"]
