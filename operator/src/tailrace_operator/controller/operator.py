"""The operator's parts put together, and the loop that looks at one object after the other."""

import logging
import os
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

from tailrace_operator.apply.kubernetes import (
    ChangedError,
    KubernetesApi,
    KubernetesError,
    NamespaceGoingError,
    UnreachableError,
)
from tailrace_operator.controller.broker_link import BrokerLink
from tailrace_operator.controller.credentials import Credentials, CredentialsError
from tailrace_operator.controller.departures import Departures
from tailrace_operator.controller.executor import Executor, LeftoverError
from tailrace_operator.controller.finalizer import BrokerAwayError, Finalizer
from tailrace_operator.controller.gateway_scaler import GatewayScaler
from tailrace_operator.controller.gateways import GatewayReconciler
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.lister import Lister
from tailrace_operator.controller.loads import Loads
from tailrace_operator.controller.metrics import Metrics
from tailrace_operator.controller.models import ModelReconciler, Tools, gateway_name
from tailrace_operator.controller.namespaces import NamespaceReconciler
from tailrace_operator.controller.pods import Pods
from tailrace_operator.controller.progress import Progress
from tailrace_operator.controller.reporting import Reporter
from tailrace_operator.controller.scaler import Scaler
from tailrace_operator.controller.secret_troubles import SecretTroubles
from tailrace_operator.controller.settings import OperatorSettings, own_namespace
from tailrace_operator.controller.wakes import Wakes
from tailrace_operator.controller.world import Key, World

log = logging.getLogger("tailrace.operator")

#: Models of a namespace that come together change what they share once, not once each.
_SHARED_DELAY_S = 0.5
_LONG_S = 5.0
_EXPECTED = (KubernetesError, LeftoverError, BrokerAwayError, CredentialsError)


class _Reconciler(Protocol):
    async def reconcile(self, key: Key) -> float | None: ...


