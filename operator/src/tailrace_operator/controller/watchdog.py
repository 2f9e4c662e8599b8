"""Notices when one of kopf's watches has ended for good, which kopf logs and nothing else: the operator would be deaf.

A watch survives an API server that is away. It ends when the server says that there is no such kind (its definition was
deleted, and perhaps made again), and on errors inside the stream, which etcd's troubles cause. A start anew lists
everything and watches again, so that is the cure.
"""

import asyncio

_EVERY_S = 2.0
#: How kopf calls the tasks that watch, one for each kind and namespace.
WATCHER = "watcher for "


class WatchEndedError(Exception):
    """A watch ended, and will not come back in this process."""


async def until_a_watch_ends() -> None:
    """Return never.

    Raises:
        WatchEndedError: naming the kinds that are not watched any more.
    """
    seen: set[str] = set()
    while True:
        await asyncio.sleep(_EVERY_S)
        watching = {name for task in asyncio.all_tasks() if (name := task.get_name()).startswith(WATCHER)}
        if ended := seen - watching:
            raise WatchEndedError("the operator starts anew, since it ended: " + ", ".join(sorted(ended)))
        seen = watching
