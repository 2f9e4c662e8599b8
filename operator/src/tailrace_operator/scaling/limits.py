"""What bounds a size: the admin's minimum and maximum, the schedule, and how fast it may change."""

from tailrace_operator.scaling.course import Course
from tailrace_operator.scaling.need import Need
from tailrace_operator.scaling.policy import Policy


def bounded(wish: Need, now: float, policy: Policy) -> Need:
    """Within the minimum, the schedule's minimum and the maximum, which is above both."""
    least, why = minimum(now, policy)
    if wish.workers < least:
        wish = Need(least, f"{wish.reason}; {why}", "minimum")
    if wish.workers > policy.max_workers:
        told = f"{wish.reason}; {wish.workers} workers would be right, maxReplicas is {policy.max_workers}"
        wish = Need(policy.max_workers, told, "maximum")
    if policy.ceiling is not None and wish.workers > max(policy.ceiling, least):
        return Need(max(policy.ceiling, least), f"{wish.reason}; {policy.ceiling_reason}", "capacity")
    return wish


def delayed(wish: Need, wishes: Course, now: float, policy: Policy) -> Need:
    """Not below what was right a short while ago."""
    highest = wishes.highest(now, policy.scale_down_delay_s)
    if highest <= wish.workers:
        return wish
    told = f"{wish.reason}; {highest} were right within the last {policy.scale_down_delay_s:g} s"
    return Need(highest, told, "delay")


def paced(wish: Need, sizes: Course, size: int, now: float, policy: Policy) -> Need:
    """No further from the present size than the pace allows."""
    if policy.up and wish.workers > size:
        lowest = sizes.lowest(now, policy.up.period_s)
        most = max(size, lowest + policy.up.step(lowest))
        if wish.workers > most:
            return Need(most, f"{wish.reason}; no more than {policy.up} are added", "pace")
    if policy.down and wish.workers < size:
        highest = sizes.highest(now, policy.down.period_s)
        least = min(size, highest - policy.down.step(highest))
        if wish.workers < least:
            return Need(least, f"{wish.reason}; no more than {policy.down} are taken away", "pace")
    return wish


def minimum(now: float, policy: Policy) -> tuple[int, str]:
    """The workers that there are to be at least at `now`, and who says so."""
    minimums = [(policy.min_workers, f"minReplicas is {policy.min_workers}")]
    lines = (line for line in policy.schedule if line.holds(now))
    minimums += [(line.min_workers, f"{line} asks for {line.min_workers}") for line in lines]
    return max(minimums, key=lambda minimum: minimum[0])