class Operator:
    """Everything behind kopf's handlers."""

    def __init__(self, api: KubernetesApi, settings: OperatorSettings) -> None:
        self.world = World()
        self.metrics = Metrics()
        self._settings = settings
        self._wakes: Wakes[Key] = Wakes()
        api.count = lambda verb, kind: self.metrics.api_requests.labels(verb, kind).inc()
        rendering = settings.for_rendering()
        self._credentials = credentials = Credentials(api, own_namespace(), settings.nats)
        journal = Journal(api, os.environ.get("POD_NAME", "tailrace-operator"), _now)
        self.broker = BrokerLink(credentials.for_operator, self.wake_all)
        self.metrics.broker_connected.set_function(lambda: self.broker.client is not None)
        self.lister = Lister(api, self.world, settings.watch_namespaces, self.wake, self._wake_in, self.broker.forget)
        self._loads = Loads(self.broker, self.world, self.wake, settings.watch_namespaces, self._measured)
        self._progress = Progress(self.broker, self.wake)
        executor = Executor(api, self.world)
        reporter = Reporter(api, self.world, journal, self.metrics, _now)
        finalizer = Finalizer(api, self.broker, journal, settings.broker_patience_s, _now)
        self.secrets = secrets = SecretTroubles(self._wake_all_of)
        pods = Pods(api, _now)
        self._scaler = Scaler(api, self.broker, self.world, journal, self.metrics.scaling, self.wake_first)
        self._gateway_scaler = GatewayScaler(api, self.broker, self.world, journal, self.wake)
        tools = Tools(
            api,
            self.world,
            self.broker,
            executor,
            reporter,
            finalizer,
            self._loads,
            self._progress,
            pods,
            secrets,
            Departures(api),
            rendering,
            self._scaler,
        )
        self._reconcilers: dict[str, _Reconciler] = {
            "StreamingModel": ModelReconciler(tools),
            "StreamingGateway": GatewayReconciler(
                self.world, executor, reporter, pods, secrets, rendering, self._gateway_scaler
            ),
            "Namespace": NamespaceReconciler(api, self.world, credentials, secrets, rendering),
        }

    def close(self) -> None:
        """Leave nothing behind."""
        self._credentials.close()

    def wake(self, key: Key) -> None:
        """Something about `key` changed."""
        self._wakes.wake(key)
        if key.kind != "Namespace":
            self._wakes.wake_in(Key("Namespace", key.namespace), _SHARED_DELAY_S, time.monotonic())
        if key.kind == "StreamingGateway":
            self._wake_models_of(key)

    def _measured(self, key: Key, load: tuple[int, int] | None) -> None:
        self.metrics.scaling.measure(key, load)
        if load and sum(load):
            self._scaler.notice(key)

    def load_of(self, namespace: str, name: str) -> dict[str, Any] | None:
        """What a scaler is told of a model: nothing while it is not known; `None` if there is no such model."""
        key = Key("StreamingModel", namespace, name)
        resource, load = self.world.resource(key), self._loads.fresh(key)
        if resource is None:
            return None
        if load is None or self.broker.client is None:
            return {}
        status = resource.get("status") or {}
        workers = {"replicas": status.get("replicas", 0), "readyReplicas": status.get("readyReplicas", 0)}
        return {"namespace": namespace, "model": name, "inFlight": sum(load), "queued": load[1], **workers}

    def wake_first(self, key: Key) -> None:
        """Somebody waits for what is to be done about `key`: before all others."""
        self._wakes.wake(key, first=True)

    def _wake_in(self, key: Key, seconds: float) -> None:
        self._wakes.wake_in(key, seconds, time.monotonic())

    def wake_all(self) -> None:
        """Look at every model again."""
        for key, _ in self.world.resources("StreamingModel"):
            self._wakes.wake(key)

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """What runs beside kopf and the broker's link, each until cancelled."""
        workers = [self._work() for _ in range(self._settings.workers)]
        return [
            *workers,
            self._loads.run(),
            self._progress.run(),
            self._scaler.run(),
            self._gateway_scaler.run(),
            self.lister.run(self._settings.resync_s),
        ]

    def _wake_all_of(self, namespace: str) -> None:
        """Resources say in their status what is wrong with what they share."""
        for kind in ("StreamingModel", "StreamingGateway"):
            for key, _ in self.world.resources(kind, namespace):
                self._wakes.wake(key)

    def _wake_models_of(self, gateway: Key) -> None:
        """Models say in their status whether their gateway serves."""
        for key, model in self.world.resources("StreamingModel", gateway.namespace):
            if gateway_name(model) == gateway.name:
                self._wakes.wake(key)

    async def _work(self) -> None:
        await self.broker.first_try()
        while True:
            key = await self._wakes.take()
            self.metrics.waiting.set(len(self._wakes))
            with self.metrics.reconcile_seconds.labels(key.kind).time():
                succeeded = await self.look(key)
            self.metrics.reconciles.labels(key.kind, "done" if succeeded else "failed").inc()

    async def look(self, key: Key) -> bool:
        """Look at one object now; whether all was well. What was not is looked at again later."""
        again_s = None
        try:
            again_s = await self._reconcilers[key.kind].reconcile(key)
        except NamespaceGoingError:
            log.debug("reconcile.going key=%s", key)  # What is in it goes by itself.
        except _EXPECTED as error:
            if isinstance(error, UnreachableError):
                self.lister.soon()
            delay = self._wakes.failed(key, time.monotonic())
            # These settle by themselves, as a rule; a leftover that something holds is to be seen.
            settles = isinstance(error, ChangedError | LeftoverError) and delay < _LONG_S
            level = logging.DEBUG if settles else logging.WARNING
            log.log(level, "reconcile.again key=%s in_s=%.1f error=%s", key, delay, error)
            return False
        except Exception:
            delay = self._wakes.failed(key, time.monotonic())
            log.exception("reconcile.broken key=%s in_s=%.1f", key, delay)
            return False
        self._wakes.done(key)
        if again_s is not None:
            self._wakes.wake_in(key, again_s, time.monotonic())
        return True


def _now() -> datetime:
    return datetime.now(UTC)
