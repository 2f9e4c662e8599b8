"""Tasks that are told to end and do.

`asyncio.wait_for`, with which the NATS client waits, loses a cancellation in Python 3.11 that comes in the moment of
the result (python/cpython#86296): a loop that waits so goes on for ever, and so does whoever waits for its end.
"""

import asyncio
from typing import Any

_AGAIN_S = 5.0


async def end(*tasks: "asyncio.Future[Any]", again_s: float = _AGAIN_S) -> None:
    """Cancel tasks until they are over; one that is not within `again_s` seconds is told again."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_s)
