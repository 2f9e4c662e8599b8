"""The broker's objects as data, so that what a model needs can be decided, compared and tested without a broker.

Times are in seconds, sizes in bytes.
"""

from dataclasses import dataclass, field
from typing import Literal

Storage = Literal["memory", "file"]


@dataclass(frozen=True, slots=True)
class StreamObject:
    """A JetStream stream."""

    name: str
    subjects: tuple[str, ...]
    retention: Literal["workqueue", "limits"]
    discard: Literal["new", "old"]
    storage: Storage
    max_bytes: int
    max_msgs: int = -1
    max_age_s: float = 0.0
    duplicate_window_s: float = 120.0
    allow_direct: bool = False
    replicas: int = 1
    description: str = ""


@dataclass(frozen=True, slots=True)
class ConsumerObject:
    """A durable pull consumer with explicit acknowledgements."""

    stream: str
    durable: str
    filter_subject: str
    ack_wait_s: float
    max_deliver: int = -1
    max_ack_pending: int = -1
    max_waiting: int = 4096


@dataclass(frozen=True, slots=True)
class BucketObject:
    """A key-value bucket."""

    name: str
    storage: Storage = "file"
    history: int = 1
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class EntryObject:
    """One entry of a key-value bucket."""

    bucket: str
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class StoreObject:
    """An object store that all models share: its time to live is the longest that any of them needs."""

    name: str
    ttl_s: float
    max_bytes: int
    storage: Storage = "file"
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class BrokerObjects:
    """What one model needs on the broker, in the order of making: who finds the entry finds all the rest."""

    streams: tuple[StreamObject, ...] = ()
    consumers: tuple[ConsumerObject, ...] = ()
    stores: tuple[StoreObject, ...] = ()
    buckets: tuple[BucketObject, ...] = ()
    entries: tuple[EntryObject, ...] = field(default=())
