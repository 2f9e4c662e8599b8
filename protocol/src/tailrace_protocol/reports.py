"""Reports: who is alive and what it carries, twice a second.

Leased, never incremented: a report replaces its sender's previous one and expires after `lease_s`, so that the
numbers of a crashed reporter vanish instead of leaking.
"""

from typing import Literal

import msgspec

from tailrace_protocol.wire import decode

WorkerState = Literal["starting", "loading", "ready", "draining", "failed"]


class WorkerReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One worker's state. `active` and `capacity` count streams; `progress` is a sentence for a waiting person.

    Times are seconds. `oldest_s` is the age of the oldest stream here, `inter_token_s` the mean time between two tokens
    of one stream, `kv_use` the share of the engine's cache that is in use (0 to 1), `waiting` what the engine has
    accepted and not begun.
    """

    worker: str
    namespace: str
    model: str
    state: WorkerState
    capacity: int = 0
    active: int = 0
    progress: str = ""
    pod: str = ""
    oldest_s: float = 0.0
    tokens_per_s: float = 0.0
    inter_token_s: float = 0.0
    kv_use: float = 0.0
    waiting: int = 0
    lease_s: float = 2.0
    v: int = 1


class GatewayReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One gateway's state.

    Each stream is counted by the one gateway that accepted it, so no two count the same one: `streams` holds its own
    unfinished ones by model (`<namespace>.<name>`), `queued` those of them that no worker has begun. `connections` are
    clients being served. Of these, `log_only` need no engine: they read a log that another reader fills, or that has
    ended. `idle` connections are open and ask for nothing. `cpu` is in cores, `pod` where it runs, `namespace` and
    `name` those of its StreamingGateway.
    """

    gateway: str
    connections: int = 0
    streams: dict[str, int] = {}
    queued: dict[str, int] = {}
    log_only: int = 0
    idle: int = 0
    cpu: float = 0.0
    pod: str = ""
    namespace: str = ""
    name: str = ""
    lease_s: float = 2.0
    v: int = 1


class ModelReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the operator knows of a model that has no worker ready, for those who wait.

    `state` is a word for programs, `detail` a sentence for people. `hopeless`: nobody should wait for it.
    """

    namespace: str
    model: str
    state: str
    detail: str = ""
    hopeless: bool = False
    lease_s: float = 5.0
    v: int = 1


_worker = msgspec.json.Decoder(WorkerReport)
_gateway = msgspec.json.Decoder(GatewayReport)
_model = msgspec.json.Decoder(ModelReport)


def decode_worker_report(data: bytes) -> WorkerReport:
    """The worker report in `data`.

    Raises:
        MalformedMessageError: bytes that are no worker report.
    """
    return decode(_worker, data)


def decode_gateway_report(data: bytes) -> GatewayReport:
    """The gateway report in `data`.

    Raises:
        MalformedMessageError: bytes that are no gateway report.
    """
    return decode(_gateway, data)


def decode_model_report(data: bytes) -> ModelReport:
    """The model report in `data`.

    Raises:
        MalformedMessageError: bytes that are no model report.
    """
    return decode(_model, data)
