"""The models that can be asked for: a watch on the broker's bucket, which the operator fills."""

import asyncio
import logging
from collections.abc import Callable

import msgspec
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import BucketNotFoundError
from nats.js.kv import KV_DEL, KV_PURGE
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.settings import ModelSettings
from tailrace_protocol.subjects import MODELS_BUCKET

log = logging.getLogger("tailrace.gateway.catalog")

_RETRY_S = 1.0


class Catalog:
    """The models of one namespace that name this gateway; `on_removed` is told of each that is deleted."""

    def __init__(self, namespace: str, gateway: str, on_removed: Callable[[ModelSettings], None]) -> None:
        self.synced = False
        self._namespace = namespace
        self._gateway = gateway
        self._on_removed = on_removed
        self._models: dict[str, ModelSettings] = {}

    def all(self) -> list[ModelSettings]:
        """Every model, by name."""
        return [self._models[name] for name in sorted(self._models)]

    def get(self, name: str) -> ModelSettings:
        """The model called `name`, or the one that has an adapter of that name.

        Raises:
            TailraceError: `model_not_found`, naming what there is.
        """
        model = self._models.get(name) or next((m for m in self.all() if name in m.adapters), None)
        if model is None:
            names = {*self._models, *(adapter for m in self._models.values() for adapter in m.adapters)}
            known = ", ".join(sorted(names)) or "none yet"
            detail = f"no model {name!r} is served here; served: {known}"
            raise TailraceError(ErrorCode.MODEL_NOT_FOUND, detail, param="model")
        return model

    def put(self, key: str, value: bytes | None) -> None:
        """Take in one entry of the bucket; `None` removes the model.

        A model that moves to another gateway is not removed: it is served there, and its streams end here in peace.
        """
        namespace, _, name = key.partition(".")
        if namespace != self._namespace:
            return
        if value is None:
            self._remove(name)
            return
        try:
            model = msgspec.json.decode(value, type=ModelSettings)
        except msgspec.MsgspecError as error:
            log.error("catalog.malformed key=%s error=%s", key, error)
            return
        if (former := self._models.get(name)) is not None and former.created != model.created:
            self._remove(name)  # It was deleted and made anew while the broker was away from here: its logs are others.
        if model.gateway == self._gateway:
            self._models[name] = model
        else:
            self._models.pop(name, None)

    def _remove(self, name: str) -> None:
        if (model := self._models.pop(name, None)) is not None:
            log.info("catalog.removed model=%s", name)
            self._on_removed(model)

    async def watch(self, js: JetStreamContext) -> None:
        """Follow the bucket until cancelled, through whatever happens to the broker."""
        while True:
            try:
                await self._follow(js)
            except BucketNotFoundError:
                log.info("catalog.waiting reason=no bucket %s yet", MODELS_BUCKET)
            except (NatsError, TimeoutError) as error:
                log.warning("catalog.lost error=%s", type(error).__name__)
            await asyncio.sleep(_RETRY_S)

    async def _follow(self, js: JetStreamContext) -> None:
        bucket = await js.key_value(MODELS_BUCKET)
        is_empty = (await bucket.status()).values == 0
        watcher = await bucket.watchall()
        while True:
            try:
                entry = await watcher.updates(timeout=5)  # type: ignore[no-untyped-call]
            except TimeoutError:
                continue
            if entry is not None:
                self.put(entry.key, None if entry.operation in (KV_DEL, KV_PURGE) else entry.value)
            # That nothing more is to come is not believed of a bucket with something in it: the client says so, too,
            # when the first entries are on their way to it.
            self.synced = self.synced or (is_empty if entry is None else entry.delta == 0)
