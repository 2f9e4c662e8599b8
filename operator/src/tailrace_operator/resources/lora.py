"""LoRA adapters: small weights on top of a model, each asked for by its own name."""

from typing import Annotated, Literal

from pydantic import Field

from tailrace_operator.resources.block import Block
from tailrace_operator.resources.keyed import KeyedBy
from tailrace_operator.resources.source import Source


class LoraAdapter(Block):
    """One adapter."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
        max_length=63,
        description="What requests name as their model to get the adapter.",
    )
    source: Source = Field(description="Where the adapter comes from (adapter_config.json and its weights).")


class Lora(Block):
    """The adapters that workers load."""

    adapters: Annotated[list[LoraAdapter], KeyedBy("name")] = Field(
        min_length=1,
        max_length=32,
        description="Adapters, by name.",
    )
    max_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = Field(
        default=16, description="Highest rank (r in adapter_config.json) of any adapter; memory grows with it."
    )
    max_active: Annotated[int, Field(ge=1, le=32)] | None = Field(
        default=None, description="Adapters that run in one batch; memory grows with it. Default: all of them."
    )
