"""How streams are treated: chunking, timeouts, replay, queue, disconnects, failover, drain, limits."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field
from pydantic.alias_generators import to_snake

from tailrace_operator.resources.block import Block, Immutable, Rule
from tailrace_operator.resources.duration import Duration, DurationRange
from tailrace_operator.resources.quantity import Quantity, QuantityRange


class Chunking(Block):
    """How tokens are gathered into events: the first at once, then `tokens` or `maxDelay`, whichever comes first."""

    tokens: int = Field(default=1, ge=1, le=1024, description="Tokens in one event.")
    max_delay: Annotated[Duration, DurationRange("0s", "10s")] = Field(
        default=Duration("50ms"), description="Longest time that a token waits for its event to fill."
    )


def _too_long(field: str) -> Callable[["Timeouts"], str]:
    def explain(timeouts: "Timeouts") -> str:
        value = getattr(timeouts, to_snake(field))
        return f"{field} ({value}) must not be longer than total ({timeouts.total}): lower it or raise timeouts.total"

    return explain


class Timeouts(Block):
    """Four limits, each with its own behaviour."""

    rules = (
        Rule(
            cel="duration(self.firstToken) <= duration(self.total)",
            message="firstToken must not be longer than total: lower it or raise timeouts.total",
            holds=lambda timeouts: timeouts.first_token.seconds <= timeouts.total.seconds,
            field="firstToken",
            explain=_too_long("firstToken"),
        ),
        Rule(
            cel="duration(self.betweenTokens) <= duration(self.total)",
            message="betweenTokens must not be longer than total: lower it or raise timeouts.total",
            holds=lambda timeouts: timeouts.between_tokens.seconds <= timeouts.total.seconds,
            field="betweenTokens",
            explain=_too_long("betweenTokens"),
        ),
    )

    queue: Annotated[Duration, DurationRange("1s", "1h")] = Field(
        default=Duration("2m"), description="Wait for a free worker; then the request is refused (retryable)."
    )
    first_token: Annotated[Duration, DurationRange("1s", "1h")] = Field(
        default=Duration("2m"), description="From a worker's start to its first token; then another worker tries."
    )
    between_tokens: Annotated[Duration, DurationRange("1s", "1h")] = Field(
        default=Duration("30s"), description="Silence between two tokens; then another worker continues."
    )
    total: Annotated[Duration, DurationRange("1s", "24h")] = Field(
        default=Duration("1h"), description="Whole generation; then it ends gracefully with what there is."
    )


class Replay(Block):
    """How long, and how much of, the streams can be read again."""

    window: Annotated[Duration, DurationRange("1s", "24h")] = Field(
        default=Duration("10m"), description="Time after its end in which a stream can be read again."
    )
    storage: Annotated[
        Literal["memory", "file"],
        Immutable("replay.storage cannot be changed: delete the StreamingModel and create it anew"),
    ] = Field(default="memory", description="Where the broker keeps requests and logs. Cannot be changed.")
    max_bytes: Annotated[Quantity, QuantityRange("1Mi", "1Ti")] = Field(
        default=Quantity("256Mi"), description="Most bytes of log for this model; the oldest events go first."
    )


class Queue(Block):
    """The requests that wait for a free worker."""

    max_waiting: int = Field(
        default=256, ge=1, le=100_000, description="Most waiting requests; further ones get 429 with Retry-After."
    )


class Disconnect(Block):
    """What happens to a stream when its last reader goes away."""

    policy: Literal["cancel", "continue"] = Field(
        default="cancel",
        description="cancel: stop generating after the grace. continue: run to the end, readable for replay.window. "
        "A request may choose otherwise (header Tailrace-On-Disconnect).",
    )
    grace: Annotated[Duration, DurationRange("0s", "1h")] = Field(
        default=Duration("2s"), description="Time to come back before cancel acts."
    )


class Failover(Block):
    """When another worker continues a stream."""

    ack_wait: Annotated[Duration, DurationRange("200ms", "1m")] = Field(
        default=Duration("1s"),
        description="Silence after which a hung worker's streams go to another. Dead workers are known at once anyway.",
    )
    max_attempts: int = Field(default=5, ge=1, le=50, description="Workers that try one request before it fails.")


class Drain(Block):
    """How a worker stops."""

    deadline: Annotated[Duration, DurationRange("0s", "1h")] = Field(
        default=Duration("30s"), description="Time to hand streams over or, with no other worker, to finish them."
    )


class Startup(Block):
    """How long a worker may take to load its model."""

    deadline: Annotated[Duration, DurationRange("10s", "24h")] = Field(
        default=Duration("30m"),
        description="From the container's start until it serves; then it is restarted, and the rollout is stalled.",
    )


class Rollout(Block):
    """How workers are replaced when something about them changes."""

    rules = (
        Rule(
            cel="self.maxSurge + self.maxUnavailable > 0",
            message="maxSurge and maxUnavailable must not both be 0, or no worker could be replaced: raise one of them",
            holds=lambda rollout: rollout.max_surge + rollout.max_unavailable > 0,
            field="maxUnavailable",
        ),
    )

    max_surge: int = Field(
        default=1, ge=0, le=1000, description="Workers above replicas meanwhile. 0 where no GPU is left for one more."
    )
    max_unavailable: int = Field(
        default=0, ge=0, le=1000, description="Workers that may be missing meanwhile; their streams move to the others."
    )


class Limits(Block):
    """What is refused."""

    max_body_bytes: Annotated[Quantity, QuantityRange("1Ki", "64Mi")] = Field(
        default=Quantity("8Mi"), description="Largest request body; larger ones get 413."
    )
