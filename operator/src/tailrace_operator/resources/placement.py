"""What a worker's pod needs from its node, and the environment it runs in."""

from typing import Annotated

from pydantic import Field

from tailrace_operator.resources.block import Block
from tailrace_operator.resources.quantity import Quantity, QuantityRange


class Gpu(Block):
    """GPUs of one worker."""

    count: int = Field(ge=1, le=64, description="GPUs per worker.")
    resource_name: str = Field(
        default="nvidia.com/gpu",
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=128,
        description="The vendor's resource name (nvidia.com/gpu, amd.com/gpu, …).",
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


class EnvVar(Block):
    """One environment variable of the workers."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128, description="Name of the variable.")
    value: str = Field(max_length=4096, description="Its value.")
