"""One local run per state directory: two would share a broker's files."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another run uses the state directory; the message names its process and the remedy."""


@contextlib.contextmanager
def sole_run(state_dir: Path) -> Iterator[None]:
    """Hold the state directory's lock; it is freed with the process, however that ends.

    Raises:
        AlreadyRunningError: another process holds it.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise AlreadyRunningError(
                f"Tailrace already runs from {state_dir} (process {lock.read().strip() or 'unknown'}): stop it first"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
