"""Waits for objects to become so, by a watch: polling with kubectl would take a core from a cluster that has two."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from .errors import CommandError, WaitTimeoutError

Object = dict[str, Any]
#: A watch tells of changes to the object; what else a predicate looks at is looked at this often.
RECHECK_S = 2.0
RECONNECT_S = 0.3


def wait(
    get: Callable[[], Object | None],
    watch_command: Sequence[str],
    env: Mapping[str, str],
    predicate: Callable[[Object | None], object],
    timeout_s: float,
    what: str,
) -> Object | None:
    """The object once the predicate holds for it; an API server that is away for a while is waited for."""
    last: object = None
    for state in states(get, watch_command, env, time.monotonic() + timeout_s):
        last = state
        if not isinstance(state, CommandError) and predicate(state):
            return state
    shown = last if isinstance(last, CommandError) else json.dumps(last, indent=1) if last else "no such object"
    raise WaitTimeoutError(f"{what} is not so after {timeout_s:.0f} s:\n{shown}")


def states(
    get: Callable[[], Object | None], watch_command: Sequence[str], env: Mapping[str, str], deadline: float
) -> Iterator[Object | CommandError | None]:
    """The object now, at each change, and every RECHECK_S seconds; or why it cannot be had at the moment."""
    yield attempt(get)
    while time.monotonic() < deadline:
        with events(watch_command, env) as changes:
            while time.monotonic() < deadline:
                try:
                    event = changes.get(timeout=min(RECHECK_S, max(0.0, deadline - time.monotonic())))
                except queue.Empty:
                    yield attempt(get)
                    continue
                if event is None:
                    time.sleep(RECONNECT_S)
                    break
                yield None if event["type"] == "DELETED" else event["object"]
        yield attempt(get)


def attempt(get: Callable[[], Object | None]) -> Object | CommandError | None:
    try:
        return get()
    except CommandError as error:
        return error


@contextmanager
def events(command: Sequence[str], env: Mapping[str, str]) -> Iterator["queue.Queue[Object | None]"]:
    """The events that a `kubectl get --watch` prints, and None when it ends."""
    found: queue.Queue[Object | None] = queue.Queue()
    watching = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    )
    assert watching.stdout is not None
    reader = threading.Thread(target=read_events, args=(watching.stdout, found), daemon=True)
    reader.start()
    try:
        yield found
    finally:
        watching.kill()
        watching.wait()
        reader.join()
        watching.stdout.close()


def read_events(stream: IO[str], found: "queue.Queue[Object | None]") -> None:
    """kubectl prints one event a line."""
    for line in stream:
        found.put(json.loads(line))
    found.put(None)
