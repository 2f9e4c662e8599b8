"""The edge around `decide_gateways`: hears what gateways report, and says how many of them there are to be."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from tailrace_broker.inbound import read
from tailrace_protocol import subjects
from tailrace_protocol.reports import GatewayReport, decode_gateway_report

from tailrace_operator.apply.kubernetes import KubernetesApi
from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.controller.deletion_cost import GOES_FIRST, goes_first, set_cost
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.sizing import last_decision, told
from tailrace_operator.controller.world import Key, World
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.resources import StreamingGateway
from tailrace_operator.resources.gateway import GatewayScaling
from tailrace_operator.scaling import GatewayDecision, GatewayLoad, GatewayPolicy, GatewayState, decide_gateways

log = logging.getLogger("tailrace.operator.gateways")

_EVERY_S = 2.0
#: A pod that was to be removed and is not going after this is not going to.
_REMOVED_WITHIN_S = 15.0


@dataclass
class _Sizing:
    state: GatewayState
    policy: GatewayPolicy
    reason: str
    since: datetime
    chosen_at: float = -_REMOVED_WITHIN_S


class GatewayScaler:
    """The sizes of all gateways in mode Auto."""

    def __init__(
        self,
        api: KubernetesApi,
        broker: BrokerLink,
        world: World,
        journal: Journal,
        wake: Callable[[Key], None],
    ) -> None:
        self._api = api
        self._broker = broker
        self._world = world
        self._journal = journal
        self._wake = wake
        self._sizings: dict[Key, _Sizing] = {}
        self._heard: dict[str, tuple[float, GatewayReport]] = {}
        self._client: Client | None = None

    def sized(self, key: Key, gateway: StreamingGateway) -> StreamingGateway:
        """The gateway with as many pods as it is to have now."""
        scaling = gateway.spec.auto
        if scaling is None:
            self.forget(key)
            return gateway
        policy = _policy_of(scaling)
        if key not in self._sizings:
            state = GatewayState(self._found(key, policy.min_gateways), time.monotonic())
            self._sizings[key] = _Sizing(state, policy, *last_decision(self._world.resource(key), state.size))
        sizing = self._sizings[key]
        sizing.policy = policy
        bounded = min(max(sizing.state.size, policy.min_gateways), policy.max_gateways)
        if bounded != sizing.state.size:  # What an admin edits holds without a look at the load.
            sizing.state = replace(sizing.state, size=bounded)
            sizing.reason = f"between {policy.min_gateways} and {policy.max_gateways} are allowed"
            sizing.since = datetime.now(UTC)
        return gateway.with_gateways(bounded)

    def left_alone(self, key: Key, gateway: StreamingGateway) -> StreamingGateway:
        """The gateway with as many pods as it has: a person asked to leave it as it is."""
        self.forget(key)
        return gateway.with_gateways(self._found(key, gateway.spec.replicas))

    def _found(self, key: Key, otherwise: int) -> int:
        return int(self._world.deployment(key).get("spec", {}).get("replicas", otherwise))

    def forget(self, key: Key) -> None:
        """The gateway is gone, or nothing is to be decided about it now."""
        self._sizings.pop(key, None)

    def told(self, key: Key) -> dict[str, Any] | None:
        """The last decision, for the gateway's status."""
        sizing = self._sizings.get(key)
        return told(sizing.state.size, sizing.reason, sizing.since) if sizing is not None else None

    async def run(self) -> None:
        """Look every other second until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._round(time.monotonic())
            except (NatsError, TimeoutError) as error:
                log.warning("gateways.round_lost error=%s", type(error).__name__)

    async def _round(self, now: float) -> None:
        client = self._broker.client
        if client is None or not self._sizings:
            return
        if client is not self._client:
            await client.subscribe(subjects.ALL_GATEWAY_REPORTS, cb=self._on_report)
            self._client = client
            return  # Nobody has been heard yet.
        self._heard = {name: heard for name, heard in self._heard.items() if heard[0] > now}
        for key, sizing in list(self._sizings.items()):
            try:
                await self._decide(key, sizing, now)
            except Exception:  # A bug that one gateway brings about must not end the others' rounds.
                log.exception("gateways.broken key=%s", key)

    async def _on_report(self, message: Msg) -> None:
        if (report := read(decode_gateway_report, message)) is not None:
            self._heard[report.gateway] = (time.monotonic() + report.lease_s, report)

    async def _decide(self, key: Key, sizing: _Sizing, now: float) -> None:
        reports = [r for _, r in self._heard.values() if (r.namespace, r.name) == (key.namespace, key.name)]
        pods = _there(self._world.pods(key))
        loads = [GatewayLoad(r.connections + r.idle, r.cpu, leaves=r.pod not in pods) for r in reports]
        before = sizing.state.size
        decision = decide_gateways(now, loads, len(pods), sizing.state, sizing.policy)
        if decision.size < before and self._drains(key):
            return  # One round of leaving at a time: what drains still carries clients.
        sizing.state = decision.state
        if now - sizing.chosen_at > _REMOVED_WITHIN_S:
            await self._keep_all(pods)
        if decision.size == before:
            return
        if decision.size < before:
            await self._choose(pods, reports, before - decision.size)
            sizing.chosen_at = now
        await self._tell(key, sizing, before, decision)

    async def _tell(self, key: Key, sizing: _Sizing, before: int, decision: GatewayDecision) -> None:
        sizing.reason, sizing.since = decision.reason, datetime.now(UTC)
        log.info("gateways.decided key=%s from=%d to=%d reason=%s", key, before, decision.size, decision.reason)
        self._wake(key)
        if (resource := self._world.resource(key)) is not None:
            reason = "ScaledUp" if decision.size > before else "ScaledDown"
            text = f"from {before} to {decision.size} gateways: {decision.reason}"
            await self._journal.tell(resource, "Normal", reason, text)

    async def _choose(self, pods: Mapping[str, Manifest], reports: list[GatewayReport], count: int) -> None:
        """Those with the fewest connections go."""
        known = sorted((r for r in reports if r.pod in pods), key=lambda r: (r.connections, r.idle, r.pod))
        for report in known[:count]:
            await set_cost(self._api, pods[report.pod], GOES_FIRST)

    async def _keep_all(self, pods: Mapping[str, Manifest]) -> None:
        """Others went in the place of these, or an operator before this one chose them."""
        for pod in pods.values():
            if goes_first(pod):
                await set_cost(self._api, pod, None)

    def _drains(self, key: Key) -> bool:
        return any("deletionTimestamp" in pod["metadata"] for pod in self._world.pods(key))


def _there(pods: Iterable[Manifest]) -> dict[str, Manifest]:
    """By name, those whose program runs, and is not told to stop."""
    running = (pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running")
    return {pod["metadata"]["name"]: pod for pod in running if "deletionTimestamp" not in pod["metadata"]}


def _policy_of(scaling: GatewayScaling) -> GatewayPolicy:
    return GatewayPolicy(
        min_gateways=scaling.min_replicas,
        max_gateways=scaling.max_replicas,
        connections=scaling.target_connections,
        cpu=float(scaling.target_cpu.value),
        down_delay_s=scaling.scale_down_delay.seconds,
    )
