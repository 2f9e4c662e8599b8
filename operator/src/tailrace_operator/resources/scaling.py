"""Scaling: who sets the number of workers, and within which limits."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from tailrace_operator.resources.block import Block, Rule
from tailrace_operator.resources.duration import Duration, DurationRange

Mode = Annotated[
    Literal["Auto", "External"],
    Field(
        description="Auto: the operator decides, and spec.replicas means nothing. "
        "External: spec.replicas counts, which an HPA, KEDA or a person sets through the scale subresource."
    ),
]
LIMITS = Rule(
    cel="self.minReplicas <= self.maxReplicas",
    message="minReplicas must not exceed maxReplicas: lower it or raise maxReplicas",
    holds=lambda scaling: scaling.min_replicas <= scaling.max_replicas,
    field="minReplicas",
)
_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
#: Five fields; what may stand in each is checked by the operator.
_FIVE_FIELDS = r"^\S+( \S+){4}$"


def _cron(line: str) -> str:
    try:
        next(CronSim(line, _ANY_TIME))
    except (CronSimError, StopIteration):
        reason = f"{line!r} is no cron time: write minute, hour, day, month and weekday, like '0 8 * * MON-FRI'"
        raise PydanticCustomError("cron", "{reason}", {"reason": reason}) from None
    return line


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        reason = f"{name!r} is no time zone: use a name of the IANA database, like 'Europe/Berlin'"
        raise PydanticCustomError("time_zone", "{reason}", {"reason": reason}) from None
    return name


CronLine = Annotated[str, Field(max_length=128, pattern=_FIVE_FIELDS), AfterValidator(_cron)]


class ScalePace(Block):
    """How fast the size may change: `workers` or `percent` of those there were, whichever is more, in any `period`."""

    rules = (
        Rule(
            cel="has(self.workers) || has(self.percent)",
            message="a pace needs workers or percent: set one, or leave the pace out",
            holds=lambda pace: pace.workers is not None or pace.percent is not None,
        ),
    )

    workers: int | None = Field(default=None, ge=1, le=1000, description="Workers.")
    percent: int | None = Field(default=None, ge=1, le=10000, description="Percent of the workers there were.")
    period: Annotated[Duration, DurationRange("1s", "1h")] = Field(
        default=Duration("1m"), description="The time in which the size may change by so much."
    )


class ScheduledMinimum(Block):
    """At least so many workers from each `start` to the next `end`."""

    start: CronLine = Field(description="Cron time (minute hour day month weekday) from which the minimum holds.")
    end: CronLine = Field(description="Cron time at which it ends.")
    time_zone: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_time_zone)] = Field(
        default="UTC", description="Time zone of both, by its IANA name."
    )
    min_replicas: int = Field(ge=1, le=1000, description="Workers, at least. scaling.maxReplicas is above it.")


class Scaling(Block):
    """Who sets the number of workers: the operator, from the streams (Auto), or somebody else (External)."""

    rules = (LIMITS,)

    mode: Mode = "Auto"
    min_replicas: int = Field(default=0, ge=0, le=1000, description="Workers that are always kept.")
    max_replicas: int = Field(default=10, ge=1, le=1000, description="Workers at most.")
    target_utilization: int = Field(
        default=80,
        ge=5,
        le=200,
        description="Percent of the paid slots that should be in use. Less keeps idle workers longer and below 60 "
        "leaves slots free, so that requests wait less; above 100 they are meant to wait.",
    )
    target_inter_token_latency: Annotated[Duration, DurationRange("1ms", "10s")] | None = Field(
        default=None,
        description="Time between two tokens of a stream that workers shall keep: they carry as many streams as that "
        "allows, by what their engines have shown. Left out: engine.maxStreams.",
    )
    tolerance: int = Field(
        default=5, ge=0, le=100, description="Percent of one worker's streams by which the load may exceed the workers."
    )
    zero_grace_period: Annotated[Duration, DurationRange("0s", "24h")] | None = Field(
        default=None,
        description="With nothing in flight, the last worker stays for so long. Left out: for as long as a cold start "
        "that it may spare is worth its idling, an hour at most.",
    )
    scale_down_delay: Annotated[Duration, DurationRange("0s", "1h")] = Field(
        default=Duration("0s"), description="The size falls to the highest that was right within so long."
    )
    scale_up: ScalePace | None = Field(default=None, description="How fast workers are added; left out: at once.")
    scale_down: ScalePace | None = Field(default=None, description="How fast they are taken away; left out: at once.")
    schedule: list[ScheduledMinimum] = Field(default=[], max_length=16, description="Minimums by the clock.")
    priority: int = Field(
        default=0,
        ge=-1000,
        le=1000,
        description="Where GPUs are short: models above their minimum give idle workers to models below theirs, those "
        "of the lowest priority first.",
    )
    refuse_after: Annotated[Duration, DurationRange("0s", "1h")] = Field(
        default=Duration("30s"),
        description="When no worker serves and none can be placed or made (no GPU, a quota), waiting requests are "
        "refused after so long. Raise it where nodes are added on demand.",
    )
