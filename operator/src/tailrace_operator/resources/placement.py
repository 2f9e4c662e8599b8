"""What a worker's pod needs from its node, and the environment it runs in."""

from typing import Annotated

from pydantic import Field

from tailrace_operator.resources.block import Block
from tailrace_operator.resources.pod import Toleration
from tailrace_operator.resources.quantity import Quantity, QuantityRange

_DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
#: Labels that a node must have.
NodeLabels = dict[str, Annotated[str, Field(max_length=63)]]


class Gpu(Block):
    """GPUs of one worker."""

    count: int = Field(ge=1, le=64, description="GPUs per worker.")
    resource_name: str = Field(
        default="nvidia.com/gpu",
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=128,
        description="The vendor's resource name (nvidia.com/gpu, amd.com/gpu, …).",
    )
    node_selector: NodeLabels = Field(
        default={}, max_length=32, description="Labels of the nodes with these GPUs, beside nodeSelector."
    )
    tolerations: list[Toleration] = Field(
        default=[], max_length=32, description="Taints that keep others off the nodes with these GPUs."
    )
    runtime_class_name: Annotated[str, Field(pattern=_DNS_NAME, max_length=253)] | None = Field(
        default=None, description="RuntimeClass that gives containers access to the GPUs, where the cluster needs one."
    )


class Resources(Block):
    """What each worker asks for."""

    gpu: Gpu | None = Field(default=None, description="GPUs; without it the worker runs on CPUs.")
    cpu: Annotated[Quantity, QuantityRange("1m", "1k")] | None = Field(
        default=None, description="CPU cores asked for (request, not limit)."
    )
    memory: Annotated[Quantity, QuantityRange("1Mi", "64Ti")] | None = Field(
        default=None, description="Memory, request and limit."
    )
    shm_size: Annotated[Quantity, QuantityRange("64Mi", "1Ti")] | None = Field(
        default=None,
        description="Shared memory (/dev/shm), which counts as memory. Default: 1Gi for each GPU of a model that is "
        "spread over several, at least 2Gi; 1Gi for vLLM on CPUs; else the node's 64Mi.",
    )


class EnvVar(Block):
    """One environment variable of the workers."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128, description="Name of the variable.")
    value: str = Field(max_length=4096, description="Its value.")
