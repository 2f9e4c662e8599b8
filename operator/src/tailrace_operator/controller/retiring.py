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
from tailrace_operator.controller.deletion_cost import GOES_FIRST, set_cost
from tailrace_operator.controller.ears import Ears
from tailrace_operator.controller.sizing import Sizing, condition
from tailrace_operator.controller.world import Key, World
from tailrace_operator.scaling import Carrier, leaving

log = logging.getLogger("tailrace.operator.retiring")

#: An operator that dies has its workers back after this, in seconds; it is renewed every second.
_LEASE_S = 4.0
#: A pod that was to be removed and is not going after this is not going to.
_REMOVED_WITHIN_S = 15.0


class Retiring:
    """Empties workers, and lowers `replicas` as they are empty."""

    def __init__(self, api: KubernetesApi, world: World, ears: Ears) -> None:
        self._api = api
        self._world = world
        self._ears = ears

    async def advance(self, client: Client, key: Key, sizing: Sizing, now: float) -> bool:
        """One round for one model; whether its Deployment is to have another number of workers."""
        pods = {pod["metadata"]["name"]: pod for pod in self._world.pods(key) if _is_there(pod)}
        await self._forget_gone(key, sizing, pods, now)
        before, surplus = sizing.replicas, sizing.replicas - sizing.size
        if surplus <= 0 or not self._is_settled(key, sizing):
            await self._take_back(client, key, sizing, keep=set() if surplus <= 0 else sizing.retiring)
            sizing.replicas = max(sizing.size, sizing.replicas if surplus > 0 else 0)
            return sizing.replicas != before
        unready = [name for name, pod in pods.items() if not _is_ready(pod) and name not in sizing.going]
        sizing.replicas -= min(surplus, len(unready))
        carriers = [c for c in self._carriers(key, pods) if c.pod not in sizing.going]
        chosen = leaving(sizing.replicas - sizing.size, carriers, sizing.retiring)
        await self._take_back(client, key, sizing, keep={c.pod for c in chosen} | set(sizing.going))
        for carrier in chosen:
            await self._retire(client, key, sizing, carrier)
            if carrier.empty:
                await set_cost(self._api, pods[carrier.pod], GOES_FIRST)
                sizing.going[carrier.pod] = now
                sizing.replicas -= 1
        return sizing.replicas != before

    async def _forget_gone(self, key: Key, sizing: Sizing, pods: Mapping[str, Any], now: float) -> None:
        sizing.retiring &= set(pods)
        for name, asked in list(sizing.going.items()):
            if name not in pods:
                del sizing.going[name]
            elif now - asked > _REMOVED_WITHIN_S:  # Another went in its place: it is one of those that stay.
                log.info("retiring.stays key=%s pod=%s", key, name)
                del sizing.going[name]
                await set_cost(self._api, pods[name], None)

    def _is_settled(self, key: Key, sizing: Sizing) -> bool:
        """While a rollout replaces workers, it and not we decide which goes."""
        deployment = next((child for child in self._world.children(key) if child["kind"] == "Deployment"), None)
        if deployment is None:
            return False
        status, spec = deployment.get("status") or {}, deployment["spec"]
        seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        whole = status.get("updatedReplicas", 0) == status.get("replicas", 0) == spec.get("replicas", 1)
        return bool(seen and whole and spec.get("replicas", 1) == sizing.replicas)

    def _carriers(self, key: Key, pods: Mapping[str, Any]) -> list[Carrier]:
        """Workers that serve and say so; of one that is silent nobody knows what it carries."""
        reports = [r for r in self._ears.of(key) if r.state in ("ready", "draining") and r.pod in pods]
        return [_carrier(report) for report in reports if _is_ready(pods[report.pod])]

    async def _retire(self, client: Client, key: Key, sizing: Sizing, carrier: Carrier) -> None:
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


def _is_there(pod: Mapping[str, Any]) -> bool:
    """Whether it counts for its Deployment: neither going nor over, and a worker."""
    phase = (pod.get("status") or {}).get("phase")
    labels = pod["metadata"].get("labels") or {}
    is_worker = labels.get("app.kubernetes.io/name") == "tailrace-worker"
    return is_worker and "deletionTimestamp" not in pod["metadata"] and phase not in ("Succeeded", "Failed")


def _is_ready(pod: Mapping[str, Any]) -> bool:
    return condition(pod, "Ready").get("status") == "True"
