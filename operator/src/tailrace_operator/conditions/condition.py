"""Verdicts, and how they become the list of conditions in a status."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from tailrace_operator.conditions.reason import Finding, Reason

Truth = Literal["True", "False", "Unknown"]
View = TypeVar("View")
#: Looks at one thing; nothing means that it is as it should be.
Check = Callable[[View], Finding | None]
#: Checks in their order; each says beside it what a finding makes of the condition.
Chain = Sequence[tuple[Truth, Check[View]]]
_MAX_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition: its status, its reason, a sentence for people."""

    status: Truth
    reason: Reason
    message: str


def judge(view: View, chain: Chain[View], otherwise: Verdict) -> Verdict:
    """The verdict of the first check that finds something."""
    for status, check in chain:
        if (found := check(view)) is not None:
            return Verdict(status, found.reason, found.message)
    return otherwise


def merged(
    previous: Sequence[Mapping[str, Any]], verdicts: Mapping[str, Verdict], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """The conditions to report; a time of transition is kept for as long as its status is."""
    before = {condition["type"]: condition for condition in previous}
    return [_condition(kind, verdict, before.get(kind), generation, now) for kind, verdict in verdicts.items()]


def _condition(
    kind: str, verdict: Verdict, before: Mapping[str, Any] | None, generation: int, now: datetime
) -> dict[str, Any]:
    stays = before is not None and before.get("status") == verdict.status
    since = before["lastTransitionTime"] if before is not None and stays else _text(now)
    message = verdict.message if len(verdict.message) <= _MAX_MESSAGE else verdict.message[: _MAX_MESSAGE - 1] + "…"
    return {
        "type": kind,
        "status": verdict.status,
        "reason": verdict.reason.name,
        "message": message,
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
