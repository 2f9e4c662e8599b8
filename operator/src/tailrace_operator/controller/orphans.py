"""Streams on the broker whose model is gone: left by a broker that was away too long, or by an older installation.

They keep what the broker has reserved for them, and no object is left whose status could tell, so the log does, with
what removes them. The operator itself removes nothing that it cannot be sure to have made.
"""

import logging
from collections.abc import Collection, Iterable

from tailrace_protocol.subjects import MODELS_BUCKET, ModelKey, log_stream, model_of, queue_stream

from tailrace_operator.controller.world import Key, World

log = logging.getLogger("tailrace.operator.orphans")


class Orphans:
    """Tells of each model's orphaned streams once. `namespaces`: those that are watched; empty for all."""

    def __init__(self, world: World, namespaces: Collection[str]) -> None:
        self._world = world
        self._namespaces = namespaces
        self._seen: set[ModelKey] = set()
        self._told: set[ModelKey] = set()

    def look(self, streams: Iterable[str]) -> None:
        """Take in the names of the streams that there are; who is orphaned at two looks in a row is told.

        Of a model that goes just now, the names may be older than what is known of the models.
        """
        orphaned = {model for stream in streams if (model := model_of(stream)) and self._is_gone(model)}
        for model in sorted((orphaned & self._seen) - self._told, key=str):
            log.warning("broker.orphaned model=%s: there is no such StreamingModel; %s", model, removal(model))
        self._told = orphaned & self._seen
        self._seen = orphaned

    def _is_gone(self, model: ModelKey) -> bool:
        ours = not self._namespaces or model.namespace in self._namespaces
        return ours and self._world.resource(Key("StreamingModel", model.namespace, model.name)) is None


def removal(model: ModelKey) -> str:
    """How a person removes what a model has on the broker."""
    streams = " and ".join(f"`nats stream rm -f {name}`" for name in (queue_stream(model), log_stream(model)))
    return f"remove what it left with {streams} and `nats kv purge -f {MODELS_BUCKET} {model}`"
