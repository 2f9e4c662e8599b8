"""The decision: how many workers a model should have now, and why.

Silence is not zero: without a sample the present size stays. A restart begins with every present worker as if it were
needed just now, so that it takes none away before it has looked for a while.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tailrace_operator.scaling.history import History
from tailrace_operator.scaling.need import Need, needed
from tailrace_operator.scaling.patience import Level, is_kept, worth_s
from tailrace_operator.scaling.policy import Policy
from tailrace_operator.scaling.sample import Sample


@dataclass(frozen=True, slots=True)
class State:
    """What one decision leaves to the next. It holds no clock and no client."""

    size: int
    busy_at: float
    """When there was something in flight, last."""
    levels: tuple[Level, ...]
    history: History = field(default_factory=History)

    @classmethod
    def at_start(cls, now: float, size: int) -> "State":
        """The state of an operator that finds `size` workers asked for, and knows nothing of their past."""
        return cls(size, now, (Level(now),) * size)


@dataclass(frozen=True, slots=True)
class Decision:
    """A size, its reason in words, and the state for the next decision."""

    size: int
    reason: str
    state: State


def decide(now: float, samples: Sequence[Sample], state: State, policy: Policy) -> Decision:
    """The size at `now`, given the looks since the last decision, the oldest first; none if nobody could look."""
    if not samples:
        return Decision(state.size, "no data: the size stays", state)
    state = _with_samples(state, samples)
    need = needed(state.history, samples[-1], policy)
    state = replace(state, levels=_seen(state.levels, now, need.workers))
    kept = _kept(state, now, need.workers, worth_s(policy.patience, samples[-1].start_s))
    if now - state.busy_at >= policy.zero_grace_s:
        need, kept = Need(0, f"nothing in flight for {policy.zero_grace_s:g} s"), 0
    size, reason = _limited(kept, need, policy)
    return Decision(size, reason, replace(state, size=size))


def _with_samples(state: State, samples: Sequence[Sample]) -> State:
    history, busy_at = state.history, state.busy_at
    for sample in samples:
        history = history.with_sample(sample)
        busy_at = sample.at if sample.in_flight else busy_at
    return replace(state, history=history, busy_at=busy_at)


def _seen(levels: tuple[Level, ...], now: float, workers: int) -> tuple[Level, ...]:
    again = tuple(level.needed(now) for level in levels[:workers])
    return again + levels[workers:] + (Level(now),) * (workers - len(levels))


def _kept(state: State, now: float, workers: int, worth: float) -> int:
    """The highest worker that is worth keeping, of those there are."""
    for number in range(min(state.size, len(state.levels)), workers, -1):
        if is_kept(state.levels[number - 1], now, worth):
            return number
    return workers


def _limited(kept: int, need: Need, policy: Policy) -> tuple[int, str]:
    if kept > policy.max_workers:
        return policy.max_workers, f"{need.reason}; {kept} workers would be right, maxReplicas is {policy.max_workers}"
    if kept < policy.min_workers:
        return policy.min_workers, f"{need.reason}; minReplicas is {policy.min_workers}"
    if kept > need.workers:
        return kept, f"{need.reason}, for which {need.workers} would do; the others may soon be wanted again"
    return kept, need.reason
