"""StreamingModel's status: what the operator reports, and what `kubectl get` prints."""

from typing import Literal

from pydantic import Field

from tailrace_operator.resources.block import Block


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


class Status(Block):
    """What the operator sees."""

    observed_generation: int | None = Field(default=None, ge=0, description="Generation of the spec acted upon.")
    replicas: int | None = Field(default=None, ge=0, description="Workers that exist.")
    ready_replicas: int | None = Field(default=None, ge=0, description="Workers that serve.")
    selector: str | None = Field(default=None, description="Label selector of the workers' pods, for scalers.")
    streams: int | None = Field(default=None, ge=0, description="Streams being generated.")
    queued: int | None = Field(default=None, ge=0, description="Requests that wait for a worker.")
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        description="Conditions, by type.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
