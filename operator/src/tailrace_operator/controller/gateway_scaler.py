"""The edge around `decide_gateways`: hears what gateways report, and says how many of them there are to be."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from tailrace_operator.controller.deletion_cost import GOES_FIRST, set_cost
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.world import Key, World
from tailrace_operator.resources import StreamingGateway
from tailrace_operator.resources.gateway import GatewayScaling
from tailrace_operator.scaling import GatewayLoad, GatewayPolicy, GatewayState, decide_gateways

log = logging.getLogger("tailrace.operator.gateways")

_EVERY_S = 2.0


@dataclass
class _Sizing:
    state: GatewayState
    policy: GatewayPolicy
    reason: str
    since: datetime


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
            size = self._deployment(key).get("spec", {}).get("replicas", policy.min_gateways)
            state = GatewayState(size, time.monotonic())
            self._sizings[key] = _Sizing(state, policy, "as it was found", datetime.now(UTC))
        self._sizings[key].policy = policy
        return gateway.with_gateways(self._sizings[key].state.size)

    def forget(self, key: Key) -> None:
        """The gateway is gone, or somebody else sets its size now."""
        self._sizings.pop(key, None)

    def told(self, key: Key) -> dict[str, Any] | None:
        """The last decision, for the gateway's status."""
        sizing = self._sizings.get(key)
        if sizing is None:
            return None
        since = sizing.since.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"replicas": sizing.state.size, "reason": sizing.reason, "since": since}

    async def run(self) -> None:
        """Look every other second until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._round(time.monotonic())
            except (NatsError, TimeoutError) as error:
                log.warning("gateways.round_lost error=%s", type(error).__name__)
            except Exception:  # A bug in one round must not end all rounds.
                log.exception("gateways.broken")

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
            await self._decide(key, sizing, now)

    async def _on_report(self, message: Msg) -> None:
        if (report := read(decode_gateway_report, message)) is not None:
            self._heard[report.gateway] = (time.monotonic() + report.lease_s, report)

    async def _decide(self, key: Key, sizing: _Sizing, now: float) -> None:
        reports = [r for _, r in self._heard.values() if (r.namespace, r.name) == (key.namespace, key.name)]
        loads = [GatewayLoad(report.connections + report.idle, report.cpu) for report in reports]
        serving = int(self._deployment(key).get("status", {}).get("readyReplicas") or 0)
        before = sizing.state.size
        decision = decide_gateways(now, loads, serving, sizing.state, sizing.policy)
        if decision.size < before and self._drains(key):
            return  # One round of leaving at a time: what drains still carries clients.
        sizing.state = decision.state
        if decision.size == before:
            return
        if decision.size < before:
            await self._choose(key, reports, before - decision.size)
        sizing.reason, sizing.since = decision.reason, datetime.now(UTC)
        log.info("gateways.decided key=%s from=%d to=%d reason=%s", key, before, decision.size, decision.reason)
        self._wake(key)
        if (resource := self._world.resource(key)) is not None:
            reason = "ScaledUp" if decision.size > before else "ScaledDown"
            text = f"from {before} to {decision.size} gateways: {decision.reason}"
            await self._journal.tell(resource, "Normal", reason, text)

    async def _choose(self, key: Key, reports: list[GatewayReport], count: int) -> None:
        """Those with the fewest connections go."""
        pods = {pod["metadata"]["name"]: pod for pod in self._world.pods(key)}
        known = sorted((r for r in reports if r.pod in pods), key=lambda r: (r.connections, r.idle, r.pod))
        for report in known[:count]:
            await set_cost(self._api, pods[report.pod], GOES_FIRST)

    def _drains(self, key: Key) -> bool:
        return any("deletionTimestamp" in pod["metadata"] for pod in self._world.pods(key))

    def _deployment(self, key: Key) -> Mapping[str, Any]:
        return next((child for child in self._world.children(key) if child["kind"] == "Deployment"), {})


def _policy_of(scaling: GatewayScaling) -> GatewayPolicy:
    return GatewayPolicy(
        min_gateways=scaling.min_replicas,
        max_gateways=scaling.max_replicas,
        connections=scaling.target_connections,
        cpu=float(scaling.target_cpu.value),
        down_delay_s=scaling.scale_down_delay.seconds,
    )
