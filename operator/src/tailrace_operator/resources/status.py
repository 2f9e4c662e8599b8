"""The resources' status: what the operator reports, and what `kubectl get` prints."""

from typing import Annotated, Literal

from pydantic import Field

from tailrace_operator.resources.block import Block
from tailrace_operator.resources.keyed import KeyedBy


class Condition(Block):
    """One condition, as Kubernetes' own resources have them."""

    type: str = Field(max_length=316, description="Name of the condition, for example Ready.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(max_length=1024, description="One word for programs.")
    message: str = Field(max_length=32768, description="A sentence that a person can act on.")
    last_transition_time: str = Field(
        description="When the status last changed.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int = Field(default=0, ge=0, description="Generation of the spec that this is about.")


Conditions = Annotated[
    list[Condition], KeyedBy("type"), Field(default=[], max_length=16, description="Conditions, by type.")
]
ObservedGeneration = Annotated[
    int | None,
    Field(default=None, ge=0, description="Generation of the spec that the conditions speak of, acted upon or not."),
]


class Fetch(Block):
    """How far the download of the model's weights is."""

    state: str = Field(
        default="", max_length=64, description="resolving, waiting, downloading, verifying, done, failed."
    )
    bytes_done: int = Field(default=0, ge=0, description="Bytes that are on the volume.")
    bytes_total: int = Field(default=0, ge=0, description="Bytes of the whole model; 0 as long as it is not known.")
    percent: int = Field(default=0, ge=0, le=100, description="The share that is done.")
    message: str = Field(default="", max_length=1024, description="A sentence about it.")


class Size(Block):
    """The number of pods that the operator decided on last."""

    replicas: int = Field(ge=0, description="Pods.")
    reason: str = Field(max_length=1024, description="Why, in words.")
    since: str = Field(description="Since when.", json_schema_extra={"format": "date-time"})


class Status(Block):
    """What the operator sees of a model."""

    observed_generation: ObservedGeneration
    replicas: int | None = Field(default=None, ge=0, description="Workers that exist.")
    ready_replicas: int | None = Field(default=None, ge=0, description="Workers that serve.")
    selector: str | None = Field(default=None, description="Label selector of the workers' pods, for scalers.")
    streams: int | None = Field(default=None, ge=0, description="Streams being generated.")
    queued: int | None = Field(default=None, ge=0, description="Requests that wait for a worker.")
    scaling: Size | None = Field(default=None, description="The decision about the number of workers, in mode Auto.")
    model: Fetch | None = Field(default=None, description="The download of the weights, when there is one.")
    conditions: Conditions


class GatewayStatus(Block):
    """What the operator sees of a gateway."""

    observed_generation: ObservedGeneration
    replicas: int | None = Field(default=None, ge=0, description="Gateways that exist.")
    ready_replicas: int | None = Field(default=None, ge=0, description="Gateways that serve.")
    selector: str | None = Field(default=None, description="Label selector of the gateways' pods, for scalers.")
    address: str | None = Field(default=None, max_length=1024, description="Where clients reach it, as a URL.")
    models: int | None = Field(default=None, ge=0, description="Models that it serves.")
    scaling: Size | None = Field(default=None, description="The decision about the number of gateways, in mode Auto.")
    conditions: Conditions
