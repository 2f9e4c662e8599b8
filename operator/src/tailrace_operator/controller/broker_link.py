"""The operator's connection to NATS: kept up for ever, its absence a fact to report and never a reason to stop."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from tailrace_broker.connection import close, connect
from tailrace_protocol.errors import TailraceError
from tailrace_protocol.settings import NatsSettings
from tailrace_protocol.subjects import ModelKey

from tailrace_operator.apply.broker import BrokerRefusedError, apply_objects, remove_model
from tailrace_operator.apply.kubernetes import KubernetesError
from tailrace_operator.conditions.parts import BrokerView
from tailrace_operator.controller.credentials import CredentialsError
from tailrace_operator.render.objects import BrokerObjects, BucketObject, StoreObject

log = logging.getLogger("tailrace.operator.broker")

_NAME = "tailrace-operator"
_RETRY_S = 1.0
_FIRST_TRY_S = 3.0
_TIMEOUT_S = 5.0
_STALE = ""
_LOOK_S = 3.0


class BrokerLink:
    """Applies what models need on the broker; what stands there already is not asked for again.

    After every reconnect everything is looked at anew: a broker that kept its streams in memory may have lost them.
    """

    def __init__(self, settings: Callable[[], Awaitable[NatsSettings]], on_change: Callable[[], None]) -> None:
        self._settings = settings
        self._on_change = on_change
        self._client: Client | None = None
        self._applied: dict[ModelKey, str] = {}
        self._shared: set[StoreObject | BucketObject] = set()
        self._held: set[ModelKey] = set()
        self._connections = 0
        self._tried = asyncio.Event()
        self.trouble = "the operator has not reached NATS yet"

    @property
    def client(self) -> Client | None:
        """The connection, while it stands."""
        return self._client if self._client is not None and self._client.is_connected else None

    async def first_try(self) -> None:
        """Wait until the first connection stands or has failed for a while: a start must not look like an outage."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_TRY_S):
                await self._tried.wait()

    async def run(self) -> None:
        """Keep a connection until cancelled: one that ended for good is followed by another."""
        try:
            while True:
                self._client = await self._connected()
                await self._on_reconnect()
                await self._until_closed(self._client)
                log.warning("broker.closed: its log says why")
        finally:
            await close(self._client)

    async def _until_closed(self, client: Client) -> None:
        """Wait; while the connection is lost, keep the file current from which tries to reconnect take the password."""
        while not client.is_closed:
            if not client.is_connected:
                with contextlib.suppress(CredentialsError, KubernetesError):
                    await self._settings()
            await asyncio.sleep(_LOOK_S)

    async def _connected(self) -> Client:
        while True:
            try:
                settings = await self._settings()
                return await connect(
                    settings, _NAME, on_reconnect=self._on_reconnect, on_disconnect=self._on_disconnect
                )
            except (TailraceError, OSError, CredentialsError, KubernetesError) as error:
                self.trouble = str(error)
                log.warning("broker.unreachable reason=%s", error)
                await asyncio.sleep(_RETRY_S)

    async def apply(self, model: ModelKey, objects: BrokerObjects) -> BrokerView:
        """Make `objects`, unless that was done since the last reconnect."""
        client, digest = self.client, hashlib.sha256(repr(objects).encode()).hexdigest()
        if client is None:
            return BrokerView("unreachable", self.trouble)
        if self._applied.get(model) == digest:
            return BrokerView()
        self._held.add(model)
        connection = self._connections
        try:
            changes = await apply_objects(self._jetstream(client), self._unless_shared(objects))
        except BrokerRefusedError as error:
            return BrokerView("refused", str(error))
        except (NatsError, TimeoutError, OSError) as error:
            return BrokerView("unreachable", f"NATS did not answer in time ({type(error).__name__})")
        for change in changes:
            if change.outcome != "unchanged":
                log.info("broker.%s object=%s model=%s", change.outcome, change.name, model)
        if connection == self._connections:  # Else what was made first may be lost already.
            self._applied[model] = digest
            self._shared.update((*objects.stores, *objects.buckets))
        return BrokerView()

    async def remove(self, model: ModelKey) -> BrokerView:
        """Remove all that the model has on the broker."""
        client = self.client
        self._applied.pop(model, None)
        if client is None:
            return BrokerView("unreachable", self.trouble)
        try:
            await remove_model(self._jetstream(client), model)
        except (NatsError, TimeoutError, OSError) as error:
            return BrokerView("unreachable", f"NATS did not answer in time ({type(error).__name__})")
        log.log(logging.INFO if model in self._held else logging.DEBUG, "broker.removed model=%s", model)
        self._held.discard(model)
        return BrokerView()

    def holds(self, model: ModelKey) -> bool:
        """Whether the model may have something on the broker that this process made or found there."""
        return model in self._held

    def disown(self, model: ModelKey) -> None:
        """Care no more about what the model has on the broker."""
        self._held.discard(model)

    def _unless_shared(self, objects: BrokerObjects) -> BrokerObjects:
        """What models have in common is asked for once, not once for each of a thousand."""
        stores = tuple(store for store in objects.stores if store not in self._shared)
        buckets = tuple(bucket for bucket in objects.buckets if bucket not in self._shared)
        return replace(objects, stores=stores, buckets=buckets)

    def miss(self, model: ModelKey) -> bool:
        """Something of the model is not on the broker: make it anew at the next look. Whether it had been made."""
        return self._applied.pop(model, None) is not None

    def forget(self) -> None:
        """Look at everything anew. That a model's objects were made is still known: see `miss`."""
        self._applied = dict.fromkeys(self._applied, _STALE)
        self._shared.clear()

    def _jetstream(self, client: Client) -> JetStreamContext:
        return client.jetstream(timeout=_TIMEOUT_S)

    async def _on_reconnect(self) -> None:
        log.info("broker.connected")
        self.trouble = ""
        self._tried.set()
        self._connections += 1
        self.forget()
        self._on_change()

    async def _on_disconnect(self) -> None:
        self.trouble = "the connection to NATS is lost: check that its pods run and can be reached"
        log.warning("broker.lost")
        self._on_change()
