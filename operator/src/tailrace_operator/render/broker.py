"""What a model needs on the broker: its queue, the workers' consumer, its log, and its entry among the models."""

from datetime import datetime

from tailrace_protocol import subjects
from tailrace_protocol.settings import ModelSettings
from tailrace_protocol.wire import encode

from tailrace_operator.render.objects import (
    BrokerObjects,
    BucketObject,
    ConsumerObject,
    EntryObject,
    StoreObject,
    StreamObject,
)
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.quantity import in_bytes

_DUPLICATE_WINDOW_S = 120.0


def broker_objects(model: StreamingModel, settings: RenderSettings) -> BrokerObjects:
    """All broker objects of `model`."""
    return BrokerObjects(
        streams=(queue_stream(model, settings), log_stream(model, settings)),
        consumers=(workers_consumer(model),),
        stores=(payload_store(model, settings),),
        buckets=(BucketObject(subjects.MODELS_BUCKET, replicas=settings.broker_replicas),),
        entries=(models_entry(model),),
    )


def beyond_limits(model: StreamingModel, settings: RenderSettings) -> list[str]:
    """What the model asks for and the installation does not give, in sentences: one must not take what others need."""
    asked, most = model.spec.replay.max_bytes, settings.log_max_bytes
    if asked.value <= most:
        return []
    remedy = "lower it, or ask whoever runs the installation to raise the limit"
    limit = f"this installation allows (broker.logMaxBytes {in_bytes(most)})"
    return [f"spec.replay.maxBytes {asked} is more than {limit}: {remedy}"]


def queue_stream(model: StreamingModel, settings: RenderSettings) -> StreamObject:
    """The work queue. Running requests stay in it unacknowledged, so they count beside the waiting ones."""
    running = model.spec.most_workers * model.spec.engine.max_streams
    return StreamObject(
        name=subjects.queue_stream(model.key),
        subjects=(subjects.requests(model.key, "*"),),
        retention="workqueue",
        discard="new",
        storage=model.spec.replay.storage,
        max_msgs=model.spec.queue.max_waiting + running,
        max_bytes=settings.queue_max_bytes,
        replicas=settings.broker_replicas,
        description=f"requests for {model.key}",
    )


def log_stream(model: StreamingModel, settings: RenderSettings) -> StreamObject:
    """The logs. An event may be `total` old when its stream ends, and is wanted for `window` after that."""
    spec = model.spec
    return StreamObject(
        name=subjects.log_stream(model.key),
        subjects=(subjects.logs_of_model(model.key), subjects.idempotency_of_model(model.key)),
        retention="limits",
        discard="old",
        storage=spec.replay.storage,
        max_age_s=_longest_life_s(model),
        # The broker refuses a window longer than the messages live; no log event has a message id anyway.
        duplicate_window_s=min(_DUPLICATE_WINDOW_S, _longest_life_s(model)),
        max_bytes=int(spec.replay.max_bytes.value),
        allow_direct=True,
        replicas=settings.broker_replicas,
        description=f"streams of {model.key}",
    )


def workers_consumer(model: StreamingModel) -> ConsumerObject:
    """The consumer that all workers of the model pull from."""
    return ConsumerObject(
        stream=subjects.queue_stream(model.key),
        durable=subjects.WORKERS_CONSUMER,
        filter_subject=subjects.requests(model.key),
        ack_wait_s=model.spec.failover.ack_wait.seconds,
    )


def payload_store(model: StreamingModel, settings: RenderSettings) -> StoreObject:
    """The store for what is too large for a message: a request is wanted as long as its stream can be continued."""
    return StoreObject(
        name=subjects.PAYLOADS_BUCKET,
        ttl_s=model.spec.timeouts.queue.seconds + _longest_life_s(model),
        max_bytes=settings.payloads_max_bytes,
        replicas=settings.broker_replicas,
    )


def models_entry(model: StreamingModel) -> EntryObject:
    """What gateways must know to serve the model."""
    spec = model.spec
    value = ModelSettings(
        namespace=model.key.namespace,
        name=model.key.name,
        created=_unix_seconds(model.metadata.creation_timestamp),
        replay_window_s=spec.replay.window.seconds,
        on_disconnect=spec.disconnect.policy,
        disconnect_grace_s=spec.disconnect.grace.seconds,
        queue_timeout_s=spec.timeouts.queue.seconds,
        total_timeout_s=spec.timeouts.total.seconds,
        max_body_bytes=int(spec.limits.max_body_bytes.value),
        max_model_len=(spec.engine.vllm.context_length or 0) if spec.engine.vllm else 0,
        gateway=spec.gateway.name,
        adapters=_adapters(model),
    )
    return EntryObject(subjects.MODELS_BUCKET, str(model.key), encode(value))


def _adapters(model: StreamingModel) -> list[str]:
    vllm = model.spec.engine.vllm
    return [adapter.name for adapter in vllm.lora.adapters] if vllm and vllm.lora else []


def _longest_life_s(model: StreamingModel) -> float:
    return model.spec.replay.window.seconds + model.spec.timeouts.total.seconds


def _unix_seconds(timestamp: str | None) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp()) if timestamp else 0
