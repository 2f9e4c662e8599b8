"""Makes the broker's objects as rendered: created when missing, updated when different, untouched otherwise.

Both executors use this. What others set on an object (placement, metadata) stays as it is: only rendered fields are
compared and written.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError
from nats.js.kv import KeyValue
from tailrace_protocol.subjects import MODELS_BUCKET, ModelKey, log_stream, queue_stream

from tailrace_operator.render.objects import (
    BrokerObjects,
    BucketObject,
    ConsumerObject,
    EntryObject,
    StoreObject,
    StreamObject,
)

Outcome = Literal["created", "updated", "unchanged"]


#: The fields of a stream that may change after it was made.
_MUTABLE = (
    "description",
    "subjects",
    "discard",
    "max_msgs",
    "max_bytes",
    "max_age",
    "duplicate_window",
    "allow_direct",
    "num_replicas",
    "max_msgs_per_subject",
)


class BrokerRefusedError(Exception):
    """The broker would not make an object; the message says which one and what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to one object."""

    name: str
    outcome: Outcome


async def apply_objects(jetstream: JetStreamContext, objects: BrokerObjects) -> list[Change]:
    """Make all `objects`, the models' entries last: who finds an entry finds all that it needs.

    Raises:
        BrokerRefusedError: naming the object and the remedy.
        nats.errors.Error: when the broker cannot be reached.
    """
    changes = [await _stream(jetstream, _stream_config(stream)) for stream in objects.streams]
    changes += [await _consumer(jetstream, consumer) for consumer in objects.consumers]
    changes += [await _store(jetstream, store) for store in objects.stores]
    changes += [await _bucket(jetstream, bucket) for bucket in objects.buckets]
    changes += [await _entry(jetstream, entry) for entry in objects.entries]
    return changes


async def served_models(jetstream: JetStreamContext) -> set[ModelKey]:
    """The models that have an entry on the broker.

    The client's own list of keys is of no use: it takes entries that are on their way to it for none.
    """
    prefix = f"$KV.{MODELS_BUCKET}."
    try:
        found = await jetstream.stream_info(f"KV_{MODELS_BUCKET}", subjects_filter=f"{prefix}>")
    except NotFoundError:
        return set()
    bucket = await jetstream.key_value(MODELS_BUCKET)
    keys = [subject.removeprefix(prefix) for subject in found.state.subjects or ()]
    return {ModelKey(*key.split(".", 1)) for key in keys if await _value(bucket, key) is not None}


async def remove_model(jetstream: JetStreamContext, model: ModelKey) -> None:
    """Remove what a model had on the broker: its entry first, so that no gateway takes requests for it meanwhile."""
    with contextlib.suppress(NotFoundError):
        await (await jetstream.key_value(MODELS_BUCKET)).purge(str(model))
    for stream in (queue_stream(model), log_stream(model)):
        with contextlib.suppress(NotFoundError):
            await jetstream.delete_stream(stream)


def _stream_config(stream: StreamObject) -> api.StreamConfig:
    return api.StreamConfig(
        name=stream.name,
        description=stream.description,
        subjects=list(stream.subjects),
        retention=api.RetentionPolicy(stream.retention),
        discard=api.DiscardPolicy(stream.discard),
        storage=api.StorageType(stream.storage),
        max_msgs=stream.max_msgs,
        max_bytes=stream.max_bytes,
        max_age=stream.max_age_s,
        duplicate_window=stream.duplicate_window_s,
        allow_direct=stream.allow_direct,
        num_replicas=stream.replicas,
    )


async def _stream(
    jetstream: JetStreamContext, wanted: api.StreamConfig, keep: Callable[[Any, Any], bool] = lambda have, want: False
) -> Change:
    """Make one stream; a field whose present value `keep`s is left as it is."""
    name = str(wanted.name)
    try:
        present = (await jetstream.stream_info(name)).config
    except NotFoundError:
        await _or_refusal(name, jetstream.add_stream(wanted))
        return Change(name, "created")
    if present.storage != wanted.storage:
        raise BrokerRefusedError(
            f"stream {name} is kept in {present.storage} and cannot move to {wanted.storage}: "
            "spec.replay.storage cannot be changed; delete the model (locally: make clean-state) and create it anew"
        )
    fields = {field: getattr(wanted, field) for field in _MUTABLE if getattr(wanted, field) is not None}
    different = {f: v for f, v in fields.items() if getattr(present, f) != v and not keep(getattr(present, f), v)}
    if not different:
        return Change(name, "unchanged")
    await _or_refusal(name, jetstream.update_stream(present.evolve(**different)))
    return Change(name, "updated")


async def _consumer(jetstream: JetStreamContext, consumer: ConsumerObject) -> Change:
    name = f"{consumer.stream}/{consumer.durable}"
    fields: dict[str, Any] = {
        "filter_subject": consumer.filter_subject,
        "ack_wait": consumer.ack_wait_s,
        "max_deliver": consumer.max_deliver,
        "max_ack_pending": consumer.max_ack_pending,
        "max_waiting": consumer.max_waiting,
    }
    wanted = api.ConsumerConfig(
        name=consumer.durable, durable_name=consumer.durable, ack_policy=api.AckPolicy.EXPLICIT, **fields
    )
    try:
        present = (await jetstream.consumer_info(consumer.stream, consumer.durable)).config
    except NotFoundError:
        await _or_refusal(name, jetstream.add_consumer(consumer.stream, wanted))
        return Change(name, "created")
    if present is not None and all(getattr(present, field) == value for field, value in fields.items()):
        return Change(name, "unchanged")
    await _or_refusal(name, jetstream.add_consumer(consumer.stream, wanted))
    return Change(name, "updated")


async def _store(jetstream: JetStreamContext, store: StoreObject) -> Change:
    """An object store is a stream of a known shape. A longer time to live, which another model needs, is kept."""
    wanted = api.StreamConfig(
        name=f"OBJ_{store.name}",
        subjects=[f"$O.{store.name}.C.>", f"$O.{store.name}.M.>"],
        discard=api.DiscardPolicy.NEW,
        storage=api.StorageType(store.storage),
        max_age=store.ttl_s,
        max_bytes=store.max_bytes,
        duplicate_window=120.0,
        allow_rollup_hdrs=True,
        allow_direct=True,
        num_replicas=store.replicas,
    )
    return await _stream(jetstream, wanted, keep=_is_longer)


async def _bucket(jetstream: JetStreamContext, bucket: BucketObject) -> Change:
    wanted = api.StreamConfig(
        name=f"KV_{bucket.name}",
        subjects=[f"$KV.{bucket.name}.>"],
        discard=api.DiscardPolicy.NEW,
        storage=api.StorageType(bucket.storage),
        max_msgs_per_subject=bucket.history,
        duplicate_window=120.0,
        allow_rollup_hdrs=True,
        allow_direct=True,
        allow_msg_ttl=True,
        deny_delete=True,
        num_replicas=bucket.replicas,
    )
    return await _stream(jetstream, wanted)


async def _entry(jetstream: JetStreamContext, entry: EntryObject) -> Change:
    name = f"{entry.bucket}/{entry.key}"
    values = await jetstream.key_value(entry.bucket)
    present = await _value(values, entry.key)
    if present == entry.value:
        return Change(name, "unchanged")
    await values.put(entry.key, entry.value)
    return Change(name, "created" if present is None else "updated")


async def _value(bucket: KeyValue, key: str) -> bytes | None:
    """What stands under a key; `None` if that is nothing, or was deleted."""
    try:
        return (await bucket.get(key)).value
    except NotFoundError:
        return None


def _is_longer(present: Any, wanted: Any) -> bool:
    return isinstance(present, float | int) and isinstance(wanted, float | int) and present > wanted


async def _or_refusal(name: str, request: Any) -> None:
    try:
        await request
    except APIError as error:
        raise BrokerRefusedError(f"the broker refused {name}: {error.description} (code {error.err_code})") from error
