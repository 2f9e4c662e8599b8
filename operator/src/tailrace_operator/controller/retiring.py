"""The way down, in two phases: workers are emptied first, and taken away when nothing is left on them.

A worker that retires hands its streams over and comes back at a word, which a pod that is being deleted cannot. Which
pod a Deployment removes is said by Kubernetes' own means, its deletion cost: to delete pods ourselves would race with
the Deployment's controller, which would make another.
"""

import logging
from collections.abc import Mapping
from typing import Any

from nats.aio.client import Client
from tailrace_protocol import subjects
from tailrace_protocol.control import Retire
from tailrace_protocol.reports import WorkerReport
from tailrace_protocol.subjects import ModelKey
from tailrace_protocol.wire import encode

from tailrace_operator.apply.kubernetes import KubernetesApi
from tailrace_operator.controller import worker_pods
from tailrace_operator.controller.deletion_cost import GOES_FIRST, goes_first, set_cost
from tailrace_operator.controller.ears import Ears
from tailrace_operator.controller.sizing import Sizing
from tailrace_operator.controller.world import Key, World
from tailrace_operator.scaling import Carrier, leaving

log = logging.getLogger("tailrace.operator.retiring")

#: An operator that dies has its workers back after this, in seconds; it is renewed every second.
_LEASE_S = 4.0
#: A pod that was to be removed and is not going after this is not going to.
_REMOVED_WITHIN_S = 15.0
#: A worker that serves is heard twice a second; one that is not heard for so long has lost the broker.
_SPEAKS_WITHIN_S = 30.0


class Retiring:
    """Empties workers, and lowers `replicas` as they are empty."""

    def __init__(self, api: KubernetesApi, world: World, ears: Ears) -> None:
        self._api = api
        self._world = world
        self._ears = ears

    async def advance(self, client: Client, key: Key, sizing: Sizing, now: float) -> bool:
        """One round for one model; whether its Deployment is to have another number of workers."""
        pods = worker_pods.there(self._world.pods(key))
        await self._forget_gone(key, sizing, pods, now)
        before, surplus = sizing.replicas, sizing.replicas - sizing.size
        if surplus <= 0:
            await self._keep_all(client, key, sizing, pods)
        elif not self._is_settled(key, sizing):
            sizing.silent.clear()
            await self._take_back(client, key, sizing, keep=sizing.retiring)
        else:
            await self._empty(client, key, sizing, pods, now)
        return sizing.replicas != before

    async def _keep_all(self, client: Client, key: Key, sizing: Sizing, pods: Mapping[str, Any]) -> None:
        """Nobody goes (any more): those that were on their way out come back."""
        sizing.replicas = sizing.size
        sizing.silent.clear()
        for name in sizing.going:
            await set_cost(self._api, pods[name], None)
        sizing.going.clear()
        await self._take_back(client, key, sizing, keep=set())

    async def _empty(self, client: Client, key: Key, sizing: Sizing, pods: Mapping[str, Any], now: float) -> None:
        """Have those that are too many hand over what they carry, and take away those that carry nothing."""
        sizing.replicas -= min(sizing.replicas - sizing.size, _not_begun(pods, sizing))
        carriers, unheard = self._carriers(key, sizing, pods, now)
        chosen = [] if unheard else leaving(sizing.replicas - sizing.size, carriers, sizing.retiring)
        await self._take_back(client, key, sizing, keep={c.pod for c in chosen} | set(sizing.going))
        for carrier in chosen:
            await self._retire(client, key, sizing, carrier)
            if carrier.empty:
                await set_cost(self._api, pods[carrier.pod], GOES_FIRST)
                sizing.going[carrier.pod] = now
                sizing.replicas -= 1

    async def _forget_gone(self, key: Key, sizing: Sizing, pods: Mapping[str, Any], now: float) -> None:
        sizing.retiring &= set(pods)
        for name, asked in list(sizing.going.items()):
            if name not in pods:
                del sizing.going[name]
            elif now - asked > _REMOVED_WITHIN_S:  # Another went in its place: it is one of those that stay.
                log.info("retiring.stays key=%s pod=%s", key, name)
                del sizing.going[name]
        for name, pod in pods.items():
            if name not in sizing.going and goes_first(pod):  # Also what an operator before this one left.
                await set_cost(self._api, pod, None)

    def _is_settled(self, key: Key, sizing: Sizing) -> bool:
        """While a rollout replaces workers, it and not we decide which goes; one that is stuck replaces none."""
        deployment = self._world.deployment(key)
        if not deployment:
            return False
        status, spec = deployment.get("status") or {}, deployment["spec"]
        seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        whole = status.get("updatedReplicas", 0) == status.get("replicas", 0) == spec.get("replicas", 1)
        stuck = worker_pods.condition(deployment, "Progressing").get("reason") == "ProgressDeadlineExceeded"
        return bool(seen and (whole or stuck) and spec.get("replicas", 1) == sizing.replicas)

    def _carriers(
        self, key: Key, sizing: Sizing, pods: Mapping[str, Any], now: float
    ) -> tuple[list[Carrier], set[str]]:
        """Workers that serve, with what they say that they carry; and those that were not heard yet.

        Of one that is silent nobody knows what it carries, and while it may still speak up nobody is chosen: the one
        that can be heard may be the only one that works. Silent for long, it is cut off, and goes first.
        """
        reports = {r.pod: r for r in self._ears.of(key) if r.state in ("ready", "draining")}
        serving = {name for name, pod in pods.items() if worker_pods.is_ready(pod) and name not in sizing.going}
        sizing.silent = {name: sizing.silent.get(name, now) for name in serving - reports.keys()}
        unheard = {name for name, since in sizing.silent.items() if now - since < _SPEAKS_WITHIN_S}
        silent = [Carrier(name, "", 0, empty=True) for name in sizing.silent]
        return [*silent, *(_carrier(reports[name]) for name in serving & reports.keys())], unheard

    async def _retire(self, client: Client, key: Key, sizing: Sizing, carrier: Carrier) -> None:
        if not carrier.worker:
            return
        if carrier.pod not in sizing.retiring:
            log.info("retiring.begins key=%s pod=%s streams=%d", key, carrier.pod, carrier.streams)
            sizing.retiring.add(carrier.pod)
        await _say(client, key, carrier.worker, _LEASE_S)

    async def _take_back(self, client: Client, key: Key, sizing: Sizing, keep: set[str]) -> None:
        for report in self._ears.of(key):
            if report.pod in sizing.retiring - keep:
                log.info("retiring.ends key=%s pod=%s streams=%d", key, report.pod, report.active)
                await _say(client, key, report.worker, 0.0)
            elif report.pod in sizing.going:
                await _say(client, key, report.worker, _LEASE_S)
        sizing.retiring &= keep


async def _say(client: Client, key: Key, worker: str, lease_s: float) -> None:
    subject = subjects.worker_control(ModelKey(key.namespace, key.name), worker)
    await client.publish(subject, encode(Retire(lease_s=lease_s)))


def _carrier(report: WorkerReport) -> Carrier:
    empty = report.state == "draining" and report.active == 0
    return Carrier(report.pod, report.worker, report.active, report.oldest_s, empty)


def _not_begun(pods: Mapping[str, Any], sizing: Sizing) -> int:
    """Workers that do not serve yet, and go before all others; but not those that a rollout has beside its own."""
    unready = [name for name, pod in pods.items() if not worker_pods.is_ready(pod) and name not in sizing.going]
    return max(0, len(unready) - max(0, len(pods) - sizing.replicas - len(sizing.going)))
