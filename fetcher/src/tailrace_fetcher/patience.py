"""Doing something again until it works, by the rules of `retry`."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tailrace_fetcher.failure import FailureCode, FetchError, TroubleError
from tailrace_fetcher.retry import GiveUp, RetryPolicy, decide

log = logging.getLogger("tailrace.fetcher")
T = TypeVar("T")


class Patience:
    """Counts failures since the last progress. `tell` hears what is being waited for, and "" when it is over."""

    def __init__(self, policy: RetryPolicy, tell: Callable[[str], None]) -> None:
        self._policy = policy
        self._tell = tell
        self._since = time.monotonic()
        self._failures = 0
        self._furthest = 0

    def reached(self, offset: int) -> None:
        """Bytes up to `offset` are there. Where they are new, earlier failures do not count any more."""
        if offset > self._furthest:
            self._furthest = offset
            self._since = time.monotonic()
            self._failures = 0

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of `attempt`, tried again after each trouble.

        Raises:
            FetchError: `source_unreachable` after too long without progress, or what the attempt itself raises.
        """
        while True:
            try:
                result = await attempt()
            except TroubleError as trouble:
                await self._bear(trouble)
            else:
                self._tell("")
                return result

    async def _bear(self, trouble: TroubleError) -> None:
        self._failures += 1
        idle_s = time.monotonic() - self._since
        verdict = decide(idle_s, self._failures, trouble.asked_s, random.random(), self._policy)  # noqa: S311
        if isinstance(verdict, GiveUp):
            raise FetchError(
                FailureCode.SOURCE_UNREACHABLE,
                f"{trouble.reason}; {verdict.reason}: check the address, the network policies and the proxy settings",
            )
        log.warning("fetch.trouble reason=%r again_in_s=%.1f", trouble.reason, verdict.seconds)
        self._tell(f"{trouble.reason}; trying again in {verdict.seconds:.0f} s")
        await asyncio.sleep(verdict.seconds)
