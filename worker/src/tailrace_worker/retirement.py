"""Whether the operator wants this worker empty, because there are too many: a lease, since it may change its mind.

An operator that finds it was wrong lets the worker come back at once; one that dies does so by dying.
"""

import math


class Retirement:
    """The newest word, with its lease."""

    def __init__(self) -> None:
        self._until = -math.inf

    def ask(self, lease_s: float, now: float) -> None:
        """Be empty for the next `lease_s` seconds from `now` on; 0 ends it."""
        self._until = now + lease_s

    def holds(self, now: float) -> bool:
        """Whether to take nothing new, and to hand over what others can take."""
        return now < self._until
