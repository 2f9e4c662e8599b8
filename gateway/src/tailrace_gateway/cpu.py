"""How many cores this process uses."""

import time
from collections.abc import Callable

#: Shorter than this, a look says more of one burst than of the load.
_SHORTEST_LOOK_S = 2.0


class CpuMeter:
    """Looks at the process's own CPU time."""

    def __init__(
        self, used: Callable[[], float] = time.process_time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._used, self._clock = used, clock
        self._before, self._at = used(), clock()
        self._cores = 0.0

    def cores(self) -> float:
        """Cores in use, the mean since the last look that was long enough."""
        elapsed = self._clock() - self._at
        if elapsed >= _SHORTEST_LOOK_S:
            used = self._used()
            self._cores = round((used - self._before) / elapsed, 3)
            self._before, self._at = used, self._at + elapsed
        return self._cores
