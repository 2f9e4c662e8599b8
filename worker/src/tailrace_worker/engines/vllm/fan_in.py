"""Several generations read as one: the choices of a prompt are generated side by side and delivered one by one."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tailrace_worker.engines.vllm.internals import Outputs

_Item = tuple[int, Any]


class FanIn:
    """Outputs of the streams in `streams`, by key, in the order in which they come.

    One output waits at most: a reader that is slow makes the engine's own collector join the following ones.
    """

    def __init__(self, streams: Mapping[int, Outputs]) -> None:
        self._streams = streams
        self._queue: asyncio.Queue[_Item] = asyncio.Queue(maxsize=1)
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def __aenter__(self) -> "FanIn":
        self._tasks = {key: asyncio.create_task(self._copy(key, s)) for key, s in self._streams.items()}
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def next(self, deadline: float | None) -> _Item | None:
        """The next output and its key; `None` at `deadline` (on the loop's clock). Raises what a stream raises."""
        try:
            async with asyncio.timeout_at(deadline):
                key, item = await self._queue.get()
        except TimeoutError:
            return None
        if isinstance(item, BaseException):
            raise item
        return key, item

    def stop(self, key: int) -> None:
        """Stop one stream; what it produced and was not read yet may still come."""
        self._tasks[key].cancel()

    async def _copy(self, key: int, stream: Outputs) -> None:
        try:
            async for output in stream:
                await self._queue.put((key, output))
        except Exception as error:
            await self._queue.put((key, error))
        finally:
            await stream.aclose()
