"""How long a worker that is not needed is kept, since it may be needed again.

Ski rental: each second that an idle worker is kept costs a second, and a cold start that is spared is worth `worth_s`
seconds. When the length of the pause is unknown, keeping for a fixed share of `worth_s` is never much worse than
knowing it (Karlin, Manasse, Rudolph and Sleator 1988). When past pauses are known, they are taken for the distribution
of this one (Karlin, Manasse, McGeoch and Owicki 1994): keep while what may be spared is worth more than the wait.

Each *level* has pauses of its own: the first worker of a model is needed at other times than its fifth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: Pauses that are remembered: enough for a distribution, few enough to forget last week's.
_REMEMBERED = 32
#: This share of a cold start's worth is waited whatever the past was, and less of it once the past is known.
_BLIND_SHARE = 0.5
_SEEING_SHARE = 0.1
_ENOUGH_PAUSES = 8
#: Shorter pauses are the grain of looking once a second.
_SHORTEST_PAUSE_S = 1.5


@dataclass(frozen=True, slots=True)
class Level:
    """The n-th worker of a model: when it was last needed, and how long its past pauses were."""

    needed_at: float
    pauses_s: tuple[float, ...] = ()

    def needed(self, now: float) -> "Level":
        """This level, needed again."""
        pause_s = now - self.needed_at
        if pause_s <= _SHORTEST_PAUSE_S:
            return Level(now, self.pauses_s)
        return Level(now, (*self.pauses_s, pause_s)[-_REMEMBERED:])


def is_kept(level: Level, now: float, worth_s: float) -> bool:
    """Whether to keep the idle worker of this level, a cold start of which is worth so many seconds of idling."""
    idle_s = now - level.needed_at
    least = _BLIND_SHARE if len(level.pauses_s) < _ENOUGH_PAUSES else _SEEING_SHARE
    return idle_s < least * worth_s or _pays(level.pauses_s, idle_s, worth_s)


def _pays(pauses_s: Sequence[float], idle_s: float, worth_s: float) -> bool:
    """Whether some moment to give up at is worth waiting for.

    Of the pauses that were longer than this one is already, those that end before that moment spare a cold start, the
    others cost the wait; one that never ends stands for what has not been seen.
    """
    longer = sorted(pause - idle_s for pause in pauses_s if pause > idle_s)
    ended_s = 0.0
    for ended, more_s in enumerate(longer, start=1):
        ended_s += more_s
        unended = len(longer) - ended + 1
        if worth_s * ended > ended_s + unended * more_s:
            return True
    return False
