"""A queue of names to look at: each at most once at a time, never lost, soon after a change and later after a failure.

What controller-runtime's work queue is to Go: an object that changes while it is looked at is looked at again; ten
changes before it is looked at are one look. Failures come again after a growing delay of their own.
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 30.0


@dataclass
class Wakes(Generic[K]):
    """Keys that are due, that are being looked at, and that will be due."""

    _due: OrderedDict[K, None] = field(default_factory=OrderedDict)
    _busy: set[K] = field(default_factory=set)
    _again: set[K] = field(default_factory=set)
    _later: list[tuple[float, int, K]] = field(default_factory=list)
    _soonest: dict[K, float] = field(default_factory=dict)
    _failures: dict[K, int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _count: int = 0

    def __len__(self) -> int:
        """How many keys are due or busy."""
        return len(self._due) + len(self._busy)

    def wake(self, key: K, *, first: bool = False) -> None:
        """Look at `key` as soon as possible; after the present look, if there is one; `first`: before all that wait."""
        if key in self._busy:
            self._again.add(key)
            return
        self._due[key] = None
        if first:
            self._due.move_to_end(key, last=False)
        self._changed.set()

    def wake_in(self, key: K, seconds: float, now: float) -> None:
        """Look at `key` in `seconds`, unless an earlier look is planned."""
        at = now + seconds
        if self._soonest.get(key, float("inf")) <= at:
            return
        self._soonest[key] = at
        self._count += 1
        heapq.heappush(self._later, (at, self._count, key))
        self._changed.set()

    async def take(self) -> K:
        """The next key that is due; it stays taken until `done` or `failed`."""
        loop = asyncio.get_running_loop()
        while True:
            self._ripen(loop.time())
            if self._due:
                key = next(iter(self._due))
                del self._due[key]
                self._busy.add(key)
                return key
            self._changed.clear()
            delay = self._later[0][0] - loop.time() if self._later else None
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """The look is over, and all was well."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: K, now: float) -> float:
        """The look failed: it is repeated after a growing delay, which is returned in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures, 16))
        self._release(key)
        self.wake_in(key, delay, now)
        return delay

    def _release(self, key: K) -> None:
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.wake(key)

    def _ripen(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            at, _, key = heapq.heappop(self._later)
            if self._soonest.get(key) == at:
                del self._soonest[key]
                self.wake(key)
