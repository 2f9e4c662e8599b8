"""What an installation decides once, for all models: images, where the broker is, the gateways' address."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """Installation-wide inputs of `render`. The chart sets them on a cluster, `make up` locally."""

    #: Image of GPU workers.
    worker_image: str = "ghcr.io/tailrace/worker:0.1.0"
    #: Image of workers without GPUs, and of simulated ones.
    worker_cpu_image: str = "ghcr.io/tailrace/worker-cpu:0.1.0"
    gateway_image: str = "ghcr.io/tailrace/gateway:0.1.0"
    nats_servers: tuple[str, ...] = ("nats://tailrace-nats.tailrace-system.svc:4222",)
    #: Whether gateways may log in as the user that sees disconnect advisories.
    nats_advisories: bool = True
    #: Account of the broker that ours is: the advisories name it.
    nats_account: str = "TAILRACE"
    #: Secret with the password files `gateway`, `worker` and `advisory`.
    nats_secret: str = "tailrace-nats"  # noqa: S105
    gateway_replicas: int = 2
    gateway_host: str = "0.0.0.0"
    gateway_port: int = 8080
    #: Time that a gateway gives its clients to move elsewhere when it stops, in seconds.
    gateway_shutdown_s: float = 10.0
    #: Directory on the node below which relative `model.source.path`s lie.
    model_root: str = "/models"
    #: JetStream replicas of every broker object.
    broker_replicas: int = 1
    #: Most bytes of waiting and running requests per model.
    queue_max_bytes: int = 256 * 1024 * 1024
    #: Most bytes of large requests and results, all models together.
    payloads_max_bytes: int = 2 * 1024 * 1024 * 1024
