"""The decision: how many workers a model should have now, and why.

Silence is not zero: without a sample the present size stays. A restart takes no worker away before it has looked for a
while, and time that nobody looked at counts neither as idle nor as busy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tailrace_operator.scaling.course import Course
from tailrace_operator.scaling.history import LONGEST_BLINK_S, History
from tailrace_operator.scaling.limits import bounded, delayed, paced
from tailrace_operator.scaling.need import Need, needed
from tailrace_operator.scaling.patience import Level, is_kept
from tailrace_operator.scaling.policy import Policy
from tailrace_operator.scaling.sample import Sample

#: How long a decider that has just begun looks before it takes a worker away.
_FIRST_LOOK_S = 60.0
#: With nothing in flight for so long, no worker is kept, however often one was wanted again.
_LONGEST_IDLE_S = 3_600.0


@dataclass(frozen=True, slots=True)
class State:
    """What one decision leaves to the next. It holds no clock and no client."""

    size: int
    began_at: float
    """When it was looked at first."""
    busy_at: float
    """When there was something in flight, last."""
    levels: tuple[Level, ...]
    history: History = field(default_factory=History)
    wishes: Course = field(default_factory=Course)
    """What was right, before any delay or pace."""
    sizes: Course = field(default_factory=Course)

    @classmethod
    def at_start(cls, now: float, size: int) -> "State":
        """The state of an operator that finds `size` workers asked for, and knows nothing of their past."""
        return cls(size, now, now, (Level(now),) * size, sizes=Course(((now, size),)))


@dataclass(frozen=True, slots=True)
class Decision:
    """A size, its reason in words, and the state for the next decision."""

    size: int
    reason: str
    state: State
    needed: int = 0
    """Workers that the load needs; the others of `size` are kept in case."""
    by: str = ""
    """What keeps the size from what is right: minimum, maximum, capacity, pace, delay, restart, no-data; or nothing."""


def decide(now: float, samples: Sequence[Sample], state: State, policy: Policy) -> Decision:
    """The size at `now`, given the looks since the last decision, the oldest first; none if nobody could look.

    `now` and the samples' times are seconds since the epoch, of a clock that never goes back.
    """
    if not samples:
        wish = Need(state.size, "no data: the size stays", "no-data")
        return replace(_decided(bounded(wish, now, policy), now, state, policy), needed=state.size)
    state = _with_samples(state, samples)
    need = needed(state.history, samples[-1], policy)
    state = replace(state, levels=_seen(state.levels, now, need.workers))
    wish = _worth_keeping(need, state, now, samples[-1].start_s, policy)
    state = replace(state, wishes=state.wishes.with_value(now, wish.workers, policy.scale_down_delay_s))
    wish = _held_at_first(delayed(wish, state.wishes, now, policy), state, now)
    wish = paced(wish, state.sizes, state.size, now, policy)
    return replace(_decided(bounded(wish, now, policy), now, state, policy), needed=need.workers)


def _decided(wish: Need, now: float, state: State, policy: Policy) -> Decision:
    kept_s = max((pace.period_s for pace in (policy.up, policy.down) if pace), default=0.0)
    sizes = state.sizes.with_value(now, wish.workers, kept_s)
    return Decision(wish.workers, wish.reason, replace(state, size=wish.workers, sizes=sizes), by=wish.by)


def _with_samples(state: State, samples: Sequence[Sample]) -> State:
    for sample in samples:
        state = _without_unseen(state, sample.at)
        busy_at = sample.at if sample.in_flight else state.busy_at
        state = replace(state, history=state.history.with_sample(sample), busy_at=busy_at)
    return state


def _without_unseen(state: State, at: float) -> State:
    """This state as if the time since the last look had not been, if that is long."""
    last = state.history.last
    unseen_s = at - (last.at if last else state.began_at)
    if unseen_s <= (LONGEST_BLINK_S if last else 0.0):
        return state
    levels = tuple(replace(level, needed_at=level.needed_at + unseen_s) for level in state.levels)
    began_at = state.began_at if last else at
    return replace(state, levels=levels, busy_at=state.busy_at + unseen_s, began_at=began_at)


def _seen(levels: tuple[Level, ...], now: float, workers: int) -> tuple[Level, ...]:
    again = tuple(level.needed(now) for level in levels[:workers])
    return again + levels[workers:] + (Level(now),) * (workers - len(levels))


def _worth_keeping(need: Need, state: State, now: float, start_s: float, policy: Policy) -> Need:
    """What is needed, and those of the others whose next cold start is worth their idling; the last by its grace."""
    kept = _kept(state, now, need.workers, start_s, policy)
    idle_s = now - state.busy_at
    grace_s = _LONGEST_IDLE_S if policy.zero_grace_s is None else policy.zero_grace_s
    if need.workers == 0 and idle_s >= grace_s:
        return Need(0, f"nothing in flight for {grace_s:g} s")
    if kept == 0 and state.size and policy.zero_grace_s is not None:
        return Need(1, f"nothing in flight since {idle_s:.0f} s, zeroGracePeriod is {grace_s:g} s")
    if kept > need.workers:
        return Need(kept, f"{need.reason}, for which {need.workers} would do; the others may soon be wanted again")
    return need


def _kept(state: State, now: float, workers: int, start_s: float, policy: Policy) -> int:
    """The highest worker that is worth keeping, of those there are."""
    for number in range(min(state.size, len(state.levels)), workers, -1):
        if is_kept(state.levels[number - 1], now, policy.worth_s(number, start_s)):
            return number
    return workers


def _held_at_first(wish: Need, state: State, now: float) -> Need:
    looked_s = now - state.began_at
    if wish.workers >= state.size or looked_s >= _FIRST_LOOK_S:
        return wish
    told = f"{wish.reason}; looking for {looked_s:.0f} s so far, none goes before {_FIRST_LOOK_S:g} s"
    return Need(state.size, told, "restart")
