"""When a gateway that was told to stop may go: a pure decision, taken anew until it says so.

A rollout or a drained node must not break even a client that cannot resume. So what is open is served to its end, and
so is what still arrives: proxies and other nodes hear a moment later that this gateway is leaving.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """Whether the drain is over, and why."""

    over: bool
    reason: str


def plan(open_responses: int, elapsed_s: float, drain_s: float, quiet_s: float) -> DrainPlan:
    """Go when nothing is open any more, but not before `quiet_s` have passed, and in any case after `drain_s`."""
    if elapsed_s >= drain_s:
        return DrainPlan(True, f"the drain deadline of {drain_s:g} s has come: {open_responses} responses are open")
    if open_responses:
        return DrainPlan(False, f"{open_responses} responses are open")
    if elapsed_s < quiet_s:
        return DrainPlan(False, f"requests may still arrive: waiting for {quiet_s - elapsed_s:.0f} s more")
    return DrainPlan(True, "no response is open")
