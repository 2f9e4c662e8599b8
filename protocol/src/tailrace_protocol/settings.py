"""Settings: what the operator tells gateways and workers.

A `ModelSettings` lies in the broker's key-value bucket, so that a gateway learns of a new model at once and
without access to Kubernetes. A worker's and a gateway's own settings are files that the operator renders.
Times are in seconds and sizes in bytes, as the names say.
"""

from typing import Literal

import msgspec

OnDisconnect = Literal["cancel", "continue"]


class ChunkingSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """How tokens are gathered into events: the first at once, then `tokens` or `max_delay_s`, whichever is first."""

    tokens: int = 1
    max_delay_s: float = 0.05


class TimeoutSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Queue: refuse. First token and between tokens: try another worker, then fail. Total: end with what there is."""

    queue_s: float = 120.0
    first_token_s: float = 120.0
    between_tokens_s: float = 30.0
    total_s: float = 3600.0


class ModelSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a gateway must know to serve a model.

    `gateway` names the one of its namespace that does; `adapters` are further names that requests may ask for.
    """

    namespace: str
    name: str
    created: int = 0
    replay_window_s: float = 600.0
    on_disconnect: OnDisconnect = "cancel"
    disconnect_grace_s: float = 2.0
    queue_timeout_s: float = 120.0
    total_timeout_s: float = 3600.0
    max_body_bytes: int = 8 * 1024 * 1024
    max_model_len: int = 0
    gateway: str = "default"
    adapters: list[str] = []
    v: int = 1


class NatsSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to reach the broker.

    `system_*` names a user of the system account that may only subscribe to the disconnect advisories of `account`.
    """

    servers: list[str]
    user: str = ""
    password_file: str = ""
    system_user: str = ""
    system_password_file: str = ""
    account: str = "TAILRACE"


class SimulatedSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """The simulated engine: for load and chaos tests only."""

    tokens_per_s: float = 50.0
    first_token_s: float = 0.0


class VllmSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Arguments of vLLM, as `vllm serve` takes them."""

    args: list[str] = []


class WorkerSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """One worker of one model. Exactly one of `vllm` and `simulated` is set.

    `http_port` serves probes and metrics; 0 serves none. `broker_wait_s` is how long a starting worker looks for the
    broker before it gives up; once found, it is waited for without end.
    """

    namespace: str
    model: str
    nats: NatsSettings
    capacity: int
    vllm: VllmSettings | None = None
    simulated: SimulatedSettings | None = None
    chunking: ChunkingSettings = ChunkingSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    ack_wait_s: float = 1.0
    max_attempts: int = 5
    drain_s: float = 30.0
    http_host: str = "0.0.0.0"
    http_port: int = 0
    broker_wait_s: float = 60.0
    v: int = 1


class GatewaySettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """One replica of the gateway called `gateway`, which serves its namespace's models of that gateway.

    Told to stop, it drains: for at least `drain_quiet_s`, since requests still arrive until everybody knows, and until
    no response is open, at most `drain_s`. What is open then ends within `shutdown_s`. `drain_s` 0 skips the drain.
    """

    namespace: str
    nats: NatsSettings
    gateway: str = "default"
    host: str = "0.0.0.0"
    port: int = 8080
    max_body_bytes: int = 8 * 1024 * 1024
    max_unsent_bytes: int = 256 * 1024
    heartbeat_s: float = 10.0
    shutdown_s: float = 10.0
    drain_s: float = 0.0
    drain_quiet_s: float = 5.0
    v: int = 1
