"""The steps of one attempt, and the task behind them.

Not a plain generator: closing one that was never asked for a step would not stop the generation behind it.
"""

import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any

from tailrace_worker.engines.engine import Step
from tailrace_worker.engines.vllm.session import Session


class Steps(AsyncGenerator[Step, None]):
    """Yields what `task` puts into the session, and raises what it raises. Closing it cancels the task."""

    def __init__(self, session: Session, task: asyncio.Task[None]) -> None:
        self._session = session
        self._task = task

    async def good(self) -> None:
        """Returns when the request is known to be good; raises what it was refused with."""
        await self._session.good.wait()
        if self._task.done():
            self._task.result()

    async def asend(self, value: None) -> Step:
        """The next step. As with a generator, whoever is cancelled while waiting for it has closed it."""
        del value
        try:
            step = await self._session.next()
        except BaseException:
            await self.aclose()
            raise
        if step is not None:
            return step
        await self._task
        raise StopAsyncIteration

    async def athrow(self, typ: Any, val: object = None, tb: TracebackType | None = None, /) -> Step:
        """Stop, and raise the given exception."""
        await self.aclose()
        raise typ if val is None else val  # type: ignore[misc]

    async def aclose(self) -> None:
        """Stop generation at the engine; returns when it has stopped."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # marks it as seen: whoever closes does not want to know
