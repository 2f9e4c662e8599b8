"""What an installation decides once, for all models: images, where the broker is, what pods may reach."""

from dataclasses import dataclass
from typing import Literal

PullPolicy = Literal["Always", "IfNotPresent", "Never"]


@dataclass(frozen=True)
class RenderSettings:
    """Installation-wide inputs of `render`. The chart sets them on a cluster, `make up` locally."""

    #: Image of GPU workers.
    worker_image: str = "ghcr.io/tailrace/worker:0.1.0"
    #: Image of workers without GPUs.
    worker_cpu_image: str = "ghcr.io/tailrace/worker-cpu:0.1.0"
    #: Image of simulated workers: no vLLM in it.
    worker_simulated_image: str = "ghcr.io/tailrace/worker-simulated:0.1.0"
    gateway_image: str = "ghcr.io/tailrace/gateway:0.1.0"
    #: Image of what downloads models.
    fetcher_image: str = "ghcr.io/tailrace/fetcher:0.1.0"
    image_pull_policy: PullPolicy = "IfNotPresent"
    #: Secrets of each namespace with which these images are pulled.
    image_pull_secrets: tuple[str, ...] = ()
    nats_servers: tuple[str, ...] = ("nats://tailrace-nats.tailrace-system.svc:4222",)
    #: Whether gateways may log in as the user that sees disconnect advisories.
    nats_advisories: bool = True
    #: Account of the broker that ours is: the advisories name it.
    nats_account: str = "TAILRACE"
    #: Secret with the password files `gateway`, `worker` and `advisory`.
    nats_secret: str = "tailrace-nats"  # noqa: S105
    gateway_host: str = "0.0.0.0"
    gateway_port: int = 8080
    #: Time that a gateway gives its clients to move elsewhere when it stops, after its drain, in seconds.
    gateway_shutdown_s: float = 10.0
    #: Port of a worker's probes and metrics; 0 serves none.
    worker_http_port: int = 9090
    #: Whether pods are shielded from connections that they need not take.
    network_policies: bool = True
    #: Directory on the node below which relative `path` sources lie.
    model_root: str = "/models"
    #: JetStream replicas of every broker object.
    broker_replicas: int = 1
    #: Most bytes of waiting and running requests per model. The broker reserves them, used or not.
    queue_max_bytes: int = 64 * 1024 * 1024
    #: Most bytes of log that a model may ask for. The broker reserves them, used or not.
    log_max_bytes: int = 1024 * 1024 * 1024
    #: Most bytes of large requests and results, all models together.
    payloads_max_bytes: int = 2 * 1024 * 1024 * 1024
    #: Whether the pods are processes of one machine: they keep its home directory, and vLLM itself downloads models.
    local: bool = False
